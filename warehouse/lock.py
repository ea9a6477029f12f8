"""One writer per table at a time, over all processes of this machine."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.02


class TableLocked(Exception):
    """Another writer kept the table for longer than the patience."""


@contextmanager
def table_lock(folder: Path, patience_s: float) -> Iterator[None]:
    """Hold the table's lock. The system gives it back when the process dies, however it dies.

    Raises:
        TableLocked: the lock was not free within ``patience_s`` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(handle, folder, patience_s)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, folder: Path, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TableLocked(f"{folder} is being written by another process for {patience_s:.0f} s") from None
            time.sleep(_POLL_S)
        else:
            return
