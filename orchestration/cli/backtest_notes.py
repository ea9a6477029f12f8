"""What is said beside the figures of a backtest: oddities of the bars, and why nothing was traded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_service.backtest.series import BarSeries
from strategies.features import jumps
from strategies.ma_cross import UNITS
from strategies.regimes.bar_table import interval_of
from strategies.research.after_training import exposures_of
from strategies.research.catalogue import WITH_MODEL, StrategyChoice
from strategies.times import lasting, told

#: So many distances in a row that are not the usual one are bars of another length; fewer are gaps.
_RUN = 10


def notes(series: Mapping[str, BarSeries], names: Mapping[str, str]) -> Iterator[str]:
    """Yield what a person should know of the bars, each by its code; nothing of it was mended."""
    last = max(int(columns.close_at[-1]) for columns in series.values())
    first = min(int(columns.open_at[0]) for columns in series.values())
    yield from _mixed(series, names)
    for symbol, columns in series.items():
        name = names[symbol]
        if columns.missing:
            yield f"GAPS: {name} lacks {columns.missing} bars; nothing was filled in"
        if still := int(np.count_nonzero(columns.volume == 0)):
            yield f"ZERO_VOLUME: {name} has {still} bars without volume; orders there trade at the bar's price"
        if (at := _first_jump(columns)) is not None:
            yield f"SPLIT: {name} jumps at {told(at)} as no trade does; traded through, a split looks like profit"
        if _is_finer(columns.close):
            yield f"PRICE_FINER: {name} has prices finer than 1e-8, which no venue writes; ma_cross reads them to that"
        if columns.close.min() == columns.close.max():
            yield f"CONSTANT_PRICE: {name} never moves"
        if columns.close_at[-1] < last:
            early = lasting(last - int(columns.close_at[-1]))
            yield f"ENDED_EARLY: {name} ends {early} before the others; it is held at its last price"
        if columns.open_at[0] > first:
            yield f"LISTED_LATE: {name} begins {lasting(int(columns.open_at[0]) - first)} after the others"


def in_sample(series: Mapping[str, BarSeries], names: Mapping[str, str], choice: StrategyChoice) -> Iterator[str]:
    """Yield which symbols are traded on bars that their model learned from: such figures say nothing of later ones."""
    for symbol, model in choice.models.items() if choice.name in WITH_MODEL else ():
        opens = series[symbol].open_at
        seen = int(np.count_nonzero((opens >= model.trained_from_ms) & (opens < model.trained_to_ms)))
        if seen:
            yield (
                f"IN_SAMPLE: the model of {names[symbol]} learned from {seen} of these {len(opens)} bars; "
                f"unseen ones begin at {told(model.trained_to_ms)} (--from)"
            )


def idle(choice: StrategyChoice, figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield why nothing was traded, where nothing was."""
    if figures["orders"]:
        return
    without = [symbol for symbol, model in choice.models.items() if not exposures_of(model, choice.policy()).any()]
    if without:
        yield f"NO_EXPOSURE: no regime of {', '.join(without)} pays its costs beyond doubt, so nothing was traded"
    else:
        yield "NO_ORDERS: the strategy asked for no change of exposure"


def _mixed(series: Mapping[str, BarSeries], names: Mapping[str, str]) -> Iterator[str]:
    """Yield where bars differ in length: strategies count bars, and an average over ten is another one then."""
    for symbol, columns in series.items():
        steps = np.diff(columns.open_at)
        begins = np.flatnonzero(np.append(True, steps[1:] != steps[:-1]))
        runs = np.diff(np.append(begins, len(steps)))
        found = {columns.bar_ms, *steps[begins[runs >= _RUN]].tolist()}
        if len(found) > 1:
            yield f"INTERVALS_MIXED: {names[symbol]} has bars of {_lengths(found)}; each counts as one"
    if len(found := {columns.bar_ms for columns in series.values()}) > 1:
        yield f"INTERVALS_MIXED: the symbols have bars of {_lengths(found)}; each counts as one"


def _lengths(found: set[int]) -> str:
    return ", ".join(interval_of(length) for length in sorted(found))


def _is_finer(prices: NDArray[np.float64]) -> bool:
    """True where a price has more decimals than averages are compared to; large ones have no room for so many."""
    units = prices * UNITS
    return bool(((np.rint(units) / UNITS != prices) & (units < 2.0**53)).any())


def _first_jump(columns: BarSeries) -> int | None:
    """Return the open, ms, of the first bar that opens far from the close right before it."""
    jumped = jumps(columns.open, columns.close) & (columns.open_at[1:] == columns.close_at[:-1])
    return int(columns.open_at[1 + int(np.argmax(jumped))]) if jumped.any() else None
