"""What a row of the torture table is: a promise, how it is tried, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much to try. ``quick`` is what a push is held to, about half an hour for all rows on two cores."""

    folder: Path
    quick: bool = True
    seed: int = 1

    def pick(self, quick: int, full: int) -> int:
        """Return the number for this run."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Failure:
    """One broken promise: in which trial, and the figures."""

    subject: str
    detail: str


@dataclass(slots=True)
class Outcome:
    """``tried`` trials; each entry of ``failures`` is one broken promise."""

    tried: int
    failures: list[Failure] = field(default_factory=list)
    notes: str = ""

    @property
    def failed(self) -> int:
        return len(self.failures)


class CannotRun(RuntimeError):
    """What the row needs is not on this machine; the message names it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``what`` is the promise in a person's words."""

    name: str
    what: str
    run: Callable[[Options], Outcome]
