"""Content hashes: the same rows give the same hash, whatever the file layout, the row order or the writer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from warehouse.manifest import Manifest


def frame_hash(frame: pl.DataFrame, keys: Sequence[str]) -> str:
    """Return the SHA-256 (hex) of the rows, ordered by ``keys``, with column names and types."""
    ordered = frame.sort(keys, maintain_order=True).rechunk()
    digest = hashlib.sha256()
    for column in ordered.iter_columns():
        digest.update(f"{column.name}\0{column.dtype}\0{len(column)}\0".encode())
        for piece in _column_bytes(column):
            digest.update(piece)
    return digest.hexdigest()


def snapshot_hash(manifest: Manifest | None, partitions: Iterable[str] | None = None) -> str:
    """Return the hash of what a table holds in the partitions (all usable ones when none are named).

    It is made from the stored part hashes, so it costs no read of the data.
    """
    usable = manifest.usable() if manifest else {}
    chosen = usable if partitions is None else {key: usable[key] for key in sorted(partitions) if key in usable}
    digest = hashlib.sha256()
    for key, entry in chosen.items():
        digest.update(f"{key}\0{entry.part.content_hash}\0".encode())
    return digest.hexdigest()


def _column_bytes(column: pl.Series) -> Iterable[bytes]:
    if column.null_count():
        yield np.packbits(column.is_null().to_numpy()).tobytes()
    if column.dtype.is_temporal():
        column = column.to_physical()
    if column.dtype.is_numeric() and not isinstance(column.dtype, pl.Decimal):
        yield column.fill_null(0).to_numpy().tobytes()
    elif column.dtype == pl.Boolean:
        yield column.fill_null(value=False).cast(pl.UInt8).to_numpy().tobytes()
    else:
        text = column.cast(pl.String).fill_null("")
        yield text.str.len_bytes().to_numpy().tobytes()
        yield "".join(text).encode()
