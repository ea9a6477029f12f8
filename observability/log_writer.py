"""Log lines leave by a thread of their own: a log that nobody reads, or a full disk, never holds up an order."""

from __future__ import annotations

import logging
import os
from queue import Full, Queue
from threading import Event, Thread
from typing import Final

#: Records that may wait; beyond that new ones are dropped and counted.
CAPACITY: Final = 10_000


class LogWriter(logging.Handler):
    """Queues records and writes them to a file descriptor from a daemon thread. ``dropped`` counts what is lost.

    It writes past Python's own file objects: a thread that hangs in one of those would keep its lock beyond the end
    of the program.
    """

    def __init__(self, descriptor: int, capacity: int = CAPACITY) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._queue: Queue[logging.LogRecord | Event] = Queue(capacity)
        Thread(target=self._write_for_ever, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; never waits."""
        try:
            self._queue.put_nowait(record)
        except Full:
            self.dropped += 1

    def drain(self, within_s: float) -> bool:
        """Wait until everything queued so far is written; ``False`` where that takes longer."""
        reached = Event()
        try:
            self._queue.put(reached, timeout=within_s)
        except Full:
            return False
        return reached.wait(within_s)

    def _write_for_ever(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, Event):
                item.set()
            else:
                self._write(item)

    def _write(self, record: logging.LogRecord) -> None:
        try:
            rest = memoryview(f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except (OSError, TypeError, ValueError, MemoryError):
            # Nobody can be told by a line: the counter is what a person sees.
            self.dropped += 1


def writers() -> list[LogWriter]:
    """Return the writers that the root logger has."""
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, LogWriter)]


def drain(within_s: float = 2.0) -> None:
    """Wait until what was logged so far is written, but not for long: the reader may be gone for good."""
    for writer in writers():
        writer.drain(within_s)


def dropped() -> int:
    """Return how many records were lost so far."""
    return sum(writer.dropped for writer in writers())
