"""Writes tables: a new part file for each touched partition, then one atomic change of the manifest.

A crash before that change leaves a file that no manifest names, so nothing happened; a later write removes it.
Readers keep the files they opened: replaced ones stay for a grace period.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from warehouse.lock import table_lock
from warehouse.manifest import Manifest, PartFile, Partition, read_manifest, sync_folder, write_manifest
from warehouse.reader import check_columns, scan_parts
from warehouse.snapshots import frame_hash
from warehouse.table_spec import TableSpec

GRACE_S = 300.0
PATIENCE_S = 60.0


def system_now_ms() -> int:
    """Return UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReport:
    """What a write changed. ``partitions`` names only those whose rows are different now."""

    rows_given: int
    rows_added: int
    partitions: tuple[str, ...]
    version: int


class TableWriter:
    """The only way rows get into one table.

    Args:
        folder: the table's folder.
        grace_s: how long replaced files stay for readers that opened them.
        patience_s: how long to wait for another writer.
        now_ms: the clock, in UTC epoch milliseconds.
    """

    def __init__(
        self,
        folder: Path,
        spec: TableSpec,
        *,
        grace_s: float = GRACE_S,
        patience_s: float = PATIENCE_S,
        now_ms: Callable[[], int] = system_now_ms,
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._grace_s = grace_s
        self._patience_s = patience_s
        self._now_ms = now_ms

    def upsert(self, rows: pl.DataFrame) -> WriteReport:
        """Add rows; where a key is stored already, the new row wins. Writing the same again changes nothing.

        Raises:
            SchemaMismatch: the rows do not fit the table.
            TableLocked: another writer does not finish.
        """
        return self._write(rows, merge=True)

    def replace(self, rows: pl.DataFrame) -> WriteReport:
        """Make ``rows`` the whole content of every partition they touch (of the table, where it has only one).

        Raises:
            SchemaMismatch: the rows do not fit the table.
            TableLocked: another writer does not finish.
        """
        return self._write(rows, merge=False)

    def quarantine(self, partitions: Iterable[str], reason: str) -> None:
        """Keep partitions out of every reader's sight; the next write to one that changes it lifts this.

        Raises:
            TableLocked: another writer does not finish.
        """
        self._mark(partitions, reason)

    def release(self, partitions: Iterable[str]) -> None:
        """Let readers see partitions again.

        Raises:
            TableLocked: another writer does not finish.
        """
        self._mark(partitions, "")

    # --- details ------------------------------------------------------------------------------------------------

    def _write(self, rows: pl.DataFrame, *, merge: bool) -> WriteReport:
        fitting = self._spec.conform(rows)
        with table_lock(self._folder, self._patience_s):
            manifest = read_manifest(self._folder) or Manifest(table=self._spec.name)
            check_columns(manifest, self._spec, self._folder)
            changed = self._changed(manifest, self._spec.partitions_of(fitting), merge=merge)
            before = manifest.rows
            if changed or not manifest.version:
                manifest = self._publish(manifest, changed)
        return WriteReport(
            rows_given=fitting.height,
            rows_added=manifest.rows - before,
            partitions=tuple(sorted(changed)),
            version=manifest.version,
        )

    def _changed(self, manifest: Manifest, split: Mapping[str, pl.DataFrame], *, merge: bool) -> dict[str, Partition]:
        """Write a part for every partition whose rows differ from the stored ones."""
        changed: dict[str, Partition] = {}
        for key, new in split.items():
            stored = manifest.partitions.get(key)
            rows = self._merged(stored, new) if merge else new.unique(self._spec.keys, keep="last")
            rows = rows.sort(self._spec.keys)
            content = frame_hash(rows, self._spec.keys)
            if stored is None or stored.part.content_hash != content:
                part = self._write_part(key, rows, content)
                changed[key] = Partition(part=part, written_at_ms=self._now_ms())
        return changed

    def _merged(self, stored: Partition | None, new: pl.DataFrame) -> pl.DataFrame:
        frames = [new] if stored is None else [self._read_part(stored.part), new]
        return pl.concat(frames).unique(self._spec.keys, keep="last", maintain_order=True)

    def _read_part(self, part: PartFile) -> pl.DataFrame:
        return scan_parts([self._folder / part.path], self._spec).collect()

    def _write_part(self, key: str, rows: pl.DataFrame, content: str) -> PartFile:
        place = self._folder / f"{self._spec.partition_by or 'part'}={key}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"part-{uuid.uuid4().hex}.parquet"
        with path.open("wb") as file:
            rows.write_parquet(file, compression="zstd", statistics=True)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        sync_folder(place)
        return PartFile(
            path=path.relative_to(self._folder).as_posix(),
            rows=rows.height,
            size_bytes=size,
            content_hash=content,
        )

    def _publish(self, manifest: Manifest, changed: Mapping[str, Partition]) -> Manifest:
        following = manifest.with_partitions(changed, self._now_ms())
        following = replace(following, columns=self._spec.stored_columns)
        horizon_ms = self._now_ms() - int(self._grace_s * 1000)
        kept = tuple(entry for entry in following.retired if entry.at_ms > horizon_ms)
        following = replace(following, retired=kept)
        write_manifest(self._folder, following)
        self._sweep(following, horizon_ms)
        return following

    def _sweep(self, manifest: Manifest, horizon_ms: int) -> None:
        """Remove part files that no manifest names and that are too old for anyone to be reading or writing."""
        named = {entry.part.path for entry in manifest.partitions.values()}
        named |= {entry.path for entry in manifest.retired}
        for path in self._folder.glob("*/part-*.parquet"):
            unnamed = path.relative_to(self._folder).as_posix() not in named
            if unnamed and path.stat().st_mtime * 1000 <= horizon_ms:
                path.unlink(missing_ok=True)

    def _mark(self, partitions: Iterable[str], reason: str) -> None:
        with table_lock(self._folder, self._patience_s):
            manifest = read_manifest(self._folder)
            if manifest is None:
                return
            marked = {
                key: replace(manifest.partitions[key], quarantined=reason)
                for key in partitions
                if key in manifest.partitions and manifest.partitions[key].quarantined != reason
            }
            if marked:
                self._publish(manifest, marked)
