"""Reads `--accounts FILE`: several accounts with keys, permissions and balances.

    accounts:
      - id: alice
        balances: {USDT: "100000", BTC: "1"}
        fees_in_bnb: false
        keys:
          - {key: alice-key, secret: alice-secret, permissions: [READ, SPOT, FUTURES]}
          - {key: alice-ed, public_key_file: alice.pem, permissions: [READ]}

A key has either `secret` (HMAC-SHA256) or an Ed25519 public key: `public_key` as PEM text, or `public_key_file`, a
path from the file's own folder. Permissions default to all.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine_service.exchange_sim.config import ConfigError
from engine_service.exchange_sim.enums import KeyKind, Permission
from engine_service.exchange_sim.model import AccountSpec, ApiKey

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
_Amount = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=8)]


class _KeyEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: _Name
    secret: str | None = Field(default=None, min_length=1)
    public_key: str | None = None
    public_key_file: str | None = None
    permissions: list[Permission] = list(Permission)


class _AccountEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: _Name
    balances: Mapping[Annotated[str, Field(pattern="^[A-Z0-9]{2,12}$")], _Amount] = {}
    fees_in_bnb: bool = False
    keys: list[_KeyEntry] = Field(min_length=1)


class _AccountFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    accounts: list[_AccountEntry] = Field(min_length=1)


def read_accounts(path: Path) -> tuple[AccountSpec, ...]:
    """Raises ConfigError naming the file, the field and what is allowed."""
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        parsed = _AccountFile.model_validate(written)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError("--accounts", str(path), f"a readable YAML or JSON file ({reason})") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise ConfigError("--accounts", f"{path}: {place}", first["msg"]) from error
    accounts = tuple(_account(path, entry) for entry in parsed.accounts)
    _check_unique(path, "id", [account.account_id for account in accounts])
    _check_unique(path, "key", [key.key for account in accounts for key in account.keys])
    return accounts


def _account(path: Path, entry: _AccountEntry) -> AccountSpec:
    return AccountSpec(
        account_id=entry.id,
        keys=tuple(_key(path, key) for key in entry.keys),
        balances=tuple(entry.balances.items()),
        pays_fees_in_bnb=entry.fees_in_bnb,
    )


def _key(path: Path, entry: _KeyEntry) -> ApiKey:
    given = [entry.secret, entry.public_key, entry.public_key_file]
    if sum(value is not None for value in given) != 1:
        raise ConfigError(
            "--accounts", f"{path}: key {entry.key}", "exactly one of secret, public_key, public_key_file"
        )
    permissions = frozenset(entry.permissions)
    if entry.secret is not None:
        return ApiKey(entry.key, KeyKind.HMAC, entry.secret, permissions)
    return ApiKey(entry.key, KeyKind.ED25519, _public_key(path, entry), permissions)


def _public_key(path: Path, entry: _KeyEntry) -> str:
    allowed = "an Ed25519 public key in PEM"
    try:
        pem = entry.public_key or (path.parent / str(entry.public_key_file)).read_text(encoding="ascii")
        loaded = load_pem_public_key(pem.encode())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError("--accounts", f"{path}: key {entry.key}", allowed) from error
    if not isinstance(loaded, Ed25519PublicKey):
        raise ConfigError("--accounts", f"{path}: key {entry.key}", allowed)
    return pem


def _check_unique(path: Path, what: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ConfigError("--accounts", f"{path}: {what} {value}", "each only once")
