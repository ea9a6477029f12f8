"""What a token may do, and who carries it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a token may do. Every known caller may halt trading.

    ``CANCEL`` is for watchdogs: it takes orders off the market and places none. ``METRICS`` is for scrapers.
    """

    READ = "read"
    TRADE = "trade"
    ADMIN = "admin"
    CANCEL = "cancel"
    METRICS = "metrics"


#: What a token of each kind may do: whoever may trade may look, whoever administers may do everything.
GRANTS: Mapping[str, frozenset[Scope]] = {
    "read": frozenset({Scope.READ}),
    "trade": frozenset({Scope.READ, Scope.TRADE}),
    "admin": frozenset(Scope),
    "cancel": frozenset({Scope.CANCEL}),
    "metrics": frozenset({Scope.METRICS}),
}
#: The engine's own tokens, which are named for what they may do; the other kinds are issued to named callers alone.
OWN: Final = ("read", "trade", "admin")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the token's name and what it may do."""

    name: str
    scopes: frozenset[Scope]
