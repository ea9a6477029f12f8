"""Reads tables through their manifests: one consistent version, while writers go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from warehouse.manifest import Manifest, read_manifest
from warehouse.table_spec import SchemaMismatch, TableSpec


class TableReader:
    """Rows of one table. Quarantined partitions are left out."""

    def __init__(self, folder: Path, spec: TableSpec) -> None:
        self._folder = folder
        self._spec = spec

    def manifest(self) -> Manifest:
        """Return the version in force; an empty one where the table was never written.

        Raises:
            ManifestDamaged: the manifest cannot be read.
        """
        return read_manifest(self._folder) or Manifest(table=self._spec.name)

    def partitions(self) -> list[str]:
        """Return the usable partitions, in order."""
        return list(self.manifest().usable())

    def scan(self, partitions: Iterable[str] | None = None, *, quarantined: bool = False) -> pl.LazyFrame:
        """Return a lazy view of the rows, in partition and key order, of the named partitions (all when ``None``).

        ``quarantined`` shows what is in quarantine too: for those who judge it.

        Raises:
            ManifestDamaged: the manifest cannot be read.
            SchemaMismatch: the table was written with other columns.
        """
        manifest = self.manifest()
        check_columns(manifest, self._spec, self._folder)
        wanted = None if partitions is None else set(partitions)
        files = [
            self._folder / entry.part.path
            for key, entry in (manifest.partitions if quarantined else manifest.usable()).items()
            if wanted is None or key in wanted
        ]
        if not files:
            return self._spec.empty().lazy()
        return scan_parts(files, self._spec)

    def read(
        self,
        partitions: Iterable[str] | None = None,
        *,
        where: pl.Expr | None = None,
        columns: Sequence[str] | None = None,
        quarantined: bool = False,
    ) -> pl.DataFrame:
        """Return rows that satisfy ``where``, sorted by the table's keys; ``quarantined`` as in ``scan``.

        Raises:
            ManifestDamaged: the manifest cannot be read.
            SchemaMismatch: the table was written with other columns.
        """
        rows = self.scan(partitions, quarantined=quarantined)
        if where is not None:
            rows = rows.filter(where)
        # The streaming engine does not promise an order; keys make it one.
        found = rows.collect().sort(self._spec.keys)
        return found if columns is None else found.select(columns)


def scan_parts(files: list[Path], spec: TableSpec) -> pl.LazyFrame:
    """Return the rows of part files; a column that came after a part was written is null in its rows."""
    return pl.scan_parquet(files, hive_partitioning=False, schema=spec.schema, missing_columns="insert")


def check_columns(manifest: Manifest, spec: TableSpec, folder: Path) -> None:
    """Refuse a stored table whose columns are not the ones this code knows; nullable ones may have come since.

    Raises:
        SchemaMismatch: they differ; the message names them.
    """
    optional = {column.name for column in spec.columns if column.nullable}
    expected = tuple(one for one in spec.stored_columns if one in manifest.columns or one[0] not in optional)
    if manifest.columns and manifest.columns != expected:
        differing = sorted({name for name, _ in set(manifest.columns) ^ set(expected)})
        raise SchemaMismatch(
            f"table {spec.name} in {folder} was written with other columns ({', '.join(differing)}); "
            "move the folder away and build the table again"
        )


def count_rows(root: Path, table: str) -> int:
    """Return how many usable rows a table holds, 0 where it was never written. Reads the manifest alone.

    Raises:
        ManifestDamaged: the manifest cannot be read.
    """
    manifest = read_manifest(root / table)
    return manifest.rows if manifest else 0
