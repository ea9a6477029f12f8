"""What the figures of a backtest need of its equity, gathered piece by piece in one reading."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from strategies.research.metrics import ReturnMoments

Floats = NDArray[np.float64]
#: Bars whose lowest and highest equity are kept.
STRETCH = 1024
#: Bars read at a time, a whole number of stretches: so many stay in the processor's cache.
PIECE = 16 * STRETCH


@dataclass(slots=True)
class EquitySummary:
    """``total`` and ``gross`` are the sums of equity and of the absolute value held; ``moments`` are of the simple
    returns from bar to bar, up to the last before ruin: an account without equity has no returns to speak of.
    ``lows`` and ``highs`` are of each stretch, the last one shorter than the others."""

    bars: int = 0
    total: float = 0.0
    gross: float = 0.0
    moments: ReturnMoments = field(default_factory=ReturnMoments)
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    _last: float = math.nan
    _ruined: bool = False

    def add(self, equity: Floats, gross: Floats) -> None:
        """Take the next bars, a whole number of stretches unless they are the last."""
        whole = len(equity) // STRETCH * STRETCH
        lowest = math.inf
        for stretches in (equity[:whole].reshape(-1, STRETCH), equity[whole:].reshape(1, -1)):
            if stretches.size:
                lows = stretches.min(axis=1).tolist()
                lowest = min(lowest, *lows)
                self.lows += lows
                self.highs += stretches.max(axis=1).tolist()
        self._add_returns(equity, ruined=lowest <= 0.0)
        self.bars += len(equity)
        self.total += float(equity.sum())
        self.gross += float(gross.sum())

    def _add_returns(self, equity: Floats, *, ruined: bool) -> None:
        alive = equity[: int(np.argmax(equity <= 0.0))] if ruined else equity
        if len(alive) and not self._ruined:
            returns = np.empty(len(alive))
            np.subtract(alive[1:], alive[:-1], out=returns[1:])
            returns[1:] /= alive[:-1]
            returns[0] = (alive[0] - self._last) / self._last
            first = 0 if self.bars else 1
            if len(alive) > first:
                self.moments.add(returns[first:])
            self._last = float(alive[-1])
        self._ruined |= ruined
