"""The warehouse as one value: a root, and readers, writers and queries over its tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from warehouse.reader import TableReader
from warehouse.snapshots import snapshot_hash
from warehouse.table_spec import TableSpec
from warehouse.writer import GRACE_S, TableWriter, system_now_ms

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class UnsupportedRoot(ValueError):
    """The root is not a folder of this machine."""


class Warehouse:
    """Tables below one root.

    Args:
        root: a folder, as a path or a ``file://`` URL.
        grace_s: how long replaced files stay for readers that opened them.
        now_ms: the clock, in UTC epoch milliseconds.

    Raises:
        UnsupportedRoot: ``root`` is a URL of another kind.
    """

    def __init__(
        self, root: str | Path, *, grace_s: float = GRACE_S, now_ms: Callable[[], int] = system_now_ms
    ) -> None:
        self.root = _folder(root)
        self._grace_s = grace_s
        self._now_ms = now_ms

    def reader(self, spec: TableSpec) -> TableReader:
        """Return a reader of one table, written or not."""
        return TableReader(self.root / spec.name, spec)

    def writer(self, spec: TableSpec) -> TableWriter:
        """Return a writer of one table."""
        return TableWriter(self.root / spec.name, spec, grace_s=self._grace_s, now_ms=self._now_ms)

    def snapshot(self, spec: TableSpec, partitions: list[str] | None = None) -> str:
        """Return the content hash (hex) of a table, or of some of its partitions.

        Raises:
            ManifestDamaged: the manifest cannot be read.
        """
        return snapshot_hash(self.reader(spec).manifest(), partitions)

    def catalog(self) -> DuckDBPyConnection:
        """Open an in-memory DuckDB with one view per table; close it when done.

        Raises:
            ManifestDamaged: a manifest cannot be read.
        """
        from warehouse.catalog import open_catalog  # noqa: PLC0415  # DuckDB is loaded only by those who query

        return open_catalog(self.root)


def _folder(root: str | Path) -> Path:
    text = str(root)
    if "://" not in text:
        return Path(root)
    parts = urlsplit(text)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        raise UnsupportedRoot(f"warehouse root {text}: a folder or a file:// URL is expected")
    return Path(unquote(parts.path))
