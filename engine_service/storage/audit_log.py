"""Readable copies of the journal: ``events.jsonl`` with everything, ``orders.jsonl`` with what concerns orders.

One line per event with its sequence number and a keyed hash over the line and the hash before it, so that a removed or
edited line is found. Files are rotated by size; the first line of a new file continues the chain. The journal is the
truth: at start the log is caught up from it, and a full disk here stops nothing but the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

from engine_service.domain.keyed_hash import KeyedHash
from engine_service.storage.port import LogRow
from engine_service.storage.recent_rows import LogSource

ROTATE_BYTES: Final = 64 * 1024 * 1024
STREAMS: Final = ("events", "orders")
_CHUNK = 5_000


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

    def catch_up(self, source: LogSource) -> int:
        """Write what the journal has and the log lacks; return how many events that were.

        Raises:
            OSError: the disk refused.
        """
        written = 0
        while rows := source.log_rows_after(self.last_seq, _CHUNK):
            self.write(rows)
            written += len(rows)
        return written

    def write(self, rows: list[LogRow]) -> None:
        """Append committed events.

        Raises:
            OSError: the disk refused.
        """
        everything, orders = self._streams
        texts = [(row.seq, text_of(row.seq, row.kind, row.body).encode(), row.of_order) for row in rows]
        orders.write([(seq, text) for seq, text, of_order in texts if of_order])
        # Last, because its end tells how far the log goes.
        everything.write([(seq, text) for seq, text, _ in texts])

    def close(self) -> None:
        """Close both files."""
        for stream in self._streams:
            stream.close()


class _Stream:
    """One chained, rotated file."""

    def __init__(self, folder: Path, name: str, key: bytes, rotate_bytes: int) -> None:
        self._folder, self._name, self._rotate_bytes = folder, name, rotate_bytes
        self._key = KeyedHash(key)
        self.last_seq, self._head = _end_of_chain(folder, name)
        self._file: BinaryIO = (folder / f"{name}.jsonl").open("ab")

    def write(self, texts: Iterable[tuple[int, bytes]]) -> None:
        lines: list[bytes] = []
        for seq, text in texts:
            if seq <= self.last_seq:
                continue
            self._head = line_hash(self._key, self._head, text)
            lines += (text, b',"hash":"', self._head, b'"}\n')
            self.last_seq = seq
        if not lines:
            return
        self._file.write(b"".join(lines))
        self._file.flush()
        if self._file.tell() >= self._rotate_bytes:
            self._rotate()

    def _rotate(self) -> None:
        self._file.close()
        current = self._folder / f"{self._name}.jsonl"
        current.rename(self._folder / f"{self._name}-{self.last_seq:012d}.jsonl")
        self._file = current.open("ab")

    def close(self) -> None:
        self._file.close()


def text_of(seq: int, kind: str, body: str) -> str:
    """Return a line up to its hash: ASCII only, so that no terminal is fooled by what someone wrote into a reason."""
    event = body if body.isascii() else json.dumps(json.loads(body), separators=(",", ":"))
    return f'{{"seq":{seq},"kind":"{kind}","event":{event}'


def line_hash(key: KeyedHash, previous: bytes, text: bytes) -> bytes:
    """Return the keyed hash of a line without its own hash, chained to the line before; both hashes in hexadecimal."""
    return key.hex(previous + text + b"}").encode()


def last_seq(folder: Path) -> int:
    """Return how far the log goes, without opening it for writing; 0 where there is none."""
    for path in reversed(files_of(folder, STREAMS[0])):
        last = _last_line(path)
        if last is not None:
            return int(last["seq"])
    return 0


def files_of(folder: Path, name: str) -> list[Path]:
    """Return a stream's files, oldest first."""
    rotated = sorted(folder.glob(f"{name}-*.jsonl"))
    current = folder / f"{name}.jsonl"
    return [*rotated, current] if current.exists() else rotated


def parse(line: str | bytes) -> dict[str, Any] | None:
    """Return a line's values, or ``None`` where it is no line of this log."""
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    sound = isinstance(parsed, dict) and isinstance(parsed.get("seq"), int) and isinstance(parsed.get("hash"), str)
    return parsed if sound else None


def _end_of_chain(folder: Path, name: str) -> tuple[int, bytes]:
    """Return the last sequence number and hash; a line that a crash cut short is removed."""
    for path in reversed(files_of(folder, name)):
        _cut_torn_line(path)
        last = _last_line(path)
        if last is not None:
            return int(last["seq"]), str(last["hash"]).encode()
    return 0, b""


def _cut_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, 2)
        back = min(size, 1 << 20)
        file.seek(size - back)
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(size - back + tail.rfind(b"\n") + 1)


def _last_line(path: Path) -> dict[str, Any] | None:
    """Return the last whole line."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - (1 << 20)))
        lines = file.read().rpartition(b"\n")[0].splitlines()
    return parse(lines[-1]) if lines else None
