"""A regime-switching market made from a seed: correlated symbols, fat tails, volume, known regimes.

One market-wide regime per second (bear, calm, bull) sets drift, volatility and volume of every symbol. A regime
lasts a geometric time on top of a minimum and never longer than `MAX_DWELL_S`, so that any two minutes see more
than one. Returns are Student-t: within a second a normal path is scaled by one chi-square draw per symbol, so the
second's return has the fat tail and its ticks share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine_service.exchange_sim.price_paths import TICKS_PER_SECOND, FloatArray, PathBlock, join_blocks

BLOCK_S = 60
MIN_DWELL_S = 40
MAX_DWELL_S = 118
MEAN_EXTRA_DWELL_S = 50.0
TAIL_DEGREES_OF_FREEDOM = 8.0
MARKET_CORRELATION = 0.6
# Share per second of the distance to the start that the drift takes back: keeps prices plausible over days.
PULL_PER_S = 1.0 / 6000.0
BPS = 1e-4


@dataclass(frozen=True, slots=True)
class Regime:
    """Per second: drift and volatility of a symbol of weight one in basis points, volume against calm."""

    name: str
    drift_bps: float
    volatility_bps: float
    volume_factor: float
    buyer_share_frac: float


REGIMES = (
    Regime("bear", -1.1, 10.0, 6.0, 0.42),
    Regime("calm", 0.0, 0.8, 1.0, 0.50),
    Regime("bull", 0.9, 2.9, 2.5, 0.58),
)
# Where a regime goes when it ends; rows and columns as REGIMES.
_NEXT = np.array([[0.0, 0.6, 0.4], [0.5, 0.0, 0.5], [0.4, 0.6, 0.0]])


@dataclass(frozen=True, slots=True)
class SeededSymbol:
    """How one symbol takes part.

    `weight` multiplies drift and volatility; `volume_per_s` is quote traded per second when calm.
    """

    symbol: str
    price: float
    weight: float
    volume_per_s: float


SEEDED_SYMBOLS = (
    SeededSymbol("BTCUSDT", 95_000.0, 1.00, 60_000.0),
    SeededSymbol("ETHUSDT", 3_200.0, 1.10, 40_000.0),
    SeededSymbol("BNBUSDT", 900.0, 0.90, 12_000.0),
    SeededSymbol("SOLUSDT", 150.0, 1.25, 15_000.0),
    SeededSymbol("XRPUSDT", 2.9, 1.15, 10_000.0),
    SeededSymbol("DOGEUSDT", 0.38, 1.25, 8_000.0),
)


class SeededMarket:
    """Price paths from a seed; the same seed gives the same seconds, whatever the clock says."""

    def __init__(self, seed: int, members: tuple[SeededSymbol, ...] = SEEDED_SYMBOLS) -> None:
        self._members = members
        self._random = np.random.default_rng(seed)
        self._start = np.log(np.array([m.price for m in members]))
        self._weights = np.array([m.weight for m in members])
        self._volume = np.array([m.volume_per_s / m.price for m in members])
        self._log_price = self._start.copy()
        self._regime = int(self._random.integers(len(REGIMES)))
        self._seconds_left = self._draw_dwell()
        self._spare: PathBlock | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(m.symbol for m in self._members)

    @property
    def regime_names(self) -> tuple[str, ...]:
        return tuple(r.name for r in REGIMES)

    def history(self, seconds: int) -> PathBlock:
        blocks = [self._make_block() for _ in range(max(1, -(-seconds // BLOCK_S)))]
        past = join_blocks(blocks)
        if seconds < len(past):
            self._spare = past.part(seconds)
        return past.part(0, seconds)

    def next_block(self) -> PathBlock:
        spare, self._spare = self._spare, None
        return spare if spare is not None else self._make_block()

    def _make_block(self) -> PathBlock:
        regimes = self._draw_regimes(BLOCK_S)
        steps = self._draw_steps(regimes)
        path = self._log_price + np.cumsum(steps.reshape(-1, len(self._members)), axis=0)
        self._log_price = path[-1].copy()
        shape = (BLOCK_S, TICKS_PER_SECOND, len(self._members))
        share = np.array([REGIMES[r].buyer_share_frac for r in regimes])
        return PathBlock(
            prices=np.exp(path).reshape(shape),
            volumes=self._draw_volumes(regimes),
            buyer_takes=self._random.random(shape) < share[:, None, None],
            regimes=regimes,
        )

    def _draw_regimes(self, seconds: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        regimes = np.empty(seconds, dtype=np.int64)
        for second in range(seconds):
            if self._seconds_left == 0:
                self._regime = int(self._random.choice(len(REGIMES), p=_NEXT[self._regime]))
                self._seconds_left = self._draw_dwell()
            self._seconds_left -= 1
            regimes[second] = self._regime
        return regimes

    def _draw_dwell(self) -> int:
        return min(MAX_DWELL_S, MIN_DWELL_S + int(self._random.geometric(1.0 / MEAN_EXTRA_DWELL_S)))

    def _draw_steps(self, regimes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
        """Log returns per tick, shape (seconds, ticks, symbols)."""
        seconds, members = len(regimes), len(self._members)
        drift = np.array([REGIMES[r].drift_bps for r in regimes]) * BPS
        volatility = np.array([REGIMES[r].volatility_bps for r in regimes]) * BPS
        common = self._random.standard_normal((seconds, TICKS_PER_SECOND, 1))
        own = self._random.standard_normal((seconds, TICKS_PER_SECOND, members))
        normal = np.sqrt(MARKET_CORRELATION) * common + np.sqrt(1.0 - MARKET_CORRELATION) * own
        degrees = TAIL_DEGREES_OF_FREEDOM
        # scaled to unit variance: a Student-t of d degrees has variance d / (d - 2)
        tail = np.sqrt((degrees - 2.0) / self._random.chisquare(degrees, (seconds, 1, members)))
        noise = normal * tail * (volatility / np.sqrt(TICKS_PER_SECOND))[:, None, None]
        steady = (drift / TICKS_PER_SECOND)[:, None, None]
        pull = (self._start - self._log_price) * (PULL_PER_S / TICKS_PER_SECOND)
        steps: FloatArray = (steady + noise) * self._weights + pull
        return steps

    def _draw_volumes(self, regimes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
        """Base quantity per tick: log-normal around the regime's level."""
        shape = (len(regimes), TICKS_PER_SECOND, len(self._members))
        level = np.array([REGIMES[r].volume_factor for r in regimes])[:, None, None]
        spread = np.exp(0.6 * self._random.standard_normal(shape) - 0.18)
        volumes: FloatArray = self._volume / TICKS_PER_SECOND * level * spread
        return volumes
