"""What every asset says of itself in the UI: row counts, time span, content hash, duration, columns."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from warehouse.store import Warehouse
from warehouse.table_spec import TableSpec

OWNERS = ["team:research"]


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


def columns_of(spec: TableSpec) -> dict[str, Any]:
    """Return a table's contract as definition metadata: the UI shows it as the asset's columns."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.dtype),
            description=f"{column.meaning} [{column.unit}]" if column.unit else column.meaning,
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in spec.columns
    ]
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "table": spec.name,
        "keys": ", ".join(spec.keys),
    }


def table_facts(
    warehouse: Warehouse, spec: TableSpec, watch: Stopwatch, *, days: Sequence[str] | None = None, time_column: str
) -> dict[str, Any]:
    """Return what was stored: rows, time span, content hash and how long it took."""
    rows = warehouse.reader(spec).scan(days)
    span = rows.select(
        pl.len().alias("rows"), pl.col(time_column).min().alias("first"), pl.col(time_column).max().alias("last")
    ).collect()
    count, first, last = span.row(0)
    return {
        "dagster/row_count": count,
        "from": first.isoformat() if first else "none",
        "to": last.isoformat() if last else "none",
        "content_hash": warehouse.snapshot(spec, list(days) if days is not None else None),
        "seconds": round(watch.seconds, 3),
    }


def as_table(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue[Any]:
    """Return rows as a table for the UI; numbers are shortened, missing values are blank, no rows are ``none``."""
    if not rows:
        return dg.MetadataValue.text("none")
    return dg.MetadataValue.table([dg.TableRecord({key: _shown(value) for key, value in row.items()}) for row in rows])


def _shown(value: Any) -> str | int | float | bool:
    if value is None:
        return ""
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return str(value)
