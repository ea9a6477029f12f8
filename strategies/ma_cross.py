"""Moving average crossover: long when the fast average crosses above the slow one on a closed bar, out below."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

from strategies.contracts import Bar, Signal

STRATEGY_ID = "ma_cross"


class MovingAverageCross:
    """Signals on the crossing itself, once; never on the level, which would repeat at every bar."""

    def __init__(self, fast: int = 9, slow: int = 21) -> None:
        """``fast`` and ``slow`` are windows in bars.

        Raises:
            ValueError: not 1 <= fast < slow.
        """
        if not 1 <= fast < slow:
            raise ValueError("the fast window must be at least 1 and shorter than the slow one")
        self._fast = fast
        self._slow = slow
        self._closes: deque[float] = deque(maxlen=slow)
        self._was_above: bool | None = None

    @property
    def strategy_id(self) -> str:
        return STRATEGY_ID

    @property
    def warm_up(self) -> int:
        return self._slow + 1

    def on_bar(self, bar: Bar) -> Signal | None:
        """Take a closed bar; a signal comes only at the bar of a crossing."""
        self._closes.append(bar.close)
        if len(self._closes) < self._slow:
            return None
        closes = list(self._closes)
        fast = sum(closes[-self._fast :]) / self._fast
        slow = sum(closes) / self._slow
        above = fast > slow
        crossed = self._was_above is not None and above != self._was_above
        self._was_above = above
        if not crossed:
            return None
        return Signal(
            strategy=STRATEGY_ID,
            symbol=bar.symbol,
            at_ms=bar.close_at_ms,
            target=1.0 if above else -1.0,
            confidence=self._confidence(closes),
            why={"fast": f"{fast:.10g}", "slow": f"{slow:.10g}", "crossed": "up" if above else "down"},
        )

    @staticmethod
    def _confidence(closes: list[float]) -> float:
        """Return how decisive the move is: the last closes' drift against their noise, through the normal's tail.

        A crossing is weak evidence by itself, so the scale starts at 0.55.
        """
        steps = [math.log(after / before) for before, after in pairwise(closes)]
        mean = sum(steps) / len(steps)
        spread = math.sqrt(sum((step - mean) ** 2 for step in steps) / max(1, len(steps) - 1))
        score = abs(mean) / spread * math.sqrt(len(steps)) if spread > 0 else 0.0
        return 0.55 + 0.45 * math.erf(score / math.sqrt(2.0))
