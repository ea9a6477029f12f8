"""Rows by the dozen: one statement writes many, because the interpreter is given away and asked back for each.

SQLite works without the interpreter's lock and Python takes it again after every row. While orders keep the event loop
busy, the writer waits for the lock each time; a statement of many rows leaves both to their work meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Final

#: Statements have 1, 2, 4 ... rows, so that few of them serve any number; SQLite knows 32,766 parameters at most.
MOST_ROWS: Final = 256


@dataclass(frozen=True)
class Insert:
    """``INSERT`` into a table of so many columns. ``end`` follows the values: what is done about a conflict."""

    begin: str
    columns: int
    end: str = ""

    def run(self, connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Write rows, in their order.

        Raises:
            sqlite3.Error: a constraint or the disk refused.
        """
        done, left = 0, len(rows)
        while left:
            count = min(1 << (left.bit_length() - 1), MOST_ROWS)
            part = rows[done : done + count]
            connection.execute(_statement(self, count), tuple(chain.from_iterable(part)))
            done += count
            left -= count


@lru_cache
def _statement(insert: Insert, rows: int) -> str:
    row = f"({','.join('?' * insert.columns)})"
    return f"{insert.begin} VALUES {','.join([row] * rows)} {insert.end}"
