"""Which idempotency keys the journal may know: spares almost every new key its question to the disk.

A Bloom filter: it never says "unknown" of a key that was used, and says "maybe" of few that were not. Until every key
of the journal has been read into it, it says "maybe" of all.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine_service.storage.port import StoredAnswer
from engine_service.storage.schema import open_reader

#: Two megabytes: below one false "maybe" in a hundred up to a million and a half of keys, and never wrong beyond.
BITS: Final = 1 << 24
_MASK: Final = BITS - 1
_CHUNK: Final = 2_000


class KnownKeys:
    """``lookup`` answers as the journal's table would. Everything runs on the event loop."""

    def __init__(self, lookup: Callable[[str, str], StoredAnswer | None]) -> None:
        self._lookup = lookup
        self._bits = bytearray(BITS // 8)
        self._complete = False

    def lookup(self, scope: str, key: str) -> StoredAnswer | None:
        """Return the answer stored under a key; whoever asks is going to use the key, so it counts as known now."""
        known = self._add(scope, key)
        return self._lookup(scope, key) if known or not self._complete else None

    async def read(self, path: Path) -> None:
        """Learn every key of the journal, a few at a time.

        Raises:
            sqlite3.Error: the journal cannot be read; then every key is looked up, as before.
        """
        reader = open_reader(path)
        try:
            last = ("", "")
            while rows := _keys_after(reader, last):
                for scope, key in rows:
                    self._add(scope, key)
                last = rows[-1]
                await asyncio.sleep(0.01)
        finally:
            reader.close()
        self._complete = True

    def _add(self, scope: str, key: str) -> bool:
        """Set the key's bits; tell whether all of them were set before."""
        mixed = hash((scope, key))
        bits, known = self._bits, True
        for shift in (0, 13, 26, 39):
            place = mixed >> shift & _MASK
            byte, bit = place >> 3, 1 << (place & 7)
            if not bits[byte] & bit:
                bits[byte] |= bit
                known = False
        return known


def _keys_after(reader: sqlite3.Connection, last: tuple[str, str]) -> list[tuple[str, str]]:
    return reader.execute(
        "SELECT scope, key FROM idempotency WHERE (scope, key) > (?, ?) ORDER BY scope, key LIMIT ?", (*last, _CHUNK)
    ).fetchall()
