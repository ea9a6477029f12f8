"""Content hashes and SQL views."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.warehouse.tables import READINGS, readings
from warehouse.snapshots import frame_hash
from warehouse.store import Warehouse


def test_the_hash_does_not_depend_on_how_rows_came_in(tmp_path: Path) -> None:
    one, two = Warehouse(tmp_path / "one"), Warehouse(tmp_path / "two")
    one.writer(READINGS).upsert(readings(10))
    two.writer(READINGS).upsert(readings(10).sample(4, seed=1))
    two.writer(READINGS).upsert(readings(10).reverse())
    assert one.snapshot(READINGS) == two.snapshot(READINGS)


@pytest.mark.parametrize(
    "changed",
    [
        readings(4).with_columns(pl.when(pl.col("read_at").dt.minute() == 2).then(None).otherwise(pl.col("value"))
                                 .alias("value")),
        readings(4, value=1.0000000000000002),
        readings(4, sensor="ab"),
        readings(3),
        readings(4).with_columns(pl.lit(Decimal("0.000000000000000001"), READINGS.schema["price"]).alias("price")),
    ],
    ids=["a null", "the last bit of a float", "another name", "a row less", "the last digit of a price"],
)  # fmt: skip
def test_any_change_of_content_changes_the_hash(changed: pl.DataFrame) -> None:
    assert frame_hash(changed, READINGS.keys) != frame_hash(readings(4), READINGS.keys)


@given(st.lists(st.text(max_size=3), min_size=2, max_size=5))
def test_text_cannot_slide_from_one_row_into_the_next(words: list[str]) -> None:
    frame = pl.DataFrame({"k": range(len(words)), "word": words})
    slid = pl.DataFrame({"k": range(len(words)), "word": ["".join(words), *[""] * (len(words) - 1)]})
    assert (frame_hash(frame, ["k"]) == frame_hash(slid, ["k"])) is frame.equals(slid)


def test_sql_sees_every_table_with_times_in_utc_and_exact_numbers(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    price = pl.lit(Decimal("0.1"), READINGS.schema["price"]).alias("price")
    store.writer(READINGS).upsert(pl.concat([readings(3, day=1), readings(2, day=2)]).with_columns(price))
    with store.catalog() as sql:
        rows = sql.execute("SELECT day, count(*), sum(price), min(read_at) FROM readings GROUP BY 1 ORDER BY 1")
        (first, _) = rows.fetchall()
    assert first[:3] == ("2026-01-01", 3, Decimal("0.3"))
    assert first[3].utcoffset().total_seconds() == 0


def test_an_empty_table_can_be_queried(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(READINGS).upsert(readings(0))
    with store.catalog() as sql:
        assert sql.execute("SELECT count(*), max(read_at) FROM readings").fetchall() == [(0, None)]
