"""What a token may do, and who carries it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


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
