"""Readable copies of the journal: ``events.jsonl`` with everything, ``orders.jsonl`` with what concerns orders.

One line per event with its sequence number and a keyed hash over the line and the hash before it, so that a removed or
edited line is found. Files are rotated by size; the first line of a new file continues the chain. The journal is the
truth: at start the log is caught up from it, and a full disk here stops nothing but the log.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from engine_service.domain.events import OrderEvent
from engine_service.storage.codec import as_plain
from engine_service.storage.port import JournalReader, Recorded

ROTATE_BYTES: Final = 64 * 1024 * 1024
STREAMS: Final = ("events", "orders")
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class BadLine:
    """The first line that breaks a chain."""

    seq: int
    kind: str
    where: str


class AuditLog:
    """Appends to both files. Called off the order path; ``write`` may be run in a thread."""

    def __init__(self, folder: Path, key: bytes, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        """Open the folder and find the ends of both chains.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._streams = [_Stream(folder, name, key, rotate_bytes) for name in STREAMS]

    @property
    def last_seq(self) -> int:
        """The newest sequence number in ``events.jsonl``."""
        return self._streams[0].last_seq

    def catch_up(self, reader: JournalReader) -> int:
        """Write what the journal has and the log lacks; return how many events that were.

        Raises:
            OSError: the disk refused.
        """
        written = 0
        while events := reader.events_after(self.last_seq, _CHUNK):
            self.write(events)
            written += len(events)
        return written

    def write(self, batch: Sequence[Recorded]) -> None:
        """Append committed events.

        Raises:
            OSError: the disk refused.
        """
        everything, orders = self._streams
        everything.write(batch)
        orders.write([recorded for recorded in batch if isinstance(recorded.event, OrderEvent)])

    def close(self) -> None:
        """Close both files."""
        for stream in self._streams:
            stream.close()


class _Stream:
    """One chained, rotated file."""

    def __init__(self, folder: Path, name: str, key: bytes, rotate_bytes: int) -> None:
        self._folder, self._name, self._key, self._rotate_bytes = folder, name, key, rotate_bytes
        self.last_seq, self._head = _end_of_chain(folder, name)
        self._file: TextIO = (folder / f"{name}.jsonl").open("a", encoding="utf-8")

    def write(self, batch: Iterable[Recorded]) -> None:
        lines = []
        for recorded in batch:
            if recorded.seq <= self.last_seq:
                continue
            text = json.dumps({"seq": recorded.seq, **as_plain(recorded.event)}, separators=(",", ":"))
            self._head = line_hash(self._key, self._head, text)
            lines.append(f'{text[:-1]},"hash":"{self._head}"}}\n')
            self.last_seq = recorded.seq
        if not lines:
            return
        self._file.writelines(lines)
        self._file.flush()
        if self._file.tell() >= self._rotate_bytes:
            self._rotate()

    def _rotate(self) -> None:
        self._file.close()
        current = self._folder / f"{self._name}.jsonl"
        current.rename(self._folder / f"{self._name}-{self.last_seq:012d}.jsonl")
        self._file = current.open("a", encoding="utf-8")

    def close(self) -> None:
        self._file.close()


def line_hash(key: bytes, previous: str, text: str) -> str:
    """Return the keyed hash of a line without its own hash, chained to the line before."""
    return hmac.new(key, f"{previous}{text}".encode(), hashlib.sha256).hexdigest()


def files_of(folder: Path, name: str) -> list[Path]:
    """Return a stream's files, oldest first."""
    rotated = sorted(folder.glob(f"{name}-*.jsonl"))
    current = folder / f"{name}.jsonl"
    return [*rotated, current] if current.exists() else rotated


def verify(folder: Path, key: bytes) -> BadLine | None:
    """Check both chains; an incomplete last line (a crash while writing) is no break.

    Raises:
        OSError: a file cannot be read.
    """
    for name in STREAMS:
        bad = _verify_stream(folder, name, key)
        if bad is not None:
            return bad
    return None


def _verify_stream(folder: Path, name: str, key: bytes) -> BadLine | None:
    head, seq = "", 0
    for path in files_of(folder, name):
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    break
                parsed = _parse(line)
                where = f"{path.name}:{number}"
                if parsed is None:
                    return BadLine(seq + 1, "altered", where)
                if name == "events" and parsed["seq"] != seq + 1:
                    return BadLine(seq + 1, "missing", where)
                head = line_hash(key, head, _without_hash(line))
                if parsed["hash"] != head:
                    return BadLine(parsed["seq"], "altered", where)
                seq = parsed["seq"]
    return None


def _without_hash(line: str) -> str:
    return line.rpartition(',"hash":"')[0] + "}"


def _parse(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    sound = isinstance(parsed, dict) and isinstance(parsed.get("seq"), int) and isinstance(parsed.get("hash"), str)
    return parsed if sound else None


def _end_of_chain(folder: Path, name: str) -> tuple[int, str]:
    """Return the last sequence number and hash; a line that a crash cut short is removed."""
    for path in reversed(files_of(folder, name)):
        _cut_torn_line(path)
        last = _last_line(path)
        parsed = None if last is None else _parse(last)
        if parsed is not None:
            return int(parsed["seq"]), str(parsed["hash"])
    return 0, ""


def _cut_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, 2)
        back = min(size, 1 << 20)
        file.seek(size - back)
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(size - back + tail.rfind(b"\n") + 1)


def _last_line(path: Path) -> str | None:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - (1 << 20)))
        lines = file.read().splitlines()
    return lines[-1].decode("utf-8", "replace") if lines else None
