"""Moments of trailing windows, all windows of an array at once, by doubling.

A window of 20 is one of 4 and one of 16 beside it, and each of those is two halves: every window costs about
``log2(window)`` passes over the data. Spreads are merged from the spreads of the parts (Chan, Golub and LeVeque 1979),
never taken as a difference of large sums, so that a window that does not move has a spread of exactly 0. The tree of a
window hangs on its first bar: the same bars give the same bits wherever the array begins, in a batch and in a stream.

Every function takes values of shape (..., T) and returns (..., T - window + 1), the earliest whole window first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: What is known of a stretch of bars, each (..., windows).
Moments = tuple[Array, ...]
#: (left, bars in it, right, bars in it) to both together.
Merge = Callable[[Moments, int, Moments, int], Moments]


def rolling_sum(values: Array, window: int) -> Array:
    """Return the sum of each window."""
    return rolling_sums(values, (window,))[0]


def rolling_sums(values: NDArray[Any], windows: Sequence[int]) -> list[NDArray[Any]]:
    """Return the sum of each window, for windows of several lengths out of the same halves. Whole numbers stay whole.

    Raises:
        ValueError: there are fewer values than in a window.
    """
    counts = [_count(values, window) for window in windows]
    sums = [values] * len(windows)
    part, span = values, 1
    while span <= max(windows):
        for at, (window, count) in enumerate(zip(windows, counts, strict=True)):
            if window & span:
                taken = window & (span - 1)
                piece = part[..., taken : taken + count]
                sums[at] = sums[at] + piece if taken else piece
        part = part[..., :-span] + part[..., span:] if 2 * span <= max(windows) else part
        span *= 2
    return sums


def _count(values: NDArray[Any], window: int) -> int:
    count: int = values.shape[-1] - window + 1
    if count < 1:
        raise ValueError(f"{values.shape[-1]} values for a window of {window}")
    return count


def rolling_spread(values: Array, window: int) -> tuple[Array, Array]:
    """Return mean and sample standard deviation of each window; two values at least."""
    mean, squares = _over_windows((values, np.zeros_like(values)), window, _merge_spreads)
    return mean, np.sqrt(squares * (1.0 / (window - 1)))


def rolling_slope(values: Array, window: int) -> Array:
    """Return the least-squares slope of each window, units of ``values`` per bar; two values at least."""
    total, moment = _over_windows((values, np.zeros_like(values)), window, _merge_slopes)
    return (moment - total * ((window - 1) / 2)) / (window * (window * window - 1) / 12)


def _over_windows(bars: Moments, window: int, merge: Merge) -> Moments:
    """Build windows of 1, 2, 4, ... bars, and each window from those that its length in binary names."""
    count = _count(bars[0], window)
    part, span = bars, 1
    whole: Moments = ()
    taken = 0
    while True:
        if window & span:
            piece = tuple(each[..., taken : taken + count] for each in part)
            whole = merge(whole, taken, piece, span) if taken else piece
            taken += span
        if taken == window:
            return whole
        part = merge(tuple(each[..., :-span] for each in part), span, tuple(each[..., span:] for each in part), span)
        span *= 2


def _merge_spreads(left: Moments, left_bars: int, right: Moments, right_bars: int) -> Moments:
    """(mean, sum of squared distances from it) of two stretches together."""
    bars = left_bars + right_bars
    apart = right[0] - left[0]
    mean = apart * (right_bars / bars)
    mean += left[0]
    # In place from here: a new array for every step costs as much as the step.
    apart *= apart
    apart *= left_bars * right_bars / bars
    squares = left[1] + right[1]
    squares += apart
    return mean, squares


def _merge_slopes(left: Moments, left_bars: int, right: Moments, _right_bars: int) -> Moments:
    """(sum, sum of value times place) of two stretches, places counted from the first bar of the left one."""
    moment = left[1] + right[1]
    moment += right[0] * left_bars
    return left[0] + right[0], moment
