"""The features of a bar series: one definition for training, backtest and live.

Every feature at bar t uses bars up to and including t and nothing later. The batch form takes whole arrays, the
streaming form keeps the last bars it needs; both call the same window functions and agree to the last digit.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from strategies.contracts import Bar
from strategies.rolling import rolling_slope, rolling_spread, rolling_sum

Array = NDArray[np.float64]
#: Opens, highs, lows, closes and volumes, each (T,).
Columns = tuple[Array, Array, Array, Array, Array]

STD_WINDOW = 20
VWAP_WINDOW = 20
ZSCORE_WINDOW = 30
#: The volume is measured by the window that prices are weighted in: one sum serves both.
VOLUME_WINDOW = VWAP_WINDOW
SLOPE_WINDOW = 20
#: A bar that did not move still has a range: a hundredth of a basis point keeps its logarithm finite.
RANGE_FLOOR = 1e-6
TINY = 1e-12
#: An opening this far from the close before it (natural logarithm; half again) is a split or a re-denomination.
SPLIT_JUMP = 0.4
#: Symbols of a panel worked on at a time: their bars stay in the processor's cache from one feature to the next.
BLOCK = 16

FEATURES = (
    "log_return",
    "volatility_20",
    "vwap_deviation_20",
    "zscore_30",
    "volume_ratio_20",
    "log_range",
    "slope_20",
)
#: Changes whenever a definition above or below changes, so that a model never meets other features than it learned.
FEATURE_SCHEMA = "bars-v1"
#: Bars before the first complete row: a return needs one more bar than its window.
WARM_UP = max(STD_WINDOW + 1, VWAP_WINDOW, ZSCORE_WINDOW, VOLUME_WINDOW, SLOPE_WINDOW)


def compute(open_: Array, high: Array, low: Array, close: Array, volume: Array) -> Array:
    """Return the features of bars in time order, (..., T) to (..., T, 7); rows without enough history are NaN.

    One series is (T,), a panel of symbols (S, T): each symbol's features are those it has alone.

    Raises:
        ValueError: the arrays differ in shape, or hold a price that is not positive and finite.
    """
    columns = (open_, high, low, close, volume)
    if len({column.shape for column in columns}) != 1:
        raise ValueError("all columns must have the same length")
    for prices in columns[:4]:
        # A minimum or maximum of something that is not a number is not one either.
        if prices.size and not (prices.min() > 0 and prices.max() < np.inf):
            raise ValueError("prices must be positive and finite")
    result = np.full((*close.shape, len(FEATURES)), np.nan)
    if close.ndim == 1:
        _fill(result, *columns)
        return result
    for first in range(0, len(close), BLOCK):
        block = slice(first, first + BLOCK)
        _fill(result[block], *(column[block] for column in columns))
    return result


def _fill(rows: Array, open_: Array, high: Array, low: Array, close: Array, volume: Array) -> None:
    """Write the features of bars, (..., T), into their rows, (..., T, 7), where the windows are whole."""
    bars = close.shape[-1]
    if not bars:
        return
    log_close = np.log(close)
    log_return = np.diff(log_close)
    rows[..., 1:, 0] = log_return
    rows[..., 5] = np.log(np.maximum(np.log(high / low), RANGE_FLOOR))
    if bars > STD_WINDOW:
        rows[..., STD_WINDOW:, 1] = rolling_spread(log_return, STD_WINDOW)[1]
    if bars >= VWAP_WINDOW:
        traded = rolling_sum(volume, VWAP_WINDOW)
        rows[..., VWAP_WINDOW - 1 :, 2] = _vwap_deviation(close, (high + low + close) / 3.0, volume, traded)
        rows[..., VOLUME_WINDOW - 1 :, 4] = _volume_ratio(volume, traded)
    if bars >= ZSCORE_WINDOW:
        rows[..., ZSCORE_WINDOW - 1 :, 3] = _zscore(close)
    if bars >= SLOPE_WINDOW:
        rows[..., SLOPE_WINDOW - 1 :, 6] = rolling_slope(log_close, SLOPE_WINDOW)


def _vwap_deviation(close: Array, typical: Array, volume: Array, total: Array) -> Array:
    """Distance of the last close from the volume-weighted typical price, as a share; ``total`` is the window's volume.

    The typical price alone where nothing traded in the window.
    """
    weighted = rolling_sum(typical * volume, VWAP_WINDOW)
    traded = total > TINY
    vwap = weighted / np.maximum(total, TINY)
    if not traded.all():
        vwap = np.where(traded, vwap, rolling_sum(typical, VWAP_WINDOW) / VWAP_WINDOW)
    return close[..., VWAP_WINDOW - 1 :] / vwap - 1.0


def _zscore(close: Array) -> Array:
    """Last close in standard deviations from the window's mean; 0 where the window is flat."""
    mean, spread = rolling_spread(close, ZSCORE_WINDOW)
    last = close[..., ZSCORE_WINDOW - 1 :]
    flat = spread <= TINY * last
    return np.where(flat, 0.0, (last - mean) / np.where(flat, 1.0, spread))


