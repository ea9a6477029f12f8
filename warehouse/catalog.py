"""SQL over the warehouse: an in-memory DuckDB per process, one view per table over the manifest's files.

No .duckdb file is shared, so any number of processes may query while one writes.
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from warehouse.manifest import MANIFEST, Manifest, read_manifest

_TABLE = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_SQL_TYPES = {
    "String": "VARCHAR",
    "Boolean": "BOOLEAN",
    "Int64": "BIGINT",
    "Int32": "INTEGER",
    "Float64": "DOUBLE",
    "Date": "DATE",
}


def open_catalog(root: Path, *, threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Return a connection with a view for every table below ``root``, as they stand now.

    Raises:
        ManifestDamaged: a manifest cannot be read.
    """
    connection = duckdb.connect(config={"threads": threads})
    connection.execute("SET TimeZone = 'UTC'").fetchall()
    for path in sorted(root.glob(f"*/{MANIFEST}")):
        manifest = read_manifest(path.parent)
        if manifest is not None and _TABLE.fullmatch(manifest.table):
            connection.execute(_view(path.parent, manifest)).fetchall()
    return connection


def _view(folder: Path, manifest: Manifest) -> str:
    files = [folder / entry.part.path for entry in manifest.usable().values()]
    if not files:
        return f'CREATE VIEW "{manifest.table}" AS SELECT {_no_rows(manifest)} WHERE false'
    listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    source = f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)"
    return f'CREATE VIEW "{manifest.table}" AS SELECT * FROM {source}'  # noqa: S608  # names are checked, paths are ours


def _no_rows(manifest: Manifest) -> str:
    return ", ".join(f'CAST(NULL AS {_sql_type(dtype)}) AS "{name}"' for name, dtype in manifest.columns)


def _sql_type(dtype: str) -> str:
    if dtype.startswith("Datetime"):
        return "TIMESTAMPTZ"
    if dtype.startswith("Decimal"):
        return "DECIMAL(38, 18)"
    return _SQL_TYPES.get(dtype, "VARCHAR")
