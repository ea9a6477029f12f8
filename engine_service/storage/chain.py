"""The hash chain over journal rows: an altered, missing or reordered row breaks every hash after it.

Row ``n`` is sealed with a key of its own, ``k(n) = SHA-256("next" | k(n-1))``, ``k(0)`` being the root. The engine
keeps only the key of the row to come (``Ratchet``), so whoever reads it can neither forge nor re-seal what was written
before. Checking needs the root, which may live elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, NamedTuple

from engine_service.domain.keyed_hash import keyed_hash

GENESIS: Final = bytes(32)
KEY_BYTES: Final = 32
#: Rows of the first version are sealed with the root itself, and their hash leaves the order's id out.
FIRST_VERSION: Final = 1
#: Version of the rows written now.
ROW_VERSION: Final = 2


class Row(NamedTuple):
    """One row of ``events`` as it is stored; texts are UTF-8 bytes, so that damaged ones can be read too."""

    seq: int
    epoch: int
    version: int
    at_ms: int
    kind: bytes
    client_order_id: bytes | None
    body: bytes
    hash: bytes


@dataclass(slots=True)
class Ratchet:
    """The key of the row after ``seq``. It only turns forwards."""

    seq: int
    secret: bytes

    @classmethod
    def from_root(cls, root: bytes) -> Ratchet:
        """Return the key of row 1."""
        return cls(0, next_secret(root))

    def turn(self) -> bytes:
        """Return the key of the next row and forget it."""
        secret = self.secret
        self.seq += 1
        self.secret = next_secret(secret)
        return secret

    def forward_to(self, seq: int) -> Ratchet:
        """Turn until the key of the row after ``seq`` is at hand.

        Raises:
            ValueError: that row's key is forgotten already.
        """
        if seq < self.seq:
            raise ValueError(f"the key of row {seq + 1} is gone; this one begins at {self.seq + 1}")
        while self.seq < seq:
            self.turn()
        return self


def next_secret(secret: bytes) -> bytes:
    """Return the key that follows; there is no way back."""
    return hashlib.sha256(b"next" + secret).digest()


def link(
    key: bytes, previous: bytes, seq: int, epoch: int, at_ms: int, kind: bytes, order_id: bytes | None, body: bytes
) -> bytes:
    """Return the hash of a row of today's version, which covers every column and the row before it."""
    if order_id is None:
        head = b"%d|%d|%d|%d|%d|%b|-1||" % (seq, epoch, ROW_VERSION, at_ms, len(kind), kind)
    else:
        figures = (seq, epoch, ROW_VERSION, at_ms, len(kind), kind, len(order_id), order_id)
        head = b"%d|%d|%d|%d|%d|%b|%d|%b|" % figures
    return keyed_hash(key, previous + head + body)


def link_first_version(root: bytes, previous: bytes, row: Row) -> bytes:
    """Return the hash of a row of the first version."""
    head = b"%d|%d|%d|%d|%b|" % (row.seq, row.epoch, row.version, row.at_ms, row.kind)
    return keyed_hash(root, previous + head + row.body)


class Walker:
    """Checks rows one after the other from a known point on.

    ``root`` is needed for rows of the first version only, which always stand before all others.
    """

    def __init__(self, ratchet: Ratchet, head: bytes = GENESIS, *, root: bytes | None = None) -> None:
        self.ratchet, self.head = ratchet, head
        self._root = root
        self._modern = False

    def accepts(self, row: Row) -> bool:
        """Tell whether the row is the sound next one; if so the walker stands on it."""
        if row.seq != self.ratchet.seq + 1:
            return False
        found = seal_of(row, self.ratchet.secret, self.head, None if self._modern else self._root)
        if found is None or not hmac.compare_digest(found, row.hash):
            return False
        self._modern = self._modern or row.version == ROW_VERSION
        self.ratchet.turn()
        self.head = row.hash
        return True


def seal_of(row: Row, secret: bytes, previous: bytes, root: bytes | None) -> bytes | None:
    """Return the hash the row should have after ``previous``, or ``None`` where no version explains it."""
    if row.version == ROW_VERSION:
        return link(secret, previous, row.seq, row.epoch, row.at_ms, row.kind, row.client_order_id, row.body)
    if row.version == FIRST_VERSION and root is not None:
        return link_first_version(root, previous, row)
    return None
