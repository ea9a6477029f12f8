"""Screening on panels whose winners were planted: they are found, whoever stands beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.screening import CLOSE, VOLUME, Books, ScreeningOptions, Side, screen
from strategies.volatility import volatility_rank

Array = NDArray[np.float64]
BARS = 400
OPTIONS = ScreeningOptions(cost_bps=0.0, top_k=3)


def panel(symbols: int, seed: int = 1, *, volatility: float = 1e-3) -> Array:
    """Return driftless symbols, (S, BARS, 5), with bars that are possible."""
    chance = np.random.default_rng(seed)
    return from_steps(chance.normal(0.0, volatility, (symbols, BARS)), chance.uniform(1.0, 2.0, (symbols, BARS)))


def from_steps(steps: Array, volume: Array) -> Array:
    close = 100.0 * np.exp(np.cumsum(steps, axis=1))
    before = np.concatenate([np.full((len(close), 1), 100.0), close[:, :-1]], axis=1)
    high, low = np.maximum(close, before) * 1.0001, np.minimum(close, before) * 0.9999
    return np.stack([before, high, low, close, volume], axis=2)


def names(count: int) -> list[str]:
    return [f"S{number:04d}" for number in range(count)]


def with_drift(bars: Array, at: int, drift: float) -> Array:
    """Return the panel with a steady drift planted in one symbol, bar by bar."""
    planted = bars.copy()
    planted[at, :, :VOLUME] *= np.exp(drift * np.arange(BARS))[:, None]
    return planted


def test_a_planted_rise_is_the_best_long_and_a_planted_fall_the_best_short() -> None:
    bars = with_drift(with_drift(panel(50), 17, 4e-4), 31, -4e-4)
    found = screen(names(50), bars, OPTIONS)
    first = {pick.side: pick.symbol for pick in found.picks if pick.place == 1}
    assert first == {Side.LONG: "S0017", Side.SHORT: "S0031"}
    assert all("momentum" in pick.reason for pick in found.picks)


def test_momentum_is_the_t_statistic_of_the_window_before_the_newest_bars() -> None:
    bars = panel(1, seed=3)
    steps = np.diff(np.log(bars[0, :, CLOSE]))
    older = steps[-(OPTIONS.momentum_bars + OPTIONS.reversal_bars) : -OPTIONS.reversal_bars]
    expected = older.mean() / (older.std(ddof=1) / math.sqrt(len(older)))
    assert screen(names(1), bars, OPTIONS).measures.momentum[0] == pytest.approx(expected, rel=1e-12)


def test_alpha_is_coefficient_times_volatility_times_score_less_costs_and_spread() -> None:
    options = ScreeningOptions(cost_bps=4.0, information_coefficient=0.1, horizon_bars=25)
    measures = screen(names(2), panel(2), options, books([1.0, 3.0], [5.0, 5.0], [5.0, 5.0])).measures
    gross = 0.1 * 5.0 * measures.volatility_bps * measures.score
    np.testing.assert_allclose(measures.alpha_long_bps, gross - np.array([5.0, 7.0]))
    np.testing.assert_allclose(measures.alpha_short_bps, -gross - np.array([5.0, 7.0]))
    np.testing.assert_allclose(measures.spread_bps, [1.0, 3.0])


def books(spread_bps: list[float], bids: list[float], asks: list[float]) -> Books:
    """Return books around 100 with the given spreads and quantities."""
    half = np.array(spread_bps) / 2e4
    return Books(
        bid=100.0 * (1 - half), ask=100.0 * (1 + half), bid_quantity=np.array(bids), ask_quantity=np.array(asks)
    )


def test_a_symbol_without_a_book_or_with_a_thin_one_is_refused_where_books_are_asked_for() -> None:
    options = ScreeningOptions(cost_bps=0.0, min_depth=300.0)
    asked = books([1.0, math.nan, 1.0], [9.0, 9.0, 9.0], [3.1, 9.0, 2.9])
    found = screen(names(3), panel(3), options, asked)
    assert {symbol: reason.split(":")[0] for symbol, reason in found.refused.items()} == {
        "S0001": "BOOK_UNKNOWN",
        "S0002": "BOOK_TOO_THIN",
    }
    assert found.measures.imbalance[0] == pytest.approx((9.0 - 3.1) / 12.1, abs=1e-3)
    assert screen(names(3), panel(3), options).refused == {}


def test_the_newest_move_is_expected_to_turn_around() -> None:
    steps = np.random.default_rng(5).normal(0.0, 1e-3, (2, BARS))
    steps[0, -OPTIONS.reversal_bars :] += 2e-3
    measures = screen(names(2), from_steps(steps, np.ones((2, BARS))), OPTIONS).measures
    assert measures.reversal[0] < -3


def test_volume_on_rising_bars_is_flow() -> None:
    bars = panel(2, seed=8)
    rising = np.diff(bars[0, :, CLOSE], prepend=bars[0, 0, CLOSE]) > 0
    bars[0, rising, VOLUME] *= 20
    measures = screen(names(2), bars, OPTIONS).measures
    assert measures.flow[0] > 3
    assert abs(measures.flow[1]) < 3


def test_a_symbols_figures_do_not_depend_on_who_stands_beside_it() -> None:
    bars = panel(40, seed=2)
    alone = screen(["S0007"], bars[7:8], OPTIONS).measures
    among = screen(names(40), bars, OPTIONS).measures
    for name in ("momentum", "reversal", "flow", "score", "alpha_long_bps"):
        assert getattr(alone, name)[0] == getattr(among, name)[7]


def test_the_order_of_the_symbols_changes_nothing() -> None:
    bars = with_drift(panel(30, seed=4), 6, 4e-4)
    bars[5] = bars[6]
    order = np.arange(30)[::-1]
    shuffled = screen([names(30)[at] for at in order], bars[order], OPTIONS)
    assert shuffled.picks == screen(names(30), bars, OPTIONS).picks
    assert [pick.symbol for pick in shuffled.picks[:2]] == ["S0005", "S0006"]


def test_what_cannot_be_measured_is_refused_by_name_and_never_filled_in() -> None:
    bars = panel(6)
    bars[0, 300] = np.nan
    bars[1, 350, CLOSE] = -1.0
    bars[2, :, :VOLUME] = 7.0
    bars[3, :, VOLUME] = 0.0
    found = screen(names(6), bars, OPTIONS)
    assert {symbol: reason.split(":")[0] for symbol, reason in found.refused.items()} == {
        "S0000": "BARS_MISSING",
        "S0001": "PRICES_IMPOSSIBLE",
        "S0002": "PRICE_CONSTANT",
        "S0003": "NO_VOLUME",
    }
    assert np.isnan(found.measures.score[:4]).all()
    assert np.isfinite(found.measures.score[4:]).all()


def test_a_gap_before_the_windows_harms_nobody() -> None:
    bars = panel(2)
    bars[0, : BARS - OPTIONS.bars] = np.nan
    assert screen(names(2), bars, OPTIONS).refused == {}


def test_the_thin_and_the_wild_are_left_out_with_their_figures() -> None:
    bars = with_drift(panel(5), 0, 4e-4)
    bars[0, :, VOLUME] /= 1000
    steps = np.random.default_rng(9).normal(1e-3, 2e-2, (1, BARS))
    bars[1] = from_steps(steps, np.ones((1, BARS)))[0]
    found = screen(names(5), bars, ScreeningOptions(cost_bps=0.0, min_turnover=50.0, max_volatility_rank=0.85))
    assert found.refused["S0000"].startswith("TURNOVER_TOO_LOW: 0.")
    assert found.refused["S0001"].startswith("TOO_VOLATILE: rank 0.90")
    assert not {"S0000", "S0001"} & {pick.symbol for pick in found.picks}


def test_nothing_is_picked_where_costs_eat_the_edge() -> None:
    assert screen(names(50), panel(50), ScreeningOptions(cost_bps=500.0)).picks == ()


def test_ranks_run_from_the_calmest_to_the_wildest_and_equals_share_theirs() -> None:
    np.testing.assert_allclose(volatility_rank(np.array([3.0, 1.0, 2.0, 2.0, 9.0])), [0.7, 0.1, 0.4, 0.4, 0.9])
    assert volatility_rank(np.array([5.0])).tolist() == [0.5]


@pytest.mark.parametrize("shape", [(3, BARS, 5), (2, BARS, 4), (2, 100, 5)])
def test_bars_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="bars"):
        screen(names(2), np.ones(shape), OPTIONS)


def test_a_panel_without_symbols_is_refused() -> None:
    with pytest.raises(ValueError, match="no symbols"):
        screen([], np.ones((0, BARS, 5)), OPTIONS)
