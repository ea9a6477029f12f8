"""Replays recorded bars, one per second, rescaled in time only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import structlog
from numpy.typing import NDArray

from engine_service.exchange_sim.config import ConfigError
from engine_service.exchange_sim.price_paths import TICKS_PER_SECOND, FloatArray, PathBlock
from engine_service.exchange_sim.specs import split_symbol

COLUMNS = ("symbol", "ts", "open", "high", "low", "close", "volume")
MIN_LIVE_S = 15 * 60
MIN_BARS = 40
BLOCK_S = 60
_log = structlog.get_logger(__name__)


class RecordedMarket:
    """Bars as price paths: five ticks a bar that reproduce its open, high, low and close."""

    def __init__(self, symbols: tuple[str, ...], bars: FloatArray, seed: int) -> None:
        """`bars`: open, high, low, close, base volume; shape (seconds, symbols, 5)."""
        self._symbols = symbols
        self._bars = bars
        self._random = np.random.default_rng(seed)
        self._next = 0
        self._told_end = False

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._symbols

    @property
    def regime_names(self) -> tuple[str, ...]:
        return ()

    def history(self, seconds: int) -> PathBlock:
        """The first bars, leaving at least fifteen minutes to go live (half of a shorter file)."""
        total = len(self._bars)
        most = total - MIN_LIVE_S if total > 2 * MIN_LIVE_S else total // 2
        self._next = max(1, min(seconds, most))
        _log.info("recorded market", bars=total, history_s=self._next, live_s=total - self._next)
        return self._paths(self._bars[: self._next])

    def next_block(self) -> PathBlock:
        part = self._bars[self._next : self._next + BLOCK_S]
        self._next += len(part)
        if len(part):
            return self._paths(part)
        if not self._told_end:
            _log.warning("recorded bars are at their end: prices stand still from here", bars=len(self._bars))
            self._told_end = True
        return self._paths(_standing_still(self._bars[-1], BLOCK_S))

    def _paths(self, bars: FloatArray) -> PathBlock:
        opened, high, low, close, volume = (bars[:, :, column] for column in range(5))
        rises = close >= opened
        first, second = np.where(rises, low, high), np.where(rises, high, low)
        prices = np.stack([opened, first, second, (second + close) / 2.0, close], axis=1)
        shape = prices.shape
        shares = self._random.dirichlet(np.full(TICKS_PER_SECOND, 4.0), (shape[0], shape[2]))
        volumes = np.moveaxis(shares, 2, 1) * volume[:, None, :]
        upward = np.diff(prices, axis=1, prepend=prices[:, :1]) >= 0
        regimes = np.full(shape[0], -1, dtype=np.int64)
        return PathBlock(prices, volumes, _mixed(upward, self._random), regimes)


def read_recorded_market(path: Path, symbols: tuple[str, ...], seed: int) -> RecordedMarket:
    """Read a Parquet file of bars (columns as COLUMNS; ts in UTC ms) into a replay.

    Bars are aligned on their times; a symbol that misses one stands still in it, with no volume.

    Raises:
        ConfigError: unreadable, a column missing, too few bars, a symbol whose assets are not known.
    """
    frame = _read(path)
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise ConfigError("--bars", str(path), f"columns {', '.join(COLUMNS)} (missing: {', '.join(missing)})")
    names = tuple(sorted(frame["symbol"].unique().to_list()))
    wanted = tuple(name for name in names if not symbols or name in symbols)
    for name in wanted:
        _check_name(path, name)
    times = frame["ts"].unique().sort()
    if len(times) < MIN_BARS or not wanted:
        raise ConfigError("--bars", str(path), f"at least {MIN_BARS} bars of a symbol to list")
    bars = np.stack([_column(frame, name, times) for name in wanted], axis=1)
    if not np.isfinite(bars).all() or (bars[:, :, :4] <= 0).any() or (bars[:, :, 4] < 0).any():
        raise ConfigError("--bars", str(path), "finite prices above zero and volumes not below")
    return RecordedMarket(wanted, bars, seed)


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError("--bars", str(path), f"a readable Parquet file ({error})") from error


def _check_name(path: Path, symbol: str) -> None:
    try:
        split_symbol(symbol)
    except ValueError as error:
        raise ConfigError("--bars", str(path), f"symbols such as BTCUSDT ({error})") from error


def _column(frame: pl.DataFrame, symbol: str, times: pl.Series) -> FloatArray:
    """One symbol's bars at all times, shape (times, 5)."""
    own = frame.filter(pl.col("symbol") == symbol).unique("ts", keep="last")
    grid = pl.DataFrame({"ts": times}).join(own, on="ts", how="left", maintain_order="left")
    close = grid["close"].fill_null(strategy="forward").fill_null(strategy="backward")
    filled = [grid[name].fill_null(close) for name in ("open", "high", "low")]
    columns: list[NDArray[Any]] = [column.to_numpy() for column in (*filled, close, grid["volume"].fill_null(0.0))]
    return np.stack(columns, axis=1).astype(np.float64)


def _standing_still(last: FloatArray, seconds: int) -> FloatArray:
    still = np.repeat(last[None], seconds, axis=0)
    still[:, :, :4] = last[None, :, 3:4]
    still[:, :, 4] = 0.0
    return still


def _mixed(upward: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
    """Who took: the buyer where the price rose, but for every fifth tick."""
    mixed: NDArray[np.bool_] = upward ^ (random.random(upward.shape) < 0.2)
    return mixed
