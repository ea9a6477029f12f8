"""Rows of the journal as they are stored, read in short transactions so that a long read never holds up the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from engine_service.storage.chain import Row

CHUNK: Final = 5_000
_COLUMNS: Final = "seq, epoch, version, at_ms, kind, client_order_id, body, hash"
#: What the table's own types promise. A flipped bit in a row's header turns a number into bytes, or a text into a blob
#: of the same letters, which no hash over its bytes would notice.
_WELL_TYPED: Final = (
    "typeof(epoch) = 'integer' AND typeof(version) = 'integer' AND typeof(at_ms) = 'integer' AND typeof(kind) = 'text'"
    " AND typeof(client_order_id) IN ('text', 'null') AND typeof(body) = 'text' AND typeof(hash) = 'blob'"
)


def rows_after(connection: sqlite3.Connection, seq: int) -> Iterator[Row]:
    """Yield every row with a larger sequence number, also those written while this reads; texts stay bytes.

    Raises:
        sqlite3.Error: the database is damaged, or a value is not of its column's type.
    """
    connection.text_factory = bytes
    select = f"SELECT {_WELL_TYPED}, {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT {CHUNK}"  # noqa: S608  # constants only
    while chunk := connection.execute(select, (seq,)).fetchall():
        for well_typed, *values in chunk:
            if not well_typed:
                raise sqlite3.DatabaseError(f"a value of event {values[0]} is not of its column's type")
            yield Row(*values)
        seq = chunk[-1][1]


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
