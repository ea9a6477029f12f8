"""What a chosen strategy wants of recorded bars: bar by bar, or over all bars at once where it can do that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine_service.backtest.event_path import Wish, wishes_of
from engine_service.backtest.series import BadBars, BarSeries
from strategies.contracts import Strategy
from strategies.features import KnownFeatures
from strategies.ma_cross import STRATEGY_ID as MA_CROSS
from strategies.ma_cross import TooLarge, crossings
from strategies.regime_policy import RegimePolicy
from strategies.research.catalogue import EnsembleStrategy, StrategyChoice

_CROSSED = {True: {"crossed": "up"}, False: {"crossed": "down"}}


def wishes_for(series: BarSeries, choice: StrategyChoice) -> list[Wish]:
    """Return the wishes of one symbol's strategy.

    Raises:
        UnknownSetting: see ``StrategyChoice.make``.
        BadBars: there are fewer bars than the strategy needs (``TOO_FEW_BARS``).
    """
    strategy = ready(series, choice)
    crossed = crossings_of(series, choice)
    if crossed is None:
        return wishes_of(series, [strategy])
    bars, up = crossed
    return [
        Wish(bar, 1.0 if above else -1.0, MA_CROSS, _CROSSED[above])
        for bar, above in zip(bars.tolist(), up.tolist(), strict=True)
    ]


def ready(series: BarSeries, choice: StrategyChoice) -> Strategy:
    """Return a new strategy of the symbol that has bars enough.

    Raises:
        UnknownSetting: see ``StrategyChoice.make``.
        BadBars: there are fewer bars than the strategy needs (``TOO_FEW_BARS``).
    """
    strategy = choice.make(series.symbol)
    if len(series) < strategy.warm_up:
        raise BadBars("TOO_FEW_BARS", f"{series.symbol} has {len(series)} bars, {choice.name} needs {strategy.warm_up}")
    if isinstance(strategy, RegimePolicy | EnsembleStrategy):
        columns = (series.open, series.high, series.low, series.close, series.volume)
        strategy.read(KnownFeatures(series.open_at, series.close_at, columns))
    return strategy


def crossings_of(series: BarSeries, choice: StrategyChoice) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
    """Return the crossings of a moving average crossover (see ``ma_cross.crossings``), found over all bars at once.

    ``None`` for another strategy, and where the prices are so large that it has to go bar by bar.
    """
    if choice.name != MA_CROSS:
        return None
    fast, slow = int(choice.settings.get("fast", 9)), int(choice.settings.get("slow", 21))
    try:
        return crossings(series.close, fast, slow)
    except TooLarge:
        return None
