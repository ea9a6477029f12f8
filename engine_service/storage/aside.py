"""Lists that people ask for, read in a thread and on a connection of their own: orders do not wait for them.

Most filters have an index, some do not: orders of one status, trades since a moment. To walk over a journal of a
million orders takes a second, and on the event loop nothing else would happen in it. SQLite works without the
interpreter's lock. Reads stand in one line: ten of them take one core, not all.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine_service.domain.errors import Unavailable
from engine_service.storage.port import Found
from engine_service.storage.reader import SqliteReader


class ReadsAside:
    """The thread and its reader, which is opened by the first read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: SqliteReader | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-reads")
        self._closed = False

    async def run(self, read: Callable[[SqliteReader], Found]) -> Found:
        """Return what ``read`` finds.

        Raises:
            Unavailable: the journal is closed (``JOURNAL_UNAVAILABLE``).
            sqlite3.Error: the database is damaged.
        """
        if self._closed:
            raise _closed()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, read)
        except sqlite3.OperationalError as error:
            if self._closed:
                raise _closed() from error
            raise

    def close(self) -> None:
        """Break off what is being read and let go of the file."""
        self._closed = True
        self._thread.shutdown()
        if self._reader is not None:
            self._reader.close()

    def _read(self, read: Callable[[SqliteReader], Found]) -> Found:
        if self._closed:
            raise _closed()
        if self._reader is None:
            self._reader = SqliteReader(self._path)
            self._reader.break_off_when(lambda: self._closed)
        return read(self._reader)


def _closed() -> Unavailable:
    return Unavailable("JOURNAL_UNAVAILABLE", "the journal is closed: the engine stops")
