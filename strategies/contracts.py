"""What every strategy takes and gives: closed bars in, signals out. Numbers only; no clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One closed bar: the half-open span [``open_at_ms``, ``close_at_ms``), prices in quote, volume in base units."""

    symbol: str
    open_at_ms: int
    close_at_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What a strategy wants after a bar.

    ``target`` is the wanted exposure as a share of the strategy's size, -1 (short) to 1 (long). ``confidence`` is a
    probability-like number, 0 to 1, on one scale for all strategies. ``why`` holds the numbers behind it, as text.
    """

    strategy: str
    symbol: str
    at_ms: int
    target: float
    confidence: float
    why: Mapping[str, str] = field(default_factory=dict)


class Strategy(Protocol):
    """A stateful, deterministic reader of one symbol's closed bars."""

    @property
    def strategy_id(self) -> str:
        """The name under which it is configured, funded and journaled."""

    @property
    def warm_up(self) -> int:
        """How many closed bars it needs before its first signal."""

    def on_bar(self, bar: Bar) -> Signal | None:
        """Take the next closed bar; return a signal where the wish changed, else ``None``."""
