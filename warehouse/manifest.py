"""A table's manifest: the one file that says which part files exist. What it does not name does not exist."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 1


class ManifestDamaged(Exception):
    """A manifest cannot be read; the message names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFile:
    """One immutable Parquet file: ``path`` from the table's folder, ``content_hash`` of its rows."""

    path: str
    rows: int
    size_bytes: int
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The file in force for one partition. ``quarantined`` says why its rows must not be used; empty when fine."""

    part: PartFile
    written_at_ms: int
    quarantined: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """A file no longer in force that readers may still hold open."""

    path: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One version of a table. ``columns`` are (name, type) pairs as the rows are stored."""

    table: str
    version: int = 0
    columns: tuple[tuple[str, str], ...] = ()
    partitions: Mapping[str, Partition] = field(default_factory=dict)
    retired: tuple[Retired, ...] = ()

    @property
    def rows(self) -> int:
        """Rows in force, quarantined ones left out."""
        return sum(entry.part.rows for entry in self.usable().values())

    def usable(self) -> dict[str, Partition]:
        """Return the partitions that are not quarantined, in order."""
        return {key: entry for key, entry in sorted(self.partitions.items()) if not entry.quarantined}

    def with_partitions(self, changed: Mapping[str, Partition], now_ms: int) -> Manifest:
        """Return the next version: ``changed`` in force, the files they replace retired."""
        old = [self.partitions[key].part.path for key in changed if key in self.partitions]
        kept = {entry.part.path for entry in changed.values()}
        retired = tuple(Retired(path=path, at_ms=now_ms) for path in old if path not in kept)
        return replace(
            self,
            version=self.version + 1,
            partitions=dict(sorted({**self.partitions, **changed}.items())),
            retired=self.retired + retired,
        )


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in ``folder``, ``None`` where the table was never written.

    Raises:
        ManifestDamaged: the file is there and cannot be understood.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return _parse(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestDamaged(f"{path}: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest atomically and durably: readers see the old one or the new one."""
    temporary = folder / f".{MANIFEST}.{os.getpid()}"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **asdict(manifest)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / MANIFEST)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new file in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _parse(raw: Mapping[str, Any]) -> Manifest:
    if raw["format"] != FORMAT:
        raise ValueError(f"format {raw['format']} is not {FORMAT}")
    return Manifest(
        table=raw["table"],
        version=raw["version"],
        columns=tuple((name, dtype) for name, dtype in raw["columns"]),
        partitions={key: _partition(entry) for key, entry in raw["partitions"].items()},
        retired=tuple(Retired(**entry) for entry in raw["retired"]),
    )


def _partition(raw: Mapping[str, Any]) -> Partition:
    part = PartFile(**raw["part"])
    inside = Path(part.path)
    if inside.is_absolute() or ".." in inside.parts:
        raise ValueError(f"{part.path} leaves the table's folder")
    return Partition(part=part, written_at_ms=raw["written_at_ms"], quarantined=raw["quarantined"])
