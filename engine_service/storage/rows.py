"""Rows of the journal as they are stored, read in short transactions so that a long read never holds up the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from engine_service.storage.chain import Row

CHUNK: Final = 5_000
_COLUMNS: Final = "seq, epoch, version, at_ms, kind, client_order_id, body, hash"


def rows_after(connection: sqlite3.Connection, seq: int) -> Iterator[Row]:
    """Yield every row with a larger sequence number, also those written while this reads; texts stay bytes.

    Raises:
        sqlite3.Error: the database is damaged.
    """
    connection.text_factory = bytes
    while True:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT {CHUNK}", (seq,))  # noqa: S608  # constants only
        chunk = rows.fetchall()
        yield from map(Row._make, chunk)
        if not chunk:
            return
        seq = chunk[-1][0]


def first_seq(connection: sqlite3.Connection) -> int:
    """Return the smallest sequence number there is, 1 in an empty journal."""
    found = connection.execute("SELECT MIN(seq) FROM events").fetchone()[0]
    return 1 if found is None else int(found)


def newest_seq(connection: sqlite3.Connection) -> int:
    """Return the newest committed sequence number, 0 in an empty journal."""
    found = connection.execute("SELECT MAX(seq) FROM events").fetchone()[0]
    return 0 if found is None else int(found)


def newest_projected(connection: sqlite3.Connection) -> int:
    """Return the newest sequence number that any table speaks of: beyond the journal's end, its end is missing."""
    tables = ("orders", "fills", "balances", "positions", "equity_snapshots")
    newest = [connection.execute(f"SELECT MAX(seq) FROM {table}").fetchone()[0] for table in tables]  # noqa: S608  # constants only
    return max((int(seq) for seq in newest if seq is not None), default=0)
