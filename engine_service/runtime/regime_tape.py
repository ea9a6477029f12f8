"""What the engine itself believed, bar by bar: a bounded memory of filtered regimes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BARS_KEPT = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeObservation:
    """The filtered view at one closed live bar. ``posterior`` sums to 1; ``price`` is the close."""

    symbol: str
    open_at_ms: int
    close_at_ms: int
    price: float
    regime: int
    label: str
    posterior: tuple[float, ...]
    model_version: str


class RegimeTape:
    """The newest observations of every symbol, oldest first."""

    def __init__(self, kept: int = BARS_KEPT) -> None:
        self._kept = kept
        self._tapes: dict[str, deque[RegimeObservation]] = {}

    def add(self, observation: RegimeObservation) -> None:
        """Keep an observation."""
        self._tapes.setdefault(observation.symbol, deque(maxlen=self._kept)).append(observation)

    def of(self, symbol: str) -> Sequence[RegimeObservation]:
        """Return one symbol's observations."""
        return tuple(self._tapes.get(symbol, ()))

    def all(self) -> Mapping[str, Sequence[RegimeObservation]]:
        """Return every symbol's observations."""
        return {symbol: tuple(tape) for symbol, tape in self._tapes.items()}

    def newest(self) -> Mapping[str, RegimeObservation]:
        """Return every symbol's newest observation."""
        return {symbol: tape[-1] for symbol, tape in self._tapes.items() if tape}
