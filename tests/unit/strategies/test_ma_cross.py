"""The crossover read bar by bar and over all bars at once is one strategy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.contracts import Bar
from strategies.ma_cross import MovingAverageCross, crossings


def one_by_one(closes: list[float], fast: int, slow: int) -> list[tuple[int, bool]]:
    strategy, found = MovingAverageCross(fast, slow), []
    for index, close in enumerate(closes):
        bar = Bar(
            symbol="A",
            open_at_ms=index,
            close_at_ms=index + 1,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=1.0,
        )
        signal = strategy.on_bar(bar)
        if signal is not None:
            found.append((index, signal.target > 0))
    return found


@settings(max_examples=150, deadline=None)
@given(
    closes=st.lists(st.integers(1, 12), min_size=1, max_size=60),
    scale=st.sampled_from([1.0, 0.1, 0.01, 1e-7, 30_000.1]),
    fast=st.integers(1, 5),
    longer=st.integers(1, 8),
)
def test_all_bars_at_once_cross_where_bar_by_bar_they_do_ties_included(
    closes: list[int], scale: float, fast: int, longer: int
) -> None:
    prices = [price * scale for price in closes]
    bars, up = crossings(np.array(prices), fast, fast + longer)
    assert list(zip(bars.tolist(), up.tolist(), strict=True)) == one_by_one(prices, fast, fast + longer)


def test_equal_averages_are_not_above_whatever_the_order_of_the_sums() -> None:
    # 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ as floats; as prices they do not.
    prices = [0.1, 0.2, 0.3, 0.2, 0.2, 0.2, 0.3, 0.2, 0.1, 0.2, 0.2]
    bars, _ = crossings(np.array(prices), 3, 6)
    assert one_by_one(prices, 3, 6) == [(bar, bool(up)) for bar, up in zip(bars, _, strict=True)]
    assert crossings(np.full(50, 0.1), 3, 7)[0].tolist() == []


def test_many_bars_cross_where_bar_by_bar_they_do() -> None:
    steps = np.random.default_rng(5).normal(0.0, 0.002, 40_000)
    prices = np.asarray(np.round(300.0 * np.exp(np.cumsum(steps)), 4), dtype=np.float64)
    bars, up = crossings(prices, 10, 30)
    assert list(zip(bars.tolist(), up.tolist(), strict=True)) == one_by_one(prices.tolist(), 10, 30)
    assert len(bars) > 500


def test_sums_too_large_for_a_float_are_still_exact() -> None:
    prices = np.asarray(1e8 + np.random.default_rng(5).integers(0, 3, 2_000) * 2.0**-20, dtype=np.float64)
    bars, up = crossings(prices, 10, 30)
    assert list(zip(bars.tolist(), up.tolist(), strict=True)) == one_by_one(prices.tolist(), 10, 30)
    assert len(bars) > 50


def test_prices_that_cannot_be_summed_exactly_are_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        crossings(np.full(100, 1e12), 10, 30)


@pytest.mark.parametrize(("fast", "slow"), [(0, 5), (5, 5), (9, 3)])
def test_windows_that_make_no_sense_are_refused(fast: int, slow: int) -> None:
    with pytest.raises(ValueError, match="shorter than the slow"):
        crossings(np.ones(10), fast, slow)
