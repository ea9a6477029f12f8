"""Moving average crossover: long when the fast average crosses above the slow one on a closed bar, out below.

The averages are compared as whole numbers of 1e-8 quote: exact, so that a tie is a tie, and the bar-by-bar reading and
the one over all bars at once (``crossings``) agree whatever the order of the sums.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.contracts import Bar, Signal
from strategies.rolling import rolling_sums
from strategies.track_record import TrackRecord

STRATEGY_ID = "ma_cross"
#: Price units per quote unit; venues write prices with at most eight decimals.
UNITS = 1e8
_LARGEST = 2.0**62
_LARGEST_FLOAT = 2.0**53
#: Bars whose crossings confidence rests on, the slow window's included: fewer than an engine reads when it starts.
MEMORY_BARS = 490
#: Closes read at a time: sums of so many stay in the processor's cache.
_PIECE = 16_384


class TooLarge(ValueError):
    """Prices whose sums over these windows cannot be held exactly; bar by bar there is no limit."""


def crossings(closes: NDArray[np.float64], fast: int, slow: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (bars, up): at which of the closes, shape (T,), the averages cross, and whether upwards.

    Raises:
        ValueError: not 1 <= fast < slow.
        TooLarge: the prices are too large to be summed exactly.
    """
    _check_windows(fast, slow)
    windows = len(closes) - slow + 1
    if windows < 2:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
    above = np.empty(windows, dtype=np.bool_)
    for begin in range(0, windows, _PIECE):
        units = closes[begin : begin + _PIECE + slow - 1] * UNITS
        _above(np.rint(units, out=units), fast, slow, above[begin : begin + _PIECE])
    flips = np.flatnonzero(above[1:] != above[:-1])
    return flips + slow, above[flips + 1]


def _above(units: NDArray[Any], fast: int, slow: int, out: NDArray[np.bool_]) -> None:
    """Write where the fast average is above the slow one: where it is above that of the slow one's older bars."""
    largest = float(units.max()) * fast * slow
    if largest >= _LARGEST:
        raise TooLarge("the prices are too large for these windows")
    # Floats hold whole numbers up to 2^53 as exactly as integers do, and need no turning into them.
    if largest >= _LARGEST_FLOAT:
        units = units.astype(np.int64)
    older = slow - fast
    newest, before = rolling_sums(units, (fast, older))
    newest, before = newest[older:], before[:-fast]
    common = math.gcd(fast, older)
    # A factor of one is common, and a pass over the bars for nothing.
    if older > common:
        newest = newest * (older // common)
    if fast > common:
        before = before * (fast // common)
    np.greater(newest, before, out=out)


def _check_windows(fast: int, slow: int) -> None:
    if not 1 <= fast < slow:
        raise ValueError("the fast window must be at least 1 and shorter than the slow one")


class MovingAverageCross:
    """Signals on the crossing itself, once; never on the level, which would repeat at every bar."""

    def __init__(self, fast: int = 9, slow: int = 21) -> None:
        """``fast`` and ``slow`` are windows in bars.

        Raises:
            ValueError: not 1 <= fast < slow.
        """
        _check_windows(fast, slow)
        self._fast = fast
        self._slow = slow
        self._units: deque[int] = deque(maxlen=slow)
        self._fast_sum = 0
        self._slow_sum = 0
        self._was_above: bool | None = None
        self._record = TrackRecord(max(0, MEMORY_BARS - slow))

    @property
    def strategy_id(self) -> str:
        return STRATEGY_ID

    @property
    def warm_up(self) -> int:
        return self._slow + 1

    def on_bar(self, bar: Bar) -> Signal | None:
        """Take a closed bar; a signal comes only at the bar of a crossing."""
        self._take(bar.close)
        self._record.next_bar()
        if len(self._units) < self._slow:
            return None
        above = self._fast_sum * self._slow > self._slow_sum * self._fast
        crossed = self._was_above is not None and above != self._was_above
        self._was_above = above
        if not crossed:
            return None
        self._record.signal(bar.close, above)
        return Signal(
            strategy=STRATEGY_ID,
            symbol=bar.symbol,
            at_ms=bar.close_at_ms,
            target=1.0 if above else -1.0,
            confidence=self._record.confidence,
            why={
                "fast": f"{self._fast_sum / self._fast / UNITS:.10g}",
                "slow": f"{self._slow_sum / self._slow / UNITS:.10g}",
                "crossed": "up" if above else "down",
                **self._record.why,
            },
        )

    def _take(self, close: float) -> None:
        units = round(close * UNITS)
        if len(self._units) >= self._fast:
            self._fast_sum -= self._units[-self._fast]
        if len(self._units) == self._slow:
            self._slow_sum -= self._units[0]
        self._fast_sum += units
        self._slow_sum += units
        self._units.append(units)
