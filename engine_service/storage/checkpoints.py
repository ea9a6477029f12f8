"""Checkpoints: what the journal's head was at a row, one line each, kept apart from the journal.

A chain alone cannot tell that its end was cut off. A checkpoint says "row ``seq`` existed and its hash was ``head``";
it is numbered without gaps and sealed with the key of the row after it, so that a line cannot be changed, left out or
made up. The file is only ever appended to and never read by the engine: it may belong to another user (``chattr +a``)
or lie on another machine.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine_service.storage.codec import Undecodable, decode, encode

#: A checkpoint at least every so many rows, and after so many seconds with new rows.
EVERY_ROWS: Final = 1_000
EVERY_S: Final = 60.0
_BEGINNING: Final = b'{"number":'


class BrokenCheckpoints(ValueError):
    """The file has a gap or a line that is none. ``after_seq``: the row of the last checkpoint before it."""

    def __init__(self, after_seq: int, detail: str) -> None:
        super().__init__(detail)
        self.after_seq = after_seq


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One line. ``count`` rows up to ``seq``; ``audited``: how far the audit log was written out."""

    number: int
    seq: int
    count: int
    audited: int
    at_ms: int
    head: str
    mac: str = ""


def seal(secret: bytes, checkpoint: Checkpoint) -> str:
    """Return the seal of a checkpoint by the key of the row after it."""
    figures = (checkpoint.number, checkpoint.seq, checkpoint.count, checkpoint.audited, checkpoint.at_ms)
    text = b"checkpoint|%d|%d|%d|%d|%d|" % figures + checkpoint.head.encode()
    return hmac.digest(secret, text, "sha256").hex()


def is_sealed(secret: bytes, checkpoint: Checkpoint) -> bool:
    """Tell whether a checkpoint was written by who had the key."""
    return hmac.compare_digest(seal(secret, checkpoint), checkpoint.mac)


def line_of(checkpoint: Checkpoint) -> bytes:
    """Return the line that is appended."""
    return encode(checkpoint) + b"\n"


def read_checkpoints(path: Path) -> list[Checkpoint]:
    """Read the file; an end that a crash cut short does not count.

    Raises:
        BrokenCheckpoints: a line is missing or is not a checkpoint.
        OSError: the file is there and cannot be read.
    """
    found: list[Checkpoint] = []
    torn = False
    for line in _lines(path):
        number, seq = (found[-1].number, found[-1].seq) if found else (0, 0)
        try:
            checkpoint = decode(Checkpoint, line)
        except Undecodable as error:
            if torn or not _may_be_torn(line):
                raise BrokenCheckpoints(seq, f"the line after checkpoint {number} is none") from error
            torn = True
            continue
        if line_of(checkpoint) != line + b"\n" or checkpoint.count != checkpoint.seq:
            raise BrokenCheckpoints(seq, f"checkpoint {checkpoint.number} is not as it was written")
        # Lines that were written just before a crash are written again, under the same numbers.
        if not 0 < checkpoint.number <= number + 1:
            raise BrokenCheckpoints(seq, f"checkpoint {number + 1} is missing")
        found.append(checkpoint)
        torn = False
    return found


def _lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line != b"\n":
                yield line.removesuffix(b"\n")


def _may_be_torn(line: bytes) -> bool:
    """A crash while writing leaves the beginning of a line; the line is written again at the next start."""
    return line.startswith(_BEGINNING) or _BEGINNING.startswith(line)
