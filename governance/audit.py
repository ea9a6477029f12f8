"""The record of what was decided and why: append-only JSON lines, durable before the decision takes effect."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class DecisionLog:
    """One append-only file of decisions. Safe for several processes; a torn last line is left out when reading."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, kind: str, at_ms: int, decision: Mapping[str, Any]) -> None:
        """Add one decision and wait until it is on disk.

        Args:
            kind: what was decided about, e.g. ``promotion``.
            at_ms: UTC epoch milliseconds.
            decision: JSON values.

        Raises:
            OSError: the line could not be made durable.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"kind": kind, "at_ms": at_ms, **decision}, sort_keys=True, allow_nan=False)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.write(handle, (_line_break_if_torn(handle) + line + "\n").encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def read(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the decisions, oldest first, of one kind or of all."""
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                decision = json.loads(line)
            except ValueError:
                continue  # the torn end of a write that a crash cut short: that decision never took effect
            if kind is None or decision["kind"] == kind:
                yield decision


def _line_break_if_torn(handle: int) -> str:
    size = os.fstat(handle).st_size
    return "" if size == 0 or os.pread(handle, 1, size - 1) == b"\n" else "\n"
