"""What regimes must beat: one Gaussian for all bars, judged on the same held-out bars; and two ways to be just long."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from strategies.contracts import Bar, Signal
from strategies.features import FEATURES
from strategies.research.walk_forward import WalkForwardOptions, folds

Array = NDArray[np.float64]
YEAR_MS = 365.25 * 86_400_000


def single_gaussian_log_likelihood(rows: Array, features: tuple[str, ...], options: WalkForwardOptions) -> float:
    """Return the mean held-out log-likelihood per bar, in nats, of one diagonal Gaussian.

    It is fitted on each fold's training rows of the feature matrix (T, 7) and judged in that fold's standardised
    units, as the regime model is, so that the two can be subtracted.

    Raises:
        ValueError: there are too few rows for one fold.
    """
    columns = [FEATURES.index(name) for name in features]
    found: list[Array] = []
    for fold in folds(len(rows), options):
        train = rows[fold.train_from : fold.train_to]
        test = rows[max(fold.train_from, fold.test_from - options.purge) : fold.test_to]
        known = train[np.isfinite(train).all(axis=1)][:, columns]
        asked = test[np.isfinite(test).all(axis=1)][:, columns]
        spread = known.std(axis=0)
        if len(known) and (spread > 0).all():
            distance = (asked - known.mean(axis=0)) / spread
            found.append(-0.5 * (math.log(2.0 * math.pi) + distance**2).sum(axis=1))
    return float(np.concatenate(found).mean()) if found else float("nan")


class BuyAndHold:
    """Long from the first bar on: what every strategy is compared with."""

    strategy_id = "buy_and_hold"
    warm_up = 1

    def __init__(self) -> None:
        self._began = False

    def on_bar(self, bar: Bar) -> Signal | None:
        """Ask for the full size at the first bar, then for nothing."""
        if self._began:
            return None
        self._began = True
        return Signal(strategy=self.strategy_id, symbol=bar.symbol, at_ms=bar.close_at_ms, target=1.0, confidence=0.5)


class VolatilityTarget:
    """Long, sized so that the expected volatility is constant: target / realised, at most 1.

    Realised volatility is the standard deviation of log returns over ``window`` bars, annualised by the bar's length.
    The size changes only by ``band`` or more, which keeps turnover down.
    """

    strategy_id = "vol_target"

    def __init__(self, window: int = 48, target: float = 0.4, band: float = 0.1) -> None:
        """``target`` is an annual volatility as a share, ``band`` a share of the full size.

        Raises:
            ValueError: a window of fewer than 2 bars, or a target or band that is not positive.
        """
        if window < 2 or target <= 0 or band <= 0:
            raise ValueError("the window must be at least 2 bars, target and band above 0")
        self._target = target
        self._band = band
        self._window = window
        self._steps: deque[float] = deque(maxlen=window)
        self._last: float | None = None
        self._held = 0.0

    @property
    def warm_up(self) -> int:
        return self._window + 1

    def on_bar(self, bar: Bar) -> Signal | None:
        """Take a closed bar; a signal comes where the wanted size moved far enough."""
        if self._last is not None:
            self._steps.append(math.log(bar.close / self._last))
        self._last = bar.close
        if len(self._steps) < self._window:
            return None
        per_year = YEAR_MS / (bar.close_at_ms - bar.open_at_ms)
        realised = self._spread() * math.sqrt(per_year)
        wanted = min(1.0, self._target / realised) if realised > 0 else 1.0
        if abs(wanted - self._held) < self._band:
            return None
        self._held = wanted
        why = {"volatility": f"{realised:.6g}"}
        return Signal(
            strategy=self.strategy_id, symbol=bar.symbol, at_ms=bar.close_at_ms, target=wanted, confidence=0.5, why=why
        )

    def _spread(self) -> float:
        mean = sum(self._steps) / self._window
        return math.sqrt(sum((step - mean) ** 2 for step in self._steps) / (self._window - 1))
