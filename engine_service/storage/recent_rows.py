"""The newest committed rows, kept for the one who follows the journal, so that it need not read them from the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from threading import Lock
from typing import Final, Protocol

from engine_service.storage.port import LogRow
from engine_service.storage.sealing import SealedRow

#: Some seconds of the heaviest load; beyond, the oldest go and are read from the disk.
KEPT: Final = 20_000


class LogSource(Protocol):
    """Where the lines of the audit log come from."""

    def log_rows_after(self, seq: int, limit: int) -> list[LogRow]:
        """Return committed events with a larger sequence number, in order."""


class RecentRows:
    """Filled by the journal's writer, emptied by its follower, each in a thread of its own."""

    def __init__(self, kept: int = KEPT) -> None:
        self._rows: deque[SealedRow] = deque(maxlen=kept)
        self._lock = Lock()

    def add(self, rows: Iterable[SealedRow]) -> None:
        """Take what was committed: the rows that follow those taken before."""
        with self._lock:
            self._rows.extend(rows)

    def after(self, seq: int, limit: int) -> list[LogRow]:
        """Return rows with a larger sequence number and forget those before; none where the next one is not here."""
        rows = self._rows
        with self._lock:
            while rows and rows[0][0] <= seq:
                rows.popleft()
            if not rows or rows[0][0] != seq + 1:
                return []
            found = list(islice(rows, limit))
        return [LogRow(row[0], row[4], row[5] is not None, row[6]) for row in found]


class Following:
    """A source that looks into memory first and onto the disk for what is not there."""

    def __init__(self, recent: RecentRows, disk: LogSource) -> None:
        self._recent, self._disk = recent, disk

    def log_rows_after(self, seq: int, limit: int) -> list[LogRow]:
        """Return committed events with a larger sequence number, in order."""
        return self._recent.after(seq, limit) or self._disk.log_rows_after(seq, limit)
