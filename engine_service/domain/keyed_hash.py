"""HMAC-SHA256 spelled out.

OpenSSL looks its own up anew at every call, which costs as much as hashing a row, and ``hmac.digest`` gives the
interpreter away meanwhile: on the event loop that is a commit's turn in the middle of an order.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


def keyed_hash(key: bytes, message: bytes) -> bytes:
    """Return what ``hmac.digest(key, message, "sha256")`` returns."""
    block = _block(key)
    inner = sha256(block.translate(_INNER) + message).digest()
    return sha256(block.translate(_OUTER) + inner).digest()


class KeyedHash:
    """The same for many messages under one key, which is hashed once."""

    def __init__(self, key: bytes) -> None:
        block = _block(key)
        self._inner, self._outer = sha256(block.translate(_INNER)), sha256(block.translate(_OUTER))

    def hex(self, message: bytes) -> str:
        """Return the hash of a message in hexadecimal."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()


def _block(key: bytes) -> bytes:
    return (sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
