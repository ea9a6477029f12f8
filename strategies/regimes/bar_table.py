"""One symbol's recorded bars, checked: what cannot be used is left out and counted, never filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES, WARM_UP, breaks, compute, stretches
from strategies.regimes.options import FitRefused
from strategies.times import told

Array = NDArray[np.float64]
Times = NDArray[np.int64]

PRICES = ("open", "high", "low", "close")
#: So many bars in a row without volume and movement at the end: the symbol has died.
DEAD_BARS = 2 * WARM_UP
#: Where fewer of the distances between bars than this are the usual one, there is no bar length.
REGULAR_SHARE = 0.5
UNITS = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarTable:
    """Usable bars in time order; arrays of shape (T,). ``stretches`` are the runs without a break, in order."""

    open_ms: Times
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    bar_ms: int
    stretches: tuple[slice, ...]

    def features(self) -> Array:
        """Return the feature rows, (T, 7); NaN while windows warm up, anew after every break."""
        rows = np.full((len(self.open_ms), len(FEATURES)), np.nan)
        for part in self.stretches:
            columns = (self.open[part], self.high[part], self.low[part], self.close[part], self.volume[part])
            rows[part] = compute(*columns)
        return rows


def check_bars(
    open_ms: Times, prices: Mapping[str, Array], volume: Array, *, drop_dead_tail: bool = True
) -> tuple[BarTable, dict[str, int]]:
    """Return the usable bars and how many were left out or are odd, by reason.

    Counted: ``duplicates`` (the same bar again), ``not_finite`` and ``invalid_prices`` (left out), ``dead_tail`` (left
    out), ``reordered``, ``gaps``, ``splits``, ``zero_volume`` and ``unmoved`` (kept; windows start anew after a gap
    or a split). Unmoved is a bar without a range at the price before: many are a frozen feed, or made up.

    Args:
        open_ms: opens, (T,), UTC ms, in any order.
        prices: ``open``, ``high``, ``low`` and ``close``, each (T,), in quote units; volume: (T,), in base units.

    Raises:
        FitRefused: ``NO_BARS``, ``CONFLICTING_BARS`` (one time, two different bars), ``IRREGULAR_BARS``.
    """
    values = np.column_stack([*(prices[name] for name in PRICES), volume]).astype(np.float64)
    counts = {"reordered": int((np.diff(open_ms) < 0).sum())}
    order = np.argsort(open_ms, kind="stable")
    open_ms, values = open_ms[order], values[order]
    again = _repeated(open_ms, values)
    counts["duplicates"] = int(again.sum())
    open_ms, values = open_ms[~again], values[~again]
    finite = np.isfinite(values).all(axis=1)
    counts["not_finite"] = int((~finite).sum())
    sound = finite & _is_sound(values)
    counts["invalid_prices"] = int((finite & ~sound).sum())
    open_ms, values = open_ms[sound], values[sound]
    if len(open_ms) < 2:
        gone = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        raise FitRefused("NO_BARS", f"{len(open_ms)} usable bars are left" + (f" ({gone})" if gone else ""))
    tail = _dead_tail(values) if drop_dead_tail else 0
    counts["dead_tail"] = tail
    open_ms, values = open_ms[: len(open_ms) - tail], values[: len(values) - tail]
    bar_ms = bar_length(open_ms)
    gaps, splits = breaks(open_ms, values[:, 0], values[:, 3], bar_ms)
    counts |= {"gaps": int(gaps.sum()), "splits": int(splits.sum()), "zero_volume": int((values[:, 4] == 0).sum())}
    counts["unmoved"] = int(((values[1:, 1] == values[1:, 2]) & (values[1:, 3] == values[:-1, 3])).sum())
    table = BarTable(
        open_ms=open_ms,
        open=values[:, 0],
        high=values[:, 1],
        low=values[:, 2],
        close=values[:, 3],
        volume=values[:, 4],
        bar_ms=bar_ms,
        stretches=tuple(stretches(gaps | splits)),
    )
    return table, counts


def bar_length(open_ms: Times) -> int:
    """Return the usual distance between bars, in milliseconds.

    Raises:
        FitRefused: ``NO_BARS`` or ``IRREGULAR_BARS``.
    """
    if len(open_ms) < 2:
        raise FitRefused("NO_BARS", "two bars are needed to know their length")
    distances, seen = np.unique(np.diff(open_ms), return_counts=True)
    if seen.max() < REGULAR_SHARE * seen.sum():
        raise FitRefused("IRREGULAR_BARS", "no distance between bars is the usual one")
    return int(distances[seen.argmax()])


def _repeated(open_ms: Times, values: Array) -> NDArray[np.bool_]:
    again = np.zeros(len(open_ms), dtype=bool)
    again[1:] = np.diff(open_ms) == 0
    same = np.zeros(len(open_ms), dtype=bool)
    same[1:] = ((values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))).all(axis=1)
    if (again & ~same).any():
        at = int(open_ms[int(np.flatnonzero(again & ~same)[0])])
        raise FitRefused("CONFLICTING_BARS", f"two different bars open at {told(at)}; keep the true one")
    return again


def _is_sound(values: Array) -> NDArray[np.bool_]:
    open_, high, low, close, volume = values.T
    with np.errstate(invalid="ignore"):
        inside = (low <= np.minimum(open_, close)) & (high >= np.maximum(open_, close))
        sound: NDArray[np.bool_] = (low > 0) & inside & (volume >= 0)
    return sound


def _dead_tail(values: Array) -> int:
    """Return how many bars at the end neither moved nor traded, where they are enough to call the symbol dead."""
    moved = (values[:, 4] > 0) | (values[:, 1] > values[:, 2])
    moved[1:] |= values[1:, 3] != values[:-1, 3]
    last = np.flatnonzero(moved)
    tail = len(values) - 1 - int(last[-1]) if len(last) else 0
    return tail if tail >= DEAD_BARS else 0


def interval_of(bar_ms: int) -> str:
    """Return a bar length as models name it, e.g. ``1h``."""
    for unit, length in UNITS:
        if bar_ms % length == 0:
            return f"{bar_ms // length}{unit}"
    return f"{bar_ms}ms"
