"""Performance figures with their standard errors. Returns are simple returns per bar, shape (T,)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """``sharpe`` and ``sharpe_se`` are annualised; the rest are plain shares. ``turnover`` is per bar."""

    bars: int
    total_return: float
    sharpe: float
    sharpe_se: float
    max_drawdown: float
    turnover: float
    exposure: float


def performance(returns: Array, positions: Array, bars_per_year: float) -> Performance:
    """Return the figures of a strategy: net returns per bar and the exposure held in each bar, both (T,).

    The standard error of the Sharpe ratio is Lo (2002), independent returns: sqrt((1 + s^2 / 2) / T) per bar.
    """
    spread = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    per_bar = float(np.mean(returns)) / spread if spread > 0 else 0.0
    scale = math.sqrt(bars_per_year)
    error = math.sqrt((1.0 + 0.5 * per_bar**2) / max(1, len(returns)))
    return Performance(
        bars=len(returns),
        total_return=float(np.prod(1.0 + returns) - 1.0),
        sharpe=per_bar * scale,
        sharpe_se=error * scale,
        max_drawdown=max_drawdown(np.asarray(np.cumprod(1.0 + returns), dtype=np.float64)),
        turnover=float(np.abs(np.diff(positions, prepend=0.0)).mean()) if len(positions) else 0.0,
        exposure=float(np.abs(positions).mean()) if len(positions) else 0.0,
    )


def max_drawdown(equity: Array) -> float:
    """Return the deepest fall from a peak as a share of the peak, 0 to 1, of an equity curve (T,)."""
    if len(equity) == 0:
        return 0.0
    peak = np.maximum.accumulate(np.maximum(equity, 1.0))
    return float((1.0 - equity / peak).max())
