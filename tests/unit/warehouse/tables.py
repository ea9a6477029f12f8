"""A small table for the warehouse's tests, and rows for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from warehouse.table_spec import EXACT, UTC_MS, Column, TableSpec

READINGS = TableSpec(
    name="readings",
    meaning="What a sensor said.",
    columns=(
        Column("day", pl.String, "UTC day of the reading"),
        Column("sensor", pl.String, "who"),
        Column("read_at", UTC_MS, "when"),
        Column("value", pl.Float64, "what", unit="volt", nullable=True),
        Column("price", EXACT, "exact", nullable=True),
    ),
    keys=("sensor", "read_at"),
    partition_by="day",
)


def readings(count: int, *, day: int = 1, sensor: str = "a", value: float = 1.0) -> pl.DataFrame:
    """Return ``count`` readings, one a minute from midnight of a January day."""
    midnight = datetime(2026, 1, day, tzinfo=UTC)
    return pl.DataFrame(
        {
            "day": [f"2026-01-{day:02d}"] * count,
            "sensor": [sensor] * count,
            "read_at": [midnight + timedelta(minutes=index) for index in range(count)],
            "value": [value] * count,
            "price": [None] * count,
        },
        schema=READINGS.schema,
    )
