"""What a write leaves behind, also when it does not get to its end."""

from __future__ import annotations

import multiprocessing
import threading
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import warehouse.writer as writer_module
from tests.unit.warehouse.tables import READINGS, readings
from warehouse.lock import TableLocked, table_lock
from warehouse.manifest import MANIFEST, ManifestDamaged, read_manifest
from warehouse.reader import count_rows
from warehouse.store import UnsupportedRoot, Warehouse
from warehouse.table_spec import EXACT, Column, SchemaMismatch
from warehouse.writer import TableWriter


def parts(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("part-*.parquet")}


def test_rows_come_back_in_key_order_whatever_order_they_were_written_in(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(READINGS).upsert(pl.concat([readings(3, sensor="b"), readings(3)]).reverse())
    stored = store.reader(READINGS).read()
    assert stored.equals(pl.concat([readings(3), readings(3, sensor="b")]))


def test_writing_the_same_rows_again_changes_no_file(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(READINGS).upsert(readings(5))
    before = (tmp_path / "readings" / MANIFEST).read_bytes(), parts(tmp_path)
    report = store.writer(READINGS).upsert(readings(5))
    assert report.partitions == ()
    assert ((tmp_path / "readings" / MANIFEST).read_bytes(), parts(tmp_path)) == before


def test_a_newer_row_wins_over_the_stored_one_with_its_key(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(READINGS).upsert(readings(3, value=1.0))
    report = store.writer(READINGS).upsert(readings(2, value=2.0))
    assert (report.rows_added, report.partitions) == (0, ("2026-01-01",))
    assert store.reader(READINGS).read()["value"].to_list() == [2.0, 2.0, 1.0]


def test_replace_makes_the_rows_the_whole_partition_and_leaves_others_alone(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(READINGS).upsert(pl.concat([readings(3, day=1), readings(4, day=2)]))
    store.writer(READINGS).replace(readings(1, day=1))
    assert store.reader(READINGS).read(["2026-01-01"]).height == 1
    assert store.reader(READINGS).read(["2026-01-02"]).height == 4


def test_a_crash_before_the_manifest_changes_means_that_nothing_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Warehouse(tmp_path, grace_s=0)
    store.writer(READINGS).upsert(readings(2))

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "write_manifest", power_cut)
        with pytest.raises(KeyboardInterrupt):
            store.writer(READINGS).upsert(readings(9))
    assert len(parts(tmp_path)) == 2
    assert store.reader(READINGS).read().height == 2

    store.writer(READINGS).upsert(readings(3))
    assert store.reader(READINGS).read().height == 3
    assert len(parts(tmp_path)) == 1, "the next write removes what no manifest names"


def test_replaced_files_stay_for_the_grace_period(tmp_path: Path) -> None:
    now = [0]
    store = Warehouse(tmp_path, grace_s=10, now_ms=lambda: now[0])
    store.writer(READINGS).upsert(readings(1))
    now[0] = 1_000
    store.writer(READINGS).upsert(readings(2))
    assert len(parts(tmp_path)) == 2


def test_a_file_is_removed_once_its_grace_is_over(tmp_path: Path) -> None:
    store = Warehouse(tmp_path, grace_s=0)
    store.writer(READINGS).upsert(readings(1))
    store.writer(READINGS).upsert(readings(2))
    assert len(parts(tmp_path)) == 1


def test_a_quarantined_partition_is_out_of_sight_until_it_is_written_anew(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(READINGS).upsert(pl.concat([readings(3, day=1), readings(3, day=2)]))
    store.writer(READINGS).quarantine(["2026-01-01"], "price column is all zeros")
    assert store.reader(READINGS).partitions() == ["2026-01-02"]
    assert count_rows(tmp_path, "readings") == 3
    store.writer(READINGS).upsert(readings(3, day=1))
    assert store.reader(READINGS).partitions() == ["2026-01-02"], "the same rows stay quarantined"
    store.writer(READINGS).upsert(readings(4, day=1))
    assert count_rows(tmp_path, "readings") == 7


@pytest.mark.parametrize(
    "rows",
    [
        readings(1).drop("value"),
        readings(1).with_columns(extra=pl.lit(1)),
        readings(1).with_columns(pl.col("read_at").dt.replace_time_zone(None)),
        readings(1).with_columns(pl.lit(None, pl.String).alias("sensor")),
        readings(1).with_columns(pl.lit("../up").alias("day")),
    ],
    ids=["column gone", "column added", "naive time", "null in a key", "folder escape"],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path: Path, rows: pl.DataFrame) -> None:
    with pytest.raises(SchemaMismatch, match="readings"):
        Warehouse(tmp_path).writer(READINGS).upsert(rows)
    assert count_rows(tmp_path, "readings") == 0
    assert parts(tmp_path) == set()


def test_a_table_stored_with_other_columns_is_refused_by_name(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(READINGS).upsert(readings(1))
    path = tmp_path / "readings" / MANIFEST
    path.write_text(path.read_text().replace("Float64", "Int64"))
    with pytest.raises(SchemaMismatch, match="value"):
        store.reader(READINGS).read()


def test_rows_written_before_a_nullable_column_came_are_read_with_nulls_and_kept(tmp_path: Path) -> None:
    older = replace(READINGS, columns=READINGS.columns[:-1])
    store = Warehouse(tmp_path)
    before = pl.concat([readings(2, day=1), readings(2, day=2)])
    store.writer(older).upsert(before.drop("price"))
    assert store.reader(READINGS).read().equals(before.sort(READINGS.keys))

    priced = readings(3, day=2).with_columns(pl.lit(5).cast(EXACT).alias("price"))
    report = store.writer(READINGS).upsert(priced[1:])
    assert (report.rows_added, report.partitions) == (1, ("2026-01-02",))
    assert store.reader(READINGS).read()["price"].to_list() == [None, None, None, 5, 5]


def test_a_stored_table_without_a_column_that_must_have_a_value_is_refused_by_name(tmp_path: Path) -> None:
    columns = (*READINGS.columns, Column("place", pl.String, "where"))
    store = Warehouse(tmp_path)
    store.writer(READINGS).upsert(readings(1))
    with pytest.raises(SchemaMismatch, match=r"\(place\)"):
        store.reader(replace(READINGS, columns=columns)).read()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 9}', '{"format": 1, "table": "x"}'])
def test_a_damaged_manifest_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "readings"
    folder.mkdir()
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ManifestDamaged, match="readings"):
        Warehouse(tmp_path).reader(READINGS).read()


def test_a_manifest_that_points_outside_its_table_is_refused(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(READINGS).upsert(readings(1))
    path = tmp_path / "readings" / MANIFEST
    path.write_text(path.read_text().replace("day=2026-01-01/", "../../etc/"))
    with pytest.raises(ManifestDamaged):
        read_manifest(tmp_path / "readings")


def test_a_second_writer_waits_and_then_says_who_keeps_it(tmp_path: Path) -> None:
    with table_lock(tmp_path / "readings", 1.0):
        refused: list[TableLocked] = []

        def attempt() -> None:
            try:
                TableWriter(tmp_path / "readings", READINGS, patience_s=0.1).upsert(readings(1))
            except TableLocked as error:
                refused.append(error)

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert "readings" in str(refused[0])


def _write_many(root: Path, sensor: str) -> None:
    store = Warehouse(root, grace_s=60)
    for count in range(1, 11):
        store.writer(READINGS).upsert(readings(count * 10, sensor=sensor))


def test_two_processes_that_write_at_once_lose_nothing_and_readers_never_fail(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path, name)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    seen = [0]
    while any(writer.is_alive() for writer in writers):
        store = Warehouse(tmp_path)
        rows = store.reader(READINGS).read().height
        with store.catalog() as sql:
            tables = sql.execute("SELECT count(*) FROM information_schema.tables").fetchall()
            if tables[0][0]:
                found = sql.execute("SELECT count(*) FROM readings").fetchall()[0][0]
                assert found >= rows
        assert rows >= seen[-1], "a later read never sees less"
        seen.append(rows)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert Warehouse(tmp_path).reader(READINGS).read().height == 200


def test_only_folders_and_file_urls_are_roots(tmp_path: Path) -> None:
    assert Warehouse(tmp_path.as_uri()).root == tmp_path
    with pytest.raises(UnsupportedRoot, match="s3"):
        Warehouse("s3://bucket/data")
