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
    report = warehouse.writer(FILLS).upsert(engine_fills(engine))
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, FILLS, watch, time_column="filled_at"),
            "new": report.rows_added,
        }
    )


def engine_fills(engine: Engine) -> pl.DataFrame:
    """Return the engine's settled fills as rows of the table; provisional ones wait for the venue's trade id."""
    strategies = {order["client_order_id"]: order.get("strategy") for order in engine.list_orders()}
    return fill_frame(engine.get_fills(), strategies)


def fill_frame(fills_seen: Iterable[Mapping[str, Any]], strategies: Mapping[str, str | None]) -> pl.DataFrame:
    """Return wire fills as rows of the table. Amounts stay exact."""
    rows = [
        {
            "day": day_of(fill["at_ms"]),
            "symbol": fill["symbol"],
            "market": fill["market"],
            "trade_id": fill["trade_id"],
            "filled_at": utc(fill["at_ms"]),
            "client_order_id": fill["client_order_id"],
            "strategy": strategies.get(fill["client_order_id"]) or None,
            "side": fill["side"],
            "price": Decimal(fill["price"]),
            "quantity": Decimal(fill["quantity"]),
            "fee": Decimal(fill["fee"]),
            "fee_asset": fill["fee_asset"],
        }
        for fill in fills_seen
        if not fill.get("provisional")
    ]
    return pl.DataFrame(rows, schema=FILLS.schema)
