"""Performance figures with their standard errors. Returns are simple returns per bar, shape (T,).

Sources: Lo (2002), The Statistics of Sharpe Ratios; Mertens (2002), Comments on the Correct Variance of the Sharpe
Ratio; Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_NORMAL = NormalDist()
_EULER = 0.5772156649015329


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """``sharpe`` and ``sharpe_se`` are annualised; the rest are plain shares. ``turnover`` is per bar.

    ``trades`` counts the changes of exposure.
    """

    bars: int
    total_return: float
    sharpe: float
    sharpe_se: float
    max_drawdown: float
    turnover: float
    exposure: float
    trades: int


def performance(returns: Array, positions: Array, bars_per_year: float) -> Performance:
    """Return the figures of a strategy: net returns per bar and the exposure held in each bar, both (T,).

    The standard error of the Sharpe ratio is Lo (2002), independent returns: sqrt((1 + s^2 / 2) / T) per bar.
    """
    spread = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    # Rounding leaves a whisker of spread in returns that are all the same.
    per_bar = float(np.mean(returns)) / spread if spread > 1e-15 else 0.0
    scale = math.sqrt(bars_per_year)
    error = math.sqrt((1.0 + 0.5 * per_bar**2) / max(1, len(returns)))
    changes = np.abs(np.diff(positions, prepend=0.0))
    return Performance(
        bars=len(returns),
        total_return=float(np.prod(1.0 + returns) - 1.0),
        sharpe=per_bar * scale,
        sharpe_se=error * scale,
        max_drawdown=max_drawdown(np.asarray(np.cumprod(1.0 + returns), dtype=np.float64)),
        turnover=float(changes.mean()) if len(positions) else 0.0,
        exposure=float(np.abs(positions).mean()) if len(positions) else 0.0,
        trades=int(np.count_nonzero(changes)),
    )


def max_drawdown(equity: Array) -> float:
    """Return the deepest fall from a peak as a share of the peak, 0 to 1, of an equity curve (T,)."""
    if len(equity) == 0:
        return 0.0
    peak = np.maximum.accumulate(np.maximum(equity, 1.0))
    return float((1.0 - equity / peak).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class SharpeEstimate:
    """A Sharpe ratio per bar (not annualised) over ``bars`` returns, with the moments its error depends on.

    ``skew`` and ``kurtosis`` (3 for a normal) are those of the returns.
    """

    per_bar: float
    bars: int
    skew: float = 0.0
    kurtosis: float = 3.0

    @property
    def standard_error(self) -> float:
        """Return Mertens' standard error per bar; Lo's for independent normal returns is its special case.

        sqrt((1 + s^2/2 - skew s + (kurtosis - 3)/4 s^2) / T)
        """
        s = self.per_bar
        variance = 1.0 + 0.5 * s * s - self.skew * s + (self.kurtosis - 3.0) / 4.0 * s * s
        return math.sqrt(max(0.0, variance) / max(1, self.bars))

    def probability_above(self, benchmark: float) -> float:
        """Return the probabilistic Sharpe ratio: how sure it is that the true ratio per bar exceeds ``benchmark``."""
        s = self.per_bar
        variance = 1.0 - self.skew * s + (self.kurtosis - 1.0) / 4.0 * s * s
        if variance <= 0.0 or self.bars < 2:
            return 0.0
        return _NORMAL.cdf((s - benchmark) * math.sqrt(self.bars - 1.0) / math.sqrt(variance))


@dataclass(slots=True)
class ReturnMoments:
    """The moments of returns that come in pieces: sums of their distances from the mean, to the fourth power.

    Two pieces are merged without going back to the returns (Pebay 2008), so that each is read once, in the cache.
    """

    count: int = 0
    mean: float = 0.0
    second: float = 0.0
    third: float = 0.0
    fourth: float = 0.0

    def add(self, returns: Array) -> None:
        """Take the next returns (T,), at least one; the array is used up."""
        mean = float(returns.mean())
        returns -= mean
        square = returns * returns
        second, fourth = float(square.sum()), float(np.einsum("i,i", square, square))
        self._merge(len(returns), mean, second, float(np.einsum("i,i", square, returns)), fourth)

    def _merge(self, more: int, mean: float, second: float, third: float, fourth: float) -> None:
        have, count = self.count, self.count + more
        apart = mean - self.mean
        self.fourth += (
            fourth
            + apart**4 * have * more * (have * have - have * more + more * more) / count**3
            + 6.0 * apart**2 * (have * have * second + more * more * self.second) / count**2
            + 4.0 * apart * (have * third - more * self.third) / count
        )
        self.third += (
            third
            + apart**3 * have * more * (have - more) / count**2
            + 3.0 * apart * (have * second - more * self.second) / count
        )
        self.second += second + apart**2 * have * more / count
        self.mean += apart * more / count
        self.count = count

    def sharpe(self) -> SharpeEstimate:
        """Return the Sharpe ratio of all returns, shape of their distribution included; 0 where nothing varies."""
        count = self.count
        variance = self.second / count if count else 0.0
        # Rounding leaves a whisker of variance in returns that are all the same.
        if count < 2 or variance <= 1e-30:
            return SharpeEstimate(per_bar=0.0, bars=count)
        return SharpeEstimate(
            per_bar=self.mean / math.sqrt(variance * count / (count - 1)),
            bars=count,
            skew=self.third / count / variance**1.5,
            kurtosis=self.fourth / count / variance**2,
        )


def sharpe_estimate(returns: Array) -> SharpeEstimate:
    """Return the Sharpe ratio of returns (T,), shape of their distribution included; 0 where nothing varies."""
    moments = ReturnMoments()
    if len(returns):
        moments.add(returns.copy())
    return moments.sharpe()


def expected_best(trials: int, spread: float) -> float:
    """Return the Sharpe ratio that the best of so many worthless trials is expected to show.

    sqrt(V) ((1 - g) Z^-1[1 - 1/N] + g Z^-1[1 - 1/(N e)]), g Euler's constant (Bailey and Lopez de Prado 2014).

    Args:
        spread: standard deviation of the trials' Sharpe ratios.
    """
    if trials < 2:
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return spread * ((1.0 - _EULER) * first + _EULER * second)


def deflated_sharpe(best: SharpeEstimate, trials: Sequence[float]) -> float:
    """Return how sure it is that the best trial's true Sharpe ratio is above zero, given all trials that were made.

    Args:
        trials: the Sharpe ratio per bar of every trial, the best one included.
    """
    spread = float(np.std(np.asarray(trials), ddof=1)) if len(trials) > 1 else 0.0
    return best.probability_above(expected_best(len(trials), spread))
