"""The halt that the journal could not take: one block beside it, made while there is room, overwritten in place.

A full disk takes no new block, but what was written before can be written anew. The next start reads it, trades no more
and journals the halt; only when that is durable does the note say again that there is none. A note that is damaged
counts as a halt: nobody knows what stood there.
"""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import structlog

from engine_service.domain.ids import ENGINE
from engine_service.domain.state import Halt
from engine_service.storage.codec import Undecodable, decode, encode
from engine_service.storage.keys import write_private

BLOCK_BYTES: Final = 4096
#: Longer ones are cut, so that any note fits into its block however its characters are written.
_LONGEST_REASON, _LONGEST_PRINCIPAL = 500, 100

_log = structlog.get_logger(__name__)


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    halt: Halt | None
    sha256: str


class HaltNote:
    """The note of one engine folder; ``prepare`` comes before all else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = False

    def prepare(self) -> None:
        """Make the note, which says that there is no halt, where there is none.

        Raises:
            OSError: there is no room for it.
        """
        if not self._path.exists():
            write_private(self._path, _block(None))

    def read(self) -> Halt | None:
        """Return the halt that stands in the note, as it is told at a start; ``None`` where there is none."""
        try:
            content = self._path.read_bytes()
            halt = _halt_in(content)
        except FileNotFoundError:
            return None
        except (OSError, Undecodable) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            reason = (
                f"{self._path.name} cannot be read ({cause}): trading may have been halted while the journal could not"
                " be written; look at orders and positions, then resume"
            )
            return Halt(reason=reason, principal=ENGINE, at_ms=0)
        if halt is None:
            return None
        at = datetime.fromtimestamp(halt.at_ms / 1000, UTC)
        reason = f"{halt.reason} (halted at {at:%Y-%m-%d %H:%M:%S} UTC, when the journal could not be written)"
        return Halt(reason=reason, principal=halt.principal, at_ms=halt.at_ms)

    def keep(self, halt: Halt) -> bool:
        """Write down a halt, the first one of this process; tell whether it is on the disk."""
        if self._kept:
            return True
        short = Halt(
            reason=halt.reason[:_LONGEST_REASON], principal=halt.principal[:_LONGEST_PRINCIPAL], at_ms=halt.at_ms
        )
        self._kept = self._written(short)
        return self._kept

    def clear(self) -> None:
        """Say that there is no halt. Where the disk refuses, the next start halts once more."""
        if self.read() is not None and self._written(None):
            self._kept = False

    def _written(self, halt: Halt | None) -> bool:
        try:
            _overwrite(self._path, _block(halt))
        except OSError as error:
            _log.error("the note of the halt was not written", path=str(self._path), reason=error.strerror)
            return False
        return True


def _overwrite(path: Path, block: bytes) -> None:
    # Neither cut nor replaced: both could ask for a block that a full disk does not have.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        written = os.pwrite(descriptor, block, 0)
        if written != len(block):
            raise OSError(0, f"only {written} bytes were written")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _block(halt: Halt | None) -> bytes:
    return encode(_Note(halt=halt, sha256=_digest(halt))).ljust(BLOCK_BYTES - 1) + b"\n"


def _halt_in(content: bytes) -> Halt | None:
    if len(content) != BLOCK_BYTES:
        raise Undecodable(f"{len(content)} bytes instead of {BLOCK_BYTES}")
    note = decode(_Note, content)
    if note.sha256 != _digest(note.halt):
        raise Undecodable("its digest is of something else")
    return note.halt


def _digest(halt: Halt | None) -> str:
    return hashlib.sha256(encode(halt)).hexdigest()
