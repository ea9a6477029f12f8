"""The features of a bar series: one definition for training, backtest and live.

Every feature at bar t uses bars up to and including t and nothing later. The batch form takes whole arrays, the
streaming form keeps the last bars it needs; both call the same window functions and agree to 1e-12.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from strategies.contracts import Bar

Array = NDArray[np.float64]

STD_WINDOW = 20
VWAP_WINDOW = 20
ZSCORE_WINDOW = 30
VOLUME_WINDOW = 20
SLOPE_WINDOW = 20
#: A bar that did not move still has a range: a hundredth of a basis point keeps its logarithm finite.
RANGE_FLOOR = 1e-6
TINY = 1e-12

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
    """Return the feature matrix, shape (T, 7), of T bars in time order; rows without enough history are NaN.

    Raises:
        ValueError: the arrays differ in length, or hold a price that is not positive and finite.
    """
    columns = (open_, high, low, close, volume)
    if len({len(column) for column in columns}) != 1:
        raise ValueError("all columns must have the same length")
    prices = np.stack(columns[:4])
    if not np.isfinite(prices).all() or (prices <= 0).any():
        raise ValueError("prices must be positive and finite")
    log_close = np.log(close)
    log_return = np.full(len(close), np.nan)
    log_return[1:] = np.diff(log_close)
    typical = (high + low + close) / 3.0
    return np.column_stack(
        [
            log_return,
            _rolling(_std, STD_WINDOW, log_return),
            _rolling(_vwap_deviation, VWAP_WINDOW, close, typical, volume),
            _rolling(_zscore, ZSCORE_WINDOW, close),
            _rolling(_volume_ratio, VOLUME_WINDOW, volume),
            np.log(np.maximum(np.log(high / low), RANGE_FLOOR)),
            _rolling(_slope, SLOPE_WINDOW, log_close),
        ]
    )


def _rolling(function: Callable[..., Array], window: int, *columns: Array) -> Array:
    """Apply a window function, which maps arrays of shape (..., window) to (...), at every bar."""
    result = np.full(len(columns[0]), np.nan)
    if len(columns[0]) >= window:
        result[window - 1 :] = function(*(sliding_window_view(column, window) for column in columns))
    return result


def _std(returns: Array) -> Array:
    """Sample standard deviation of the returns in the window."""
    spread: Array = np.std(returns, axis=-1, ddof=1)
    return spread


def _vwap_deviation(close: Array, typical: Array, volume: Array) -> Array:
    """Distance of the last close from the volume-weighted typical price, as a share of that price."""
    total = volume.sum(axis=-1)
    weighted = (typical * volume).sum(axis=-1)
    vwap = np.where(total > TINY, weighted / np.maximum(total, TINY), typical.mean(axis=-1))
    deviation: Array = close[..., -1] / vwap - 1.0
    return deviation


def _zscore(close: Array) -> Array:
    """Last close in standard deviations from the window's mean; 0 where the window is flat."""
    spread = np.std(close, axis=-1, ddof=1)
    distance = close[..., -1] - close.mean(axis=-1)
    flat = spread <= TINY * close[..., -1]
    score: Array = np.where(flat, 0.0, distance / np.where(flat, 1.0, spread))
    return score


def _volume_ratio(volume: Array) -> Array:
    """Last volume over the window's mean volume; 1 where nothing traded."""
    mean = volume.mean(axis=-1)
    ratio: Array = np.where(mean > TINY, volume[..., -1] / np.maximum(mean, TINY), 1.0)
    return ratio


def _slope(log_close: Array) -> Array:
    """Least-squares slope of the log price per bar."""
    window = log_close.shape[-1]
    at = np.arange(window) - (window - 1) / 2.0
    slope: Array = (log_close * at).sum(axis=-1) / (at * at).sum()
    return slope


class FeatureStream:
    """The same features one bar at a time; keeps the last ``WARM_UP`` bars."""

    def __init__(self) -> None:
        self._bars: deque[tuple[float, float, float, float, float]] = deque(maxlen=WARM_UP)

    def push(self, bar: Bar) -> Array | None:
        """Take the next closed bar; return its feature row, shape (7,), or ``None`` during warm-up."""
        self._bars.append((bar.open, bar.high, bar.low, bar.close, bar.volume))
        if len(self._bars) < WARM_UP:
            return None
        open_, high, low, close, volume = np.array(self._bars).T
        row: Array = compute(open_, high, low, close, volume)[-1]
        return row
