"""Moments of windows by doubling: what NumPy says of each window, and windows that stand still."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from strategies.rolling import rolling_slope, rolling_spread, rolling_sum, rolling_sums

WALK = 100.0 + np.cumsum(np.random.default_rng(3).normal(0.0, 0.1, (2, 120)), axis=1)


@pytest.mark.parametrize("window", [2, 3, 8, 20, 21, 30, 31, 120])
def test_every_window_has_the_moments_it_has_alone(window: int) -> None:
    windows = sliding_window_view(WALK, window, axis=-1)
    mean, spread = rolling_spread(WALK, window)
    np.testing.assert_allclose(rolling_sum(WALK, window), windows.sum(axis=-1), rtol=1e-13)
    np.testing.assert_allclose(mean, windows.mean(axis=-1), rtol=1e-13)
    np.testing.assert_allclose(spread, windows.std(axis=-1, ddof=1), rtol=1e-10)
    at = np.arange(window) - (window - 1) / 2
    np.testing.assert_allclose(rolling_slope(WALK, window), windows @ at / (at @ at), rtol=1e-7, atol=1e-11)


def test_a_window_that_stands_still_after_a_storm_has_no_spread_at_all() -> None:
    values = np.concatenate([1e6 * np.random.default_rng(5).normal(size=50), np.full(40, 0.1)])
    assert (rolling_spread(values, 20)[1][-20:] == 0.0).all()


def test_the_same_bars_give_the_same_bits_wherever_the_array_begins() -> None:
    whole = rolling_spread(WALK, 30)[1]
    for first in (1, 7, 50):
        np.testing.assert_array_equal(rolling_spread(WALK[:, first:], 30)[1], whole[:, first:])


def test_an_array_shorter_than_its_window_is_refused() -> None:
    with pytest.raises(ValueError, match="5 values for a window of 20"):
        rolling_sum(np.ones(5), 20)


def test_sums_of_several_windows_are_those_of_each_and_whole_numbers_stay_whole() -> None:
    windows = (1, 4, 10, 20, 31)
    for window, sums in zip(windows, rolling_sums(WALK, windows), strict=True):
        np.testing.assert_array_equal(sums, rolling_sum(WALK, window))
    large = 2**60 + np.arange(40, dtype=np.int64)
    assert rolling_sums(large, (3,))[0].tolist() == [3 * (2**60 + at + 1) for at in range(38)]
