"""Writes checkpoints and turns the stored key, in a thread beside the journal's: no order ever waits for either.

The order is what makes it sound: rows are on the disk first, then their checkpoint, then the key that follows. Whatever
a crash leaves, the stored key is never ahead of a checkpoint, nor a checkpoint ahead of the journal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final, NamedTuple

import structlog

from engine_service.storage.checkpoints import EVERY_S, Checkpoint, line_of, seal
from engine_service.storage.keys import KeyState, write_state

#: Under load checkpoints are written in lots, so that they take little of the disk from the journal.
PAUSE_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Position(NamedTuple):
    """A durable row: its hash and the key of the row after it."""

    seq: int
    head: bytes
    secret: bytes


class Anchors:
    """Takes positions from the journal's writer. ``written`` of them are on disk in their second place."""

    def __init__(
        self,
        state_path: Path,
        path: Path,
        state: KeyState,
        *,
        every_s: float = EVERY_S,
        pause_s: float = PAUSE_S,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Continue from ``state``; nothing is written before ``start``."""
        self._state_path, self._path = state_path, path
        self._number, self._written_seq, self._written_audited = state.checkpoint, state.seq, 0
        self._every_s, self._pause_s, self._now_ms = every_s, pause_s, now_ms
        self._due: list[Position] = []
        self._latest: Position | None = None
        self._lock, self._wake, self._ended = Lock(), Event(), Event()
        self._thread: Thread | None = None
        self._torn = True
        self.audited = 0

    @property
    def last_seq(self) -> int:
        """The newest row that a checkpoint vouches for."""
        return self._written_seq

    def start(self) -> None:
        """Begin to write."""
        self._thread = Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def note(self, due: list[Position], latest: Position) -> None:
        """Take what became durable: positions that must have a checkpoint, and the newest one."""
        with self._lock:
            self._due += due
            self._latest = latest
        if due:
            self._wake.set()

    def close(self) -> None:
        """Write the last checkpoint and end."""
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def flush(self) -> None:
        """Write a checkpoint for all that is due and for the newest row.

        Raises:
            OSError: the second place or the folder of the keys refused; what is due stays so.
        """
        with self._lock:
            due, latest = list(self._due), self._latest
        if latest is not None and (not due or due[-1].seq < latest.seq):
            due.append(latest)
        due = [position for position in due if position.seq > self._written_seq]
        if not due and latest is not None and self._ended.is_set() and self.audited > self._written_audited:
            due = [latest]
        if not due:
            return
        self._append(due)
        self._number += len(due)
        last = due[-1]
        self._written_seq, self._written_audited = last.seq, min(self.audited, last.seq)
        write_state(self._state_path, KeyState(seq=last.seq, checkpoint=self._number, secret=last.secret.hex()))
        with self._lock:
            self._due = [position for position in self._due if position.seq > last.seq]

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(self._every_s)
            self._wake.clear()
            self._flush_or_say()
            self._ended.wait(self._pause_s)
        self._flush_or_say()

    def _flush_or_say(self) -> None:
        try:
            self.flush()
        except OSError as error:
            _log.error("checkpoint not written; it is tried again", reason=str(error), path=str(self._path))

    def _append(self, positions: list[Position]) -> None:
        lines = b"".join(self._line(number, position) for number, position in enumerate(positions, self._number + 1))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # What an earlier crash or full disk left of a line must not run into this one.
            rest = memoryview(b"\n" + lines if self._torn else lines)
            self._torn = True
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            self._torn = False
        finally:
            os.close(descriptor)

    def _line(self, number: int, position: Position) -> bytes:
        checkpoint = Checkpoint(
            number=number,
            seq=position.seq,
            count=position.seq,
            audited=min(self.audited, position.seq),
            at_ms=self._now_ms(),
            head=position.head.hex(),
        )
        return line_of(replace(checkpoint, mac=seal(position.secret, checkpoint)))
