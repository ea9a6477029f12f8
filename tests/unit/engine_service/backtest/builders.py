"""Bar columns for the backtest's tests, from a seed or from prices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine_service.backtest.series import BarSeries

START_MS = 1_760_000_040_000
BAR_MS = 60_000


def columns(
    closes: Sequence[float] | NDArray[np.float64],
    symbol: str = "BTCUSDT.BINANCE",
    *,
    start_ms: int = START_MS,
    opens: Sequence[float] | NDArray[np.float64] | None = None,
) -> BarSeries:
    """Return minute bars that close at ``closes`` and open at the close before, or at ``opens``."""
    close = np.asarray(closes, dtype=np.float64)
    opened = np.concatenate([close[:1], close[:-1]]) if opens is None else np.asarray(opens, dtype=np.float64)
    open_at = start_ms + BAR_MS * np.arange(len(close), dtype=np.int64)
    return BarSeries(
        symbol=symbol,
        open_at=open_at,
        close_at=open_at + BAR_MS,
        open=opened,
        high=np.maximum(opened, close),
        low=np.minimum(opened, close),
        close=close,
        volume=np.full(len(close), 100.0),
    )


def walk(count: int, seed: int = 7, *, level: float = 100.0, digits: int = 2) -> NDArray[np.float64]:
    """Return the closes of a random walk, written with so many decimals."""
    steps = np.random.default_rng(seed).normal(0.0, 0.004, count)
    return np.round(level * np.exp(np.cumsum(steps)), digits)
