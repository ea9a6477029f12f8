"""Bar series with a known truth, made from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.contracts import Bar

Array = NDArray[np.float64]
BAR_MS = 60_000
VOLATILITY = (0.0004, 0.0012, 0.004)
DRIFT = (0.0, 0.0003, -0.0006)


@dataclass(frozen=True)
class Series:
    """Columns of shape (T,) and the regime of each bar."""

    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    regimes: NDArray[np.int64]
    open_at_ms: NDArray[np.int64]

    def bars(self, symbol: str = "BTCUSDT.BINANCE") -> list[Bar]:
        """Return the same series as closed bars."""
        return [
            Bar(
                symbol=symbol,
                open_at_ms=int(self.open_at_ms[i]),
                close_at_ms=int(self.open_at_ms[i]) + BAR_MS,
                open=float(self.open[i]),
                high=float(self.high[i]),
                low=float(self.low[i]),
                close=float(self.close[i]),
                volume=float(self.volume[i]),
            )
            for i in range(len(self.close))
        ]


def regime_series(length: int, seed: int, *, dwell: float = 80.0, ticks: int = 12) -> Series:
    """Return a three-regime random walk (calm, rising, falling) with bars made of ``ticks`` steps."""
    chance = np.random.default_rng(seed)
    regimes = np.empty(length, dtype=np.int64)
    now = int(chance.integers(3))
    for i in range(length):
        if chance.random() < 1.0 / dwell:
            now = (now + int(chance.integers(1, 3))) % 3
        regimes[i] = now
    volatility = np.array(VOLATILITY)[regimes][:, None] / np.sqrt(ticks)
    drift = np.array(DRIFT)[regimes][:, None] / ticks
    path = np.exp(np.log(100.0) + np.cumsum((drift + volatility * chance.standard_normal((length, ticks))).ravel()))
    ticks_of = path.reshape(length, ticks)
    before = np.concatenate([[100.0], ticks_of[:-1, -1]])
    return Series(
        open=before,
        high=np.maximum(ticks_of.max(axis=1), before),
        low=np.minimum(ticks_of.min(axis=1), before),
        close=ticks_of[:, -1].copy(),
        volume=np.exp(chance.normal(2.0, 0.4, length)),
        regimes=regimes,
        open_at_ms=np.arange(length, dtype=np.int64) * BAR_MS + 1_700_000_000_000,
    )
