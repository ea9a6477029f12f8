"""The fills asset: what the engine booked, stored beside the bars it traded on."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import dagster as dg
import polars as pl

from assets.describe import OWNERS, Stopwatch, columns_of, table_facts
from assets.intervals import day_of, utc
from assets.ports import Engine
from assets.tables import FILLS
from warehouse.store import Warehouse


@dg.asset(group_name="trading", kinds={"polars", "parquet"}, owners=OWNERS, metadata=columns_of(FILLS))
def fills(warehouse: dg.ResourceParam[Warehouse], engine: dg.ResourceParam[Engine]) -> dg.MaterializeResult[None]:
    """Every fill of the engine's journal, one row per venue trade, with the strategy that wanted it."""
    watch = Stopwatch()
    report = warehouse.writer(FILLS).upsert(fill_frame(engine.get_fills(after=stored_seq(warehouse, engine))))
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, FILLS, watch, time_column="filled_at"),
            "new": report.rows_added,
        }
    )


def stored_seq(warehouse: Warehouse, engine: Engine) -> int:
    """Return the journal sequence up to which fills are stored, 0 where the engine's journal is a younger one.

    Rows stored before a fill told its order's leg do not count: they are read again.
    """
    newest = newest_seq(warehouse.reader(FILLS).read(where=pl.col("leg").is_not_null(), columns=["journal_seq"]))
    return newest if newest <= int(engine.get_portfolio()["seq"]) else 0


def newest_seq(stored: pl.DataFrame) -> int:
    """Return the largest journal sequence among stored fills, 0 where there are none."""
    return max(stored.get_column("journal_seq").to_list(), default=0)


def fill_frame(fills_seen: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return wire fills as rows of the table, amounts exact; provisional ones wait for the venue's trade id."""
    rows = [
        {
            "day": day_of(fill["at_ms"]),
            "symbol": fill["symbol"],
            "market": fill["market"],
            "trade_id": fill["trade_id"],
            "filled_at": utc(fill["at_ms"]),
            "client_order_id": fill["client_order_id"],
            "strategy": fill["strategy"] or None,
            "side": fill["side"],
            "price": Decimal(fill["price"]),
            "quantity": Decimal(fill["quantity"]),
            "fee": Decimal(fill["fee"]),
            "fee_asset": fill["fee_asset"],
            "journal_seq": fill["seq"],
            "leg": fill["leg"],
            "order_type": fill["type"],
            "time_in_force": fill["time_in_force"],
            "bar_open_at": None if fill["bar_open_ms"] is None else utc(fill["bar_open_ms"]),
        }
        for fill in fills_seen
        if not fill["provisional"]
    ]
    return pl.DataFrame(rows, schema=FILLS.schema)
