"""The secrets of a home folder: the journal's root key, the key of the next row, the audit log's key.

They stand in ``keys/`` (0700), apart from what they seal. The root is needed to check the whole chain, not to run the
engine: a careful operator moves it to where the checking is done.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine_service.domain.errors import ConfigurationError
from engine_service.storage.chain import KEY_BYTES, Ratchet
from engine_service.storage.codec import decode, encode

_AUDIT: Final = b"audit log"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """What the engine may know: the key of the row after ``seq``, and the number of the last checkpoint."""

    seq: int
    checkpoint: int
    secret: str

    @property
    def ratchet(self) -> Ratchet:
        return Ratchet(self.seq, bytes.fromhex(self.secret))


def audit_key_of(root: bytes) -> bytes:
    """Return the key of the audit log's lines."""
    return hmac.digest(root, _AUDIT, "sha256")


def load_key(path: Path) -> bytes:
    """Read a secret of 32 bytes, made at first use; only its owner may read the file.

    Raises:
        ConfigurationError: as ``read_key`` says.
    """
    if not path.exists():
        write_private(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")
    return read_key(path)


def read_key(path: Path) -> bytes:
    """Read a secret of 32 bytes.

    Raises:
        ConfigurationError: the file is damaged (``KEY_INVALID``), readable by others (``KEY_EXPOSED``) or not there
            (``KEY_MISSING``).
    """
    try:
        key = bytes.fromhex(_private(path).decode("ascii").strip())
    except ValueError as error:
        raise ConfigurationError("KEY_INVALID", f"{path} does not hold a key") from error
    if len(key) != KEY_BYTES:
        raise ConfigurationError("KEY_INVALID", f"{path} does not hold a key of {KEY_BYTES} bytes")
    return key


def read_state(path: Path) -> KeyState | None:
    """Read the key of the next row; ``None`` where there is none.

    Raises:
        ConfigurationError: as ``read_key`` says.
    """
    if not path.exists():
        return None
    try:
        state = decode(KeyState, _private(path))
        length = len(bytes.fromhex(state.secret))
    except ValueError as error:
        raise ConfigurationError("KEY_INVALID", f"{path} does not hold the journal's next key: {error}") from error
    if length != KEY_BYTES or state.seq < 0:
        raise ConfigurationError("KEY_INVALID", f"{path} does not hold a key of {KEY_BYTES} bytes")
    return state


def write_state(path: Path, state: KeyState) -> None:
    """Replace the key of the next row; the one before is gone.

    Raises:
        OSError: the disk refused; the old file is still whole.
    """
    write_private(path, encode(state) + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: whole or not at all, and on the disk.

    Raises:
        OSError: it could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable.

    Raises:
        OSError: the disk refused.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError("KEY_EXPOSED", f"{path} is readable by others; run: chmod 600 {path}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError("KEY_MISSING", f"{path} is not there") from error
