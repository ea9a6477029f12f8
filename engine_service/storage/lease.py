"""One writer per home folder: a lock that the kernel drops when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from engine_service.domain.errors import EngineError


class LeaseHeld(EngineError):
    """Another engine works on this folder."""


class Lease:
    """Held from ``acquire`` until ``release`` or the end of the process; a stale file means nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock or refuse.

        Raises:
            LeaseHeld: another engine has it (``ENGINE_RUNNING``).
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder else "another process"
            raise LeaseHeld("ENGINE_RUNNING", f"{who} already runs an engine on {self._path.parent}") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next engine in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
