"""Recorded bars of every bad kind: left out and counted, or refused by name; never filled in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from strategies.features import WARM_UP
from strategies.regimes.bar_table import DEAD_BARS, PRICES, BarTable, check_bars
from strategies.regimes.options import FitRefused
from tests.unit.strategies.series import BAR_MS, regime_series

Columns = dict[str, np.ndarray]
BARS = 400


def _columns() -> Columns:
    series = regime_series(BARS, 51)
    return {"open_ms": series.open_at_ms.copy(), "volume": series.volume.copy()} | {
        name: getattr(series, name).copy() for name in PRICES
    }


def _checked(columns: Columns, **options: bool) -> tuple[BarTable, dict[str, int]]:
    return check_bars(columns["open_ms"], columns, columns["volume"], **options)


def _take(columns: Columns, rows: np.ndarray) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def _with_nan(columns: Columns) -> Columns:
    columns["close"][100] = np.nan
    return columns


def _with_crossed(columns: Columns) -> Columns:
    columns["high"][100], columns["low"][100] = columns["low"][100] * 0.9, columns["high"][100]
    return columns


def _with_zero_price(columns: Columns) -> Columns:
    columns["low"][100] = 0.0
    return columns


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(_with_nan, "not_finite"), (_with_crossed, "invalid_prices"), (_with_zero_price, "invalid_prices")],
)
def test_a_bar_that_cannot_be_is_left_out_counted_and_breaks_the_windows(
    spoil: Callable[[Columns], Columns], reason: str
) -> None:
    table, counts = _checked(spoil(_columns()))
    assert counts[reason] == 1
    assert counts["gaps"] == 1
    assert len(table.open_ms) == BARS - 1
    usable = np.flatnonzero(np.isfinite(table.features()).all(axis=1))
    assert usable.tolist() == [*range(WARM_UP - 1, 100), *range(100 + WARM_UP - 1, BARS - 1)]


def test_bars_in_any_order_come_out_in_time_order_and_are_counted() -> None:
    columns = _columns()
    table, counts = _checked(_take(columns, np.r_[200:BARS, 0:200]))
    assert counts["reordered"] == 1
    np.testing.assert_array_equal(table.close, columns["close"])


def test_the_same_bar_twice_is_one_bar() -> None:
    _, counts = _checked(_take(_columns(), np.r_[0:50, 49, 49, 50:BARS]))
    assert counts["duplicates"] == 2
    assert counts["gaps"] == 0


def test_two_different_bars_of_one_time_are_refused_by_name() -> None:
    columns = _take(_columns(), np.r_[0:50, 49, 50:BARS])
    columns["close"][50] *= 1.0001
    with pytest.raises(FitRefused) as refusal:
        _checked(columns)
    assert refusal.value.code == "CONFLICTING_BARS"


def test_windows_never_reach_across_a_gap() -> None:
    columns = _take(_columns(), np.r_[0:150, 160:BARS])
    table, counts = _checked(columns)
    assert counts["gaps"] == 1
    whole = _checked(_take(_columns(), np.r_[160:BARS]))[0].features()
    np.testing.assert_array_equal(table.features()[150:], whole)


def test_a_split_starts_the_windows_anew_and_is_counted() -> None:
    columns = _columns()
    for name in PRICES:
        columns[name][200:] /= 10.0
    table, counts = _checked(columns)
    assert counts["splits"] == 1
    returns = table.features()[:, 0]
    assert np.nanmax(np.abs(returns)) < 0.1


def test_a_feed_that_froze_while_it_said_to_trade_is_counted() -> None:
    columns = _columns()
    assert _checked(columns)[1]["unmoved"] == 0
    for name in PRICES:
        columns[name][200:260] = columns["close"][199]
        columns[name][300] = columns["close"][298]
    _, counts = _checked(columns)
    assert counts["unmoved"] == 60, "a bar without a range at another price moved"


def test_a_symbol_that_died_ends_where_it_last_traded() -> None:
    columns = _columns()
    for name in PRICES:
        columns[name][250:] = columns["close"][249]
    columns["volume"][250:] = 0.0
    table, counts = _checked(columns)
    assert counts["dead_tail"] == BARS - 250 >= DEAD_BARS
    assert len(table.open_ms) == 250
    assert len(_checked(columns, drop_dead_tail=False)[0].open_ms) == BARS


def test_bars_without_volume_are_kept_and_counted() -> None:
    columns = _columns()
    columns["volume"][:] = 0.0
    table, counts = _checked(columns)
    assert counts["zero_volume"] == BARS
    assert np.isfinite(table.features()[WARM_UP:]).all()


def test_bars_without_a_usual_length_are_refused_by_name() -> None:
    columns = _columns()
    columns["open_ms"] = np.cumsum(np.random.default_rng(52).integers(1, 10_000, BARS))
    with pytest.raises(FitRefused) as refusal:
        _checked(columns)
    assert refusal.value.code == "IRREGULAR_BARS"


def test_no_usable_bar_is_refused_by_name() -> None:
    columns = _columns()
    columns["open"][:] = np.nan
    with pytest.raises(FitRefused) as refusal:
        _checked(columns)
    assert refusal.value.code == "NO_BARS"


def test_good_bars_are_left_alone() -> None:
    columns = _columns()
    table, counts = _checked(columns)
    assert {name: count for name, count in counts.items() if count} == {}
    assert table.bar_ms == BAR_MS
    assert table.stretches == (slice(0, BARS),)
