"""Checks the audit log against itself and, row by row, against the journal it copies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine_service.domain.keyed_hash import KeyedHash
from engine_service.storage.audit_log import files_of, line_hash
from engine_service.storage.chain import Row

_BEGINNING = re.compile(rb'\{"seq":(\d{1,18}),')
_HASH_BYTES = len(b',"hash":""}\n') + 64


class BadLine(ValueError):
    """A line that is not what the journal and the chain say. ``seq``: where; ``kind``: how."""

    def __init__(self, seq: int, kind: str, where: str) -> None:
        super().__init__(where)
        self.seq, self.kind, self.where = seq, kind, where


@dataclass(frozen=True, slots=True)
class Line:
    """One sound line of the chain; ``text`` is the line up to its hash."""

    seq: int
    text: bytes
    where: str


class AuditStream:
    """Follows one stream beside the journal's rows. ``lacks``: the first row it has no line for, 0 for none."""

    def __init__(self, folder: Path, name: str, keys: Sequence[bytes]) -> None:
        """``keys``: the key of today and, for what an older version wrote before it, the one before."""
        self.name, self.lacks = name, 0
        self._orders_only = name == "orders"
        self._lines = _lines(folder, name, keys)
        self._next = next(self._lines, None)

    def take(self, row: Row) -> None:
        """Check the line of a row.

        Raises:
            BadLine: it is missing or says something else, or the chain breaks.
        """
        if self._orders_only and row.client_order_id is None:
            return
        line = self._next
        if line is None:
            self.lacks = self.lacks or row.seq
            return
        if line.seq != row.seq:
            raise BadLine(row.seq, "missing" if line.seq > row.seq else "reordered", line.where)
        if not _same(line.text, row):
            raise BadLine(row.seq, "altered", line.where)
        self._next = next(self._lines, None)

    @property
    def ahead(self) -> Line | None:
        """The line that no row was found for yet."""
        return self._next


def _same(text: bytes, row: Row) -> bool:
    if text == b'{"seq":%d,"kind":"%b","event":%b' % (row.seq, row.kind, row.body):
        return True
    try:
        said, stored = json.loads(text + b"}"), json.loads(row.body)
    except ValueError:
        return False
    return bool(said == {"seq": row.seq, "kind": row.kind.decode("utf-8", "replace"), "event": stored})


def _lines(folder: Path, name: str, keys: Sequence[bytes]) -> Iterator[Line]:
    head, seq, left = b"", 0, [KeyedHash(key) for key in reversed(keys)]
    for path, file in _opened(folder, name):
        with file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                where = f"{path.name}:{number}"
                begun, text = _BEGINNING.match(line), line[:-_HASH_BYTES]
                if begun is None:
                    raise BadLine(seq + 1, "altered", where)
                said = int(begun[1])
                if name == "events" and said != seq + 1:
                    raise BadLine(seq + 1, "missing", where)
                while left and not _is_next(left[0], head, text, line):
                    left.pop(0)
                if not left:
                    raise BadLine(said, "altered", where)
                head, seq = line[-67:-3], said
                yield Line(seq, text, where)


def _opened(folder: Path, name: str) -> list[tuple[Path, BinaryIO]]:
    """Open all files of a stream as they stand at one moment: the engine may rename the newest meanwhile."""
    while True:
        paths = files_of(folder, name)
        try:
            files: list[tuple[Path, BinaryIO]] = [(path, path.open("rb")) for path in paths]
        except FileNotFoundError:
            continue
        if files_of(folder, name) == paths:
            return files
        for _, file in files:
            file.close()


def _is_next(key: KeyedHash, head: bytes, text: bytes, line: bytes) -> bool:
    return line == text + b',"hash":"%b"}\n' % line_hash(key, head, text)
