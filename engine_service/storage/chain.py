"""The hash chain over journal rows: an altered, missing or reordered row breaks every hash after it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from engine_service.domain.errors import ConfigurationError

GENESIS: Final = bytes(32)
KEY_BYTES: Final = 32


def link(key: bytes, previous: bytes, seq: int, epoch: int, version: int, at_ms: int, kind: str, body: str) -> bytes:
    """Return the hash of a row, which covers the row before it."""
    canonical = f"{seq}|{epoch}|{version}|{at_ms}|{kind}|{body}".encode()
    return hmac.digest(key, previous + canonical, hashlib.sha256)


def load_key(path: Path) -> bytes:
    """Read a secret of 32 bytes, made at first use; only its owner may read the file.

    Raises:
        ConfigurationError: the file is damaged (``KEY_INVALID``) or readable by others (``KEY_EXPOSED``).
    """
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise ConfigurationError("KEY_EXPOSED", f"{path} is readable by others; run: chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError as error:
        raise ConfigurationError("KEY_INVALID", f"{path} does not hold a key") from error
    if len(key) != KEY_BYTES:
        raise ConfigurationError("KEY_INVALID", f"{path} does not hold a key of {KEY_BYTES} bytes")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