def _volume_ratio(volume: Array, total: Array) -> Array:
    """Last volume over the window's mean volume; ``total`` is all of it; 1 where nothing traded."""
    mean = total / VOLUME_WINDOW
    return np.where(mean > TINY, volume[..., VOLUME_WINDOW - 1 :] / np.maximum(mean, TINY), 1.0)


class FeatureSource(Protocol):
    """Feature rows, one bar at a time."""

    def push(self, bar: Bar) -> Array | None:
        """Take the next closed bar; return its feature row, shape (7,), or ``None`` during warm-up."""
        ...


class FeatureStream:
    """The same features one bar at a time; keeps the last ``WARM_UP`` bars. After a gap or a split it begins anew."""

    def __init__(self) -> None:
        self._bars: deque[tuple[float, float, float, float, float]] = deque(maxlen=WARM_UP)
        self._last: Bar | None = None

    def push(self, bar: Bar) -> Array | None:
        """Take the next closed bar; return its feature row, shape (7,), or ``None`` during warm-up."""
        if self._last is not None and is_apart(self._last, bar):
            self._bars.clear()
        self._last = bar
        self._bars.append((bar.open, bar.high, bar.low, bar.close, bar.volume))
        if len(self._bars) < WARM_UP:
            return None
        open_, high, low, close, volume = np.array(self._bars).T
        row: Array = compute(open_, high, low, close, volume)[-1]
        return row


class KnownFeatures:
    """What a ``FeatureStream`` answers to recorded bars, worked out in one pass: the same rows to the last bit.

    Columns are (T,), in time order; times are UTC ms.
    """

    def __init__(self, open_ms: NDArray[np.int64], close_ms: NDArray[np.int64], columns: Columns) -> None:
        open_, _, _, close, _ = columns
        self._opens = open_ms.tolist()
        self._next = 0
        missing = 2 * (open_ms[1:] - close_ms[:-1]) > (close_ms - open_ms)[1:]
        self._rows = np.full((len(open_ms), len(FEATURES)), np.nan)
        self._whole = np.zeros(len(open_ms), dtype=np.bool_)
        for part in stretches(missing | jumps(open_, close)):
            self._rows[part] = compute(*(column[part] for column in columns))
            self._whole[part.start + WARM_UP - 1 : part.stop] = True

    def push(self, bar: Bar) -> Array | None:
        """Return the next bar's feature row, shape (7,), or ``None`` during warm-up.

        Raises:
            ValueError: it is another bar than the next of those that are known.
        """
        at = self._next
        if at == len(self._opens) or bar.open_at_ms != self._opens[at]:
            raise ValueError(f"the bar that opened at {bar.open_at_ms} ms is not the next of the known ones")
        self._next += 1
        row: Array = self._rows[at]
        return row if self._whole[at] else None


def breaks(
    open_ms: NDArray[np.int64], open_: Array, close: Array, bar_ms: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return between which neighbours bars are missing, (T - 1,), and where the price jumped as no trade moves it.

    Bars stand in time order, arrays (T,). The batch form of where ``FeatureStream`` begins anew.
    """
    gaps: NDArray[np.bool_] = np.diff(open_ms) != bar_ms
    return gaps, jumps(open_, close)


def jumps(open_: Array, close: Array) -> NDArray[np.bool_]:
    """Return between which neighbours, (T - 1,), the price jumped as no trade moves it. Prices are (T,)."""
    jumped: NDArray[np.bool_] = np.abs(np.log(open_[1:] / close[:-1])) > SPLIT_JUMP
    return jumped


def stretches(apart: NDArray[np.bool_]) -> list[slice]:
    """Return the runs of bars that windows may reach across; ``apart``, (T - 1,), says where they may not."""
    edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(apart) + 1]
    return [slice(first, last) for first, last in pairwise(edges)]


def is_apart(before: Bar, bar: Bar) -> bool:
    """True where a bar is missing between two, or the price jumped as no trade moves it: windows never reach across."""
    missing = 2 * (bar.open_at_ms - before.close_at_ms) > bar.close_at_ms - bar.open_at_ms
    return missing or abs(math.log(bar.open / before.close)) > SPLIT_JUMP
