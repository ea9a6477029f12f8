"""What the newest evaluation or promotion found, as a table on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from assets.tables import EVALUATIONS, PROMOTIONS
from warehouse.store import Warehouse

Row = Mapping[str, Any]


def print_newest(what: str, root: Path) -> None:
    """Print the newest ``evaluation`` or ``promotion`` of a warehouse; nothing where there is none.

    Raises:
        KeyError: there is no such report.
    """
    table = _REPORTS[what](Warehouse(root))
    if table is not None:
        Console().print(table)


def _evaluation(warehouse: Warehouse) -> Table | None:
    rows = _newest(warehouse.reader(EVALUATIONS).read(), "evaluated_at")
    if rows.is_empty():
        return None
    title = f"{rows['version'][0]}, out of sample, net of costs; each Sharpe ratio with its standard error"
    table = Table("symbol", "bars", "Sharpe", "return", "held", "deepest fall", "turnover a day", "trades", title=title)
    for row in rows.sort("symbol").iter_rows(named=True):
        table.add_row(
            row["symbol"],
            f"{row['bars']:,}",
            f"{row['sharpe']:.2f} ± {row['sharpe_se']:.2f}",
            f"{row['total_return']:+.2%}",
            f"{row['hold_return']:+.2%}",
            f"{row['max_drawdown_frac']:.2%}",
            f"{row['turnover_per_day']:.2f}",
            "" if row["trades"] is None else f"{row['trades']:,}",
        )
    return table


def _promotion(warehouse: Warehouse) -> Table | None:
    rows = _newest(warehouse.reader(PROMOTIONS).read(), "decided_at")
    if rows.is_empty():
        return None
    title = f"{rows['candidate'][0]}: {rows['verdict'][0]}"
    table = Table("gate", "passed", "measured", "asked for", "reason", title=title)
    for row in rows.iter_rows(named=True):
        table.add_row(
            row["gate"],
            "yes" if row["passed"] else "NO",
            *map(_figure, (row["value"], row["threshold"])),
            row["reason"],
        )
    return table


def _newest(rows: pl.DataFrame, moment: str) -> pl.DataFrame:
    return rows if rows.is_empty() else rows.filter(pl.col(moment) == pl.col(moment).max())


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


_REPORTS: Mapping[str, Callable[[Warehouse], Table | None]] = {"evaluation": _evaluation, "promotion": _promotion}
