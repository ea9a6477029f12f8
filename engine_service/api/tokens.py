"""Bearer tokens: random, made once, kept in a file only the owner can read, compared in constant time.

The engine's own three are for the programs of this machine, which read them from that file; everyone else is a named
caller (``callers``), of whom only a digest is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from engine_service.api.callers import CallerFile
from engine_service.api.grants import GRANTS, OWN, Principal
from engine_service.domain.errors import ConfigurationError

MIN_TOKEN_LENGTH = 32


class TokenBook:
    """Known tokens by digest; the tokens themselves are not kept. ``callers`` are asked after the engine's own."""

    def __init__(self, tokens: Mapping[str, str], callers: CallerFile | None = None) -> None:
        self._callers = callers
        self._known = [
            (hashlib.sha256(token.encode()).digest(), Principal(name, GRANTS[name]))
            for name, token in sorted(tokens.items())
        ]

    def identify(self, token: str) -> Principal | None:
        """Return whose token this is. Every known digest is compared, whichever matches."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found: Principal | None = None
        for known, principal in self._known:
            if hmac.compare_digest(known, digest):
                found = principal
        if found is None and self._callers is not None:
            for caller in self._callers.valid():
                if hmac.compare_digest(caller.digest, digest):
                    found = caller.principal
        return found

    def still_holds(self, principal: Principal) -> bool:
        """Tell whether a caller who was let in would be let in now: not expired, not revoked, no less allowed."""
        own = any(known == principal for _, known in self._known)
        named = [] if self._callers is None else self._callers.valid()
        return own or any(caller.principal == principal for caller in named)


def load_or_create(path: Path) -> dict[str, str]:
    """Return the tokens by name, making the file (mode 0600) at the first start.

    Raises:
        ConfigurationError: the file is readable by others, is not what this engine wrote, or holds a weak token.
    """
    if not path.exists():
        _write(path, {name: secrets.token_urlsafe(32) for name in OWN})
    return load(path)


def load(path: Path) -> dict[str, str]:
    """Return the tokens by name.

    Raises:
        ConfigurationError: there is no such file, it is readable by others, is not what an engine wrote, or holds a
            weak token.
    """
    if not path.exists():
        raise ConfigurationError("TOKEN_FILE_MISSING", f"{path} is not there; the trader makes it at its first start")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigurationError("TOKEN_FILE_OPEN", f"{path} has mode {mode:o}; run: chmod 600 {path}")
    try:
        tokens = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError("TOKEN_FILE_INVALID", f"{path} is not JSON; remove it to make new tokens") from error
    if not isinstance(tokens, dict) or set(tokens) != set(OWN):
        raise ConfigurationError("TOKEN_FILE_INVALID", f"{path} must hold the keys read, trade and admin")
    for name, token in tokens.items():
        if not isinstance(token, str) or len(token) < MIN_TOKEN_LENGTH:
            raise ConfigurationError("TOKEN_WEAK", f"{path}: the {name} token needs {MIN_TOKEN_LENGTH} characters")
    return dict(tokens)


def _write(path: Path, tokens: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(tokens, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
