"""Where the events of an order stand, without an index over all of them.

The events of an order come in runs: neighbours in the journal, most orders in one alone. The table of orders knows
where the first run begins, ``order_runs`` where each later one does. An index over every event would cost a page of
the log for every order, because their ids are spread by chance.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from engine_service.storage.rows import newest_seq
from engine_service.storage.sealing import SealedRow

#: Begins an order's first run.
FIRST_KIND: Final = "OrderInitialized"
_KNOWN_TO: Final = "order_runs_to"
_ROWS_AFTER: Final = "SELECT seq, 0, 0, 0, kind, client_order_id, '', x'' FROM events WHERE seq > ? ORDER BY seq"

#: ``seqs`` are the sequence numbers of one order's events; the parameter ``cid`` names it.
_SEQS_BY_RUN: Final = """
WITH RECURSIVE seqs (seq) AS (
    SELECT seq FROM orders WHERE client_order_id = :cid
    UNION SELECT seq FROM order_runs WHERE client_order_id = :cid
    UNION SELECT events.seq FROM seqs JOIN events ON events.seq = seqs.seq + 1 WHERE events.client_order_id = :cid
)
"""
#: The same in a journal made before, with an index over all events.
_SEQS_BY_INDEX: Final = "WITH seqs (seq) AS (SELECT seq FROM events WHERE client_order_id = :cid) "

Run = tuple[str, int]


def keeps_runs(connection: sqlite3.Connection) -> bool:
    """Tell whether this journal is made with runs.

    Raises:
        sqlite3.Error: the database is damaged.
    """
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'order_runs'").fetchone() is not None


def with_seqs(connection: sqlite3.Connection, select: str) -> str:
    """Return a query about the ``seqs`` of one order's events, as this journal is made.

    Raises:
        sqlite3.Error: the database is damaged.
    """
    return (_SEQS_BY_RUN if keeps_runs(connection) else _SEQS_BY_INDEX) + select


class Runs:
    """Finds where later runs begin. The first event it sees may be in the middle of one: then that one has two."""

    def __init__(self) -> None:
        self._last: str | None = None

    def begun(self, rows: Iterable[SealedRow]) -> list[Run]:
        """Return the later runs that begin among the next rows of ``events``."""
        begun, last = [], self._last
        for seq, _, _, _, kind, order_id, _, _ in rows:
            if order_id != last and order_id is not None and kind != FIRST_KIND:
                begun.append((order_id, seq))
            last = order_id
        self._last = last
        return begun


def write_runs(connection: sqlite3.Connection, runs: Iterable[Run]) -> None:
    """Write the beginnings of later runs.

    Raises:
        sqlite3.Error: the disk refused.
    """
    connection.executemany("INSERT OR IGNORE INTO order_runs VALUES (?,?)", runs)


def note_known_to(connection: sqlite3.Connection, seq: int) -> None:
    """Remember that the runs up to an event are written.

    Raises:
        sqlite3.Error: the disk refused.
    """
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KNOWN_TO, str(seq)))


def catch_up(connection: sqlite3.Connection) -> None:
    """Write the runs of the newest rows, and of all that a version added that knows nothing of runs.

    Raises:
        sqlite3.Error: the database is damaged, or the disk refused.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_KNOWN_TO,)).fetchone()
    known_to = 0 if row is None else int(row[0])
    newest = newest_seq(connection)
    if newest == known_to:
        return
    rows = connection.execute(_ROWS_AFTER, (known_to,))
    begun = Runs().begun(rows)
    connection.execute("BEGIN IMMEDIATE")
    write_runs(connection, begun)
    note_known_to(connection, newest)
    connection.execute("COMMIT")
