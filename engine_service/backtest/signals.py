"""What a chosen strategy wants of recorded bars: bar by bar, or over all bars at once where it can do that."""

from __future__ import annotations

from engine_service.backtest.event_path import Wish, wishes_of
from engine_service.backtest.series import BadBars, BarSeries
from strategies.ma_cross import STRATEGY_ID as MA_CROSS
from strategies.ma_cross import crossings, is_summable
from strategies.research.catalogue import StrategyChoice

_CROSSED = {True: {"crossed": "up"}, False: {"crossed": "down"}}


def wishes_for(series: BarSeries, choice: StrategyChoice) -> list[Wish]:
    """Return the wishes of one symbol's strategy.

    Raises:
        UnknownSetting: see ``StrategyChoice.make``.
        BadBars: there are fewer bars than the strategy needs (``TOO_FEW_BARS``).
    """
    strategy = choice.make(series.symbol)
    if len(series) < strategy.warm_up:
        raise BadBars("TOO_FEW_BARS", f"{series.symbol} has {len(series)} bars, {choice.name} needs {strategy.warm_up}")
    windows = crossing_windows(choice)
    if windows is None or not is_summable(series.close, *windows):
        return wishes_of(series, [strategy])
    bars, up = crossings(series.close, *windows)
    return [
        Wish(bar, 1.0 if above else -1.0, MA_CROSS, _CROSSED[above])
        for bar, above in zip(bars.tolist(), up.tolist(), strict=True)
    ]


def crossing_windows(choice: StrategyChoice) -> tuple[int, int] | None:
    """Return (fast, slow) of a moving average crossover, or ``None`` for another strategy."""
    if choice.name != MA_CROSS:
        return None
    return int(choice.settings.get("fast", 9)), int(choice.settings.get("slow", 21))
