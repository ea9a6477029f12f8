"""Bearer tokens: random, made once, kept in a file only the owner can read, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine_service.domain.errors import ConfigurationError

MIN_TOKEN_LENGTH = 32


class Scope(StrEnum):
    """What a token may do. Every known caller may halt trading."""

    READ = "read"
    TRADE = "trade"
    ADMIN = "admin"


#: A file token's scopes: whoever may trade may look, whoever administers may do both.
GRANTS: Mapping[str, frozenset[Scope]] = {
    "read": frozenset({Scope.READ}),
    "trade": frozenset({Scope.READ, Scope.TRADE}),
    "admin": frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the token's name and what it may do."""

    name: str
    scopes: frozenset[Scope]


class TokenBook:
    """Known tokens by digest; the tokens themselves are not kept."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
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
        return found


def load_or_create(path: Path) -> dict[str, str]:
    """Return the tokens by name, making the file (mode 0600) at the first start.

    Raises:
        ConfigurationError: the file is readable by others, is not what this engine wrote, or holds a weak token.
    """
    if not path.exists():
        _write(path, {name: secrets.token_urlsafe(32) for name in GRANTS})
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
    if not isinstance(tokens, dict) or set(tokens) != set(GRANTS):
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
