"""What the backtest rows trade: the same bars for ours and for the peer, and our run of them."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine_service.backtest.event_path import Wish, trade_wishes
from engine_service.backtest.figures import figures_of
from engine_service.backtest.options import BacktestOptions, Traded
from engine_service.backtest.series import BarSeries
from engine_service.backtest.signals import wishes_for
from engine_service.backtest.vector_path import trade_crossings
from strategies.research.catalogue import StrategyChoice

SYMBOL = "BTCUSDT.BINANCE"
FEE_BPS = "5"
CASH = Decimal(100_000_000)
CROSS = StrategyChoice(name="ma_cross", settings={"fast": "10", "slow": "30"})
#: Limits that are looked at and never reached: every rail is on.
LIMITS = {"max_notional": 10**6, "symbol_exposure_cap": 10**7, "total_exposure_cap": 10**7, "leverage_limit": 5}
BAR_MS = 60_000
TICK = 0.25

Kind = Literal["cross", "every", "vector"]


@dataclass(frozen=True, slots=True)
class Ours:
    """Our run: how long, the fills as (side, quantity, price), the result."""

    seconds: float
    fills: list[list[Any]]
    traded: Traded


def bars(count: int) -> BarSeries:
    """Return a random walk of minute bars; on a tick that is a power of two everyone's averages are exact."""
    chance = np.random.default_rng(7)
    close = _on_tick(40_000.0 * np.exp(np.cumsum(chance.normal(0.0, 0.0005, count))))
    opened = np.concatenate([close[:1], close[:-1]])
    open_at = 1_640_995_200_000 + BAR_MS * np.arange(count, dtype=np.int64)
    return BarSeries(
        symbol=SYMBOL,
        open_at=open_at,
        close_at=open_at + BAR_MS,
        open=opened,
        high=np.maximum(opened, close) + _on_tick(chance.exponential(10.0, count)),
        low=np.minimum(opened, close) - _on_tick(chance.exponential(10.0, count)),
        close=close,
        volume=np.full(count, 100.0),
    )


def _on_tick(values: Any) -> Any:
    return np.round(values / TICK) * TICK


@contextmanager
def bar_file(series: BarSeries) -> Iterator[Path]:
    """Write the bars for the peer; the file goes afterwards."""
    names = ("open_at", "close_at", "open", "high", "low", "close", "volume")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.npz"
        np.savez(path, **{name: getattr(series, name) for name in names})
        yield path


def run(series: BarSeries, kind: Kind) -> Ours:
    """Trade the bars from signals to figures, as ``nhmm backtest`` does."""
    limits = {} if kind == "vector" else LIMITS
    options = BacktestOptions(
        market="futures",
        balances={"USDT": CASH},
        quantity=Decimal(1),
        fee_bps=Decimal(FEE_BPS),
        half_spread_bps=Decimal(0),
        limits=limits,
    )
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        traded = _traded(series, kind, options)
        figures_of(traded)
        seconds = time.perf_counter() - began
    finally:
        gc.enable()
    if traded.refused:
        raise RuntimeError(f"orders were refused: {dict(traded.refused)}")
    fills = [[row.side, float(row.quantity), float(row.price)] for row in traded.fill_rows()]
    return Ours(seconds, fills, traded)


def _traded(series: BarSeries, kind: Kind, options: BacktestOptions) -> Traded:
    if kind == "vector":
        return trade_crossings({SYMBOL: series}, CROSS, options)
    if kind == "cross":
        return trade_wishes({SYMBOL: series}, {SYMBOL: wishes_for(series, CROSS)}, options)
    wishes = [Wish(bar, 1.0 if bar % 2 == 0 else 0.0, "every") for bar in range(len(series))]
    return trade_wishes({SYMBOL: series}, {SYMBOL: wishes}, options)


def same(what: str, ours: object, theirs: object) -> None:
    """Demand that both did the same.

    Raises:
        RuntimeError: they did not.
    """
    if ours != theirs:
        raise RuntimeError(f"{what}: ours {str(ours)[:200]}, the peer's {str(theirs)[:200]}")
