"""Made-up bars and features for the assets' tests."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.backfill import bar_frame
from assets.intervals import day_of, day_span
from assets.tables import BARS
from warehouse.store import Warehouse

STEP = 60_000
DAY = "2026-03-01"
START = day_span(DAY).start_ms
SYMBOL = "BTCUSDT.BINANCE"


def prices(count: int, seed: int = 1) -> NDArray[np.float64]:
    """Return closes of a market that is calm and wild by turns, 120 bars each, shape (count,)."""
    chance = np.random.default_rng(seed)
    wild = (np.arange(count) // 120) % 2
    steps = chance.normal(np.where(wild == 1, -2e-4, 1e-4), np.where(wild == 1, 4e-3, 5e-4))
    closes: NDArray[np.float64] = 100.0 * np.exp(np.cumsum(steps))
    return closes


def bars(
    count: int, *, first: int = 0, symbol: str = SYMBOL, seed: int = 1, without: frozenset[int] = frozenset()
) -> pl.DataFrame:
    """Return ``count`` sound minute bars from the ``first`` minute of ``DAY``; some may be left out."""
    closes = prices(first + count, seed)
    frames = []
    for minute in range(first, first + count):
        if minute in without:
            continue
        at = START + minute * STEP
        close = float(closes[minute])
        opened = float(closes[minute - 1]) if minute else close
        high, low = max(opened, close) * 1.0002, min(opened, close) * 0.9998
        frames.append((day_of(at), (at, opened, high, low, close, 3.0 + minute % 5, close * 3, 7)))
    days = sorted({day for day, _ in frames})
    return pl.concat(
        bar_frame([row for there, row in frames if there == day], day=day, symbol=symbol, market="spot", interval="1m")
        for day in days
    )


def stored(store: Warehouse, *frames: pl.DataFrame) -> Warehouse:
    """Write bars and return the warehouse."""
    for frame in frames:
        store.writer(BARS).upsert(frame)
    return store
