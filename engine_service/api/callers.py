"""Named callers beside the engine's own three tokens: what they may do, from when and until when.

Only the digest of a token is kept; the token itself is shown once, to who issues it. The file is read again when it
changes, so that a caller who is revoked is refused within a second, also on a connection that stands.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from engine_service.api.grants import GRANTS, OWN, Principal
from engine_service.domain.errors import ConfigurationError

LOOK_EVERY_S: Final = 1.0
DAY_MS: Final = 86_400_000
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,31}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One caller; times in epoch milliseconds, ``expires_at_ms`` 0: never."""

    name: str
    digest: bytes
    scope: str
    not_before_ms: int
    expires_at_ms: int

    def is_valid(self, now_ms: int) -> bool:
        """Tell whether the token counts now."""
        return self.not_before_ms <= now_ms and (not self.expires_at_ms or now_ms < self.expires_at_ms)

    @property
    def principal(self) -> Principal:
        return Principal(self.name, GRANTS[self.scope])


@dataclass(slots=True)
class CallerFile:
    """The callers of one file. A file that cannot be read lets nobody in."""

    path: Path
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    _callers: tuple[Caller, ...] = ()
    _looked_s: float = -LOOK_EVERY_S
    _seen: tuple[int, int] = field(default=(-1, -1))

    def valid(self) -> list[Caller]:
        """Return who counts now."""
        if time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._look()
        now_ms = self.now_ms()
        return [caller for caller in self._callers if caller.is_valid(now_ms)]

    def _look(self) -> None:
        self._looked_s = time.monotonic()
        try:
            found = self.path.stat()
        except OSError:
            self._callers, self._seen = (), (-1, -1)
            return
        if (found.st_mtime_ns, found.st_ino) == self._seen:
            return
        self._seen = (found.st_mtime_ns, found.st_ino)
        try:
            self._callers = read(self.path)
        except ConfigurationError as error:
            self._callers = ()
            _log.error("no named caller is let in", code=error.code, reason=error.detail)


def read(path: Path) -> tuple[Caller, ...]:
    """Return the callers of a file, none where there is no file.

    Raises:
        ConfigurationError: others can read it (``TOKEN_FILE_OPEN``), or it is not what ``issue`` wrote
            (``TOKEN_FILE_INVALID``).
    """
    if not path.exists():
        return ()
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigurationError("TOKEN_FILE_OPEN", f"{path} has mode {mode:o}; run: chmod 600 {path}")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        callers = tuple(_caller(row) for row in (rows if isinstance(rows, list) else [rows]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError("TOKEN_FILE_INVALID", f"{path} is not a list of callers; issue them anew") from error
    if len({caller.name for caller in callers}) != len(callers):
        raise ConfigurationError("TOKEN_FILE_INVALID", f"{path} names a caller twice")
    return callers


def _caller(row: dict[str, Any]) -> Caller:
    name, digest, scope = str(row["name"]), str(row["sha256"]), str(row["scope"])
    times = row["not_before_ms"], row["expires_at_ms"]
    if not _NAME.fullmatch(name) or name in OWN or not _DIGEST.fullmatch(digest) or scope not in GRANTS:
        raise ValueError(name)
    if not all(isinstance(moment, int) and moment >= 0 for moment in times):
        raise ValueError(name)
    return Caller(name=name, digest=bytes.fromhex(digest), scope=scope, not_before_ms=times[0], expires_at_ms=times[1])


def issue(path: Path, name: str, scope: str, days: int, now_ms: int) -> str:
    """Add a caller, or give a known one a new token; return the token, which is kept nowhere.

    Args:
        days: how long it counts; 0 for ever.

    Raises:
        ConfigurationError: the name or the scope cannot be (``TOKEN_FILE_INVALID``), or the file cannot be read.
    """
    if not _NAME.fullmatch(name) or name in OWN or scope not in GRANTS:
        allowed = f"a name of a-z, 0-9 and -, not {', '.join(OWN)}; a scope of {', '.join(GRANTS)}"
        raise ConfigurationError("TOKEN_FILE_INVALID", f"a caller needs {allowed}")
    token = secrets.token_urlsafe(32)
    caller = Caller(
        name=name,
        digest=hashlib.sha256(token.encode()).digest(),
        scope=scope,
        not_before_ms=now_ms,
        expires_at_ms=now_ms + days * DAY_MS if days else 0,
    )
    _write(path, [*(known for known in read(path) if known.name != name), caller])
    return token


def revoke(path: Path, name: str) -> bool:
    """Remove a caller; tell whether there was one.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    known = read(path)
    left = [caller for caller in known if caller.name != name]
    if len(left) != len(known):
        _write(path, left)
    return len(left) != len(known)


def _write(path: Path, callers: list[Caller]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        rows = [
            {
                "name": caller.name,
                "sha256": caller.digest.hex(),
                "scope": caller.scope,
                "not_before_ms": caller.not_before_ms,
                "expires_at_ms": caller.expires_at_ms,
            }
            for caller in sorted(callers, key=lambda caller: caller.name)
        ]
        json.dump(rows, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
