"""The slippage model on orders whose cost was planted: coefficients come back, noise is not believed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.slippage import (
    CONSTANT,
    RIDGE,
    TERMS,
    Conditions,
    SlippageOptions,
    Tactic,
    TooFewFills,
    choose_tactic,
    fit_slippage,
    pinball,
    spread_from_ranges,
)

Array = NDArray[np.float64]
OPTIONS = SlippageOptions()
PLANTED = np.array([1.0, 0.7, 0.1, 1.5, -0.8, 0.4])
NOISE_BPS = 3.0


def conditions(count: int, seed: int) -> Conditions:
    chance = np.random.default_rng(seed)
    return Conditions(
        spread_bps=chance.uniform(1.0, 12.0, count),
        size_share=chance.uniform(0.0, 0.2, count),
        volatility_bps=chance.uniform(5.0, 40.0, count),
        buy=chance.integers(0, 2, count).astype(np.float64),
        hour=chance.uniform(0.0, 24.0, count),
    )


def planted(count: int, seed: int) -> tuple[Conditions, Array]:
    asked = conditions(count, seed)
    noise = np.random.default_rng(seed + 1).normal(0.0, NOISE_BPS, count)
    return asked, 2.0 + asked.design() @ PLANTED + noise


def test_planted_coefficients_come_back_within_their_errors() -> None:
    asked, cost = planted(4000, 1)
    model, report = fit_slippage(asked, cost, OPTIONS)
    design = np.column_stack([np.ones(4000), asked.design()])
    errors = NOISE_BPS * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))[1:]
    assert len(model.expected.coefficients) == len(TERMS)
    assert (np.abs(np.array(model.expected.coefficients) - PLANTED) < 4 * errors).all()
    assert report.kind == report.upper_kind == RIDGE
    assert report.rmse_bps == pytest.approx(NOISE_BPS, rel=0.1)
    assert report.baseline_rmse_bps > 1.5 * report.rmse_bps


def test_the_bad_case_holds_for_its_share_of_new_orders() -> None:
    model, _ = fit_slippage(*planted(4000, 2), OPTIONS)
    asked, cost = planted(4000, 50)
    assert (cost <= model.upper.at(asked)).mean() == pytest.approx(0.8, abs=0.03)
    assert model.upper.at(asked).mean() > model.expected.at(asked).mean()


def test_noise_is_no_reason_to_believe_a_regression() -> None:
    chance = np.random.default_rng(3)
    kinds = []
    for seed in range(20):
        cost = chance.normal(5.0, 8.0, 240)
        model, report = fit_slippage(conditions(240, seed), cost, OPTIONS)
        kinds.append(report.kind)
        if report.kind == CONSTANT:
            assert set(model.expected.coefficients) == {0.0}
            assert model.expected.intercept == pytest.approx(cost.mean())
        else:
            assert max(map(abs, model.expected.coefficients)) < 5
    assert kinds.count(CONSTANT) >= 8


def test_the_penalty_is_heavy_for_noise_and_light_for_a_strong_signal() -> None:
    chance = np.random.default_rng(11)
    noise = [
        fit_slippage(conditions(240, seed), chance.normal(5.0, 8.0, 240), OPTIONS)[1].penalty for seed in range(20)
    ]
    assert np.median(noise) == 1000.0
    assert fit_slippage(*planted(4000, 12), OPTIONS)[1].penalty <= 1.0


def test_the_judging_orders_are_the_newest_and_were_not_learned_from() -> None:
    asked, cost = planted(800, 4)
    late = cost.copy()
    late[600:] = 1000.0
    _, honest = fit_slippage(asked, cost, OPTIONS)
    _, surprised = fit_slippage(asked, late, OPTIONS)
    assert honest.held_out == surprised.held_out == 200
    assert surprised.rmse_bps > 900
    assert surprised.baseline_rmse_bps > 900


def test_too_few_orders_are_refused_by_name_with_both_figures() -> None:
    with pytest.raises(TooFewFills, match="TOO_FEW_FILLS: 199 orders of at least 200"):
        fit_slippage(*planted(199, 5), OPTIONS)


def test_what_is_not_a_number_is_refused() -> None:
    asked, cost = planted(300, 6)
    cost[7] = math.nan
    with pytest.raises(ValueError, match="finite"):
        fit_slippage(asked, cost, OPTIONS)


def test_a_condition_that_never_varies_harms_nothing() -> None:
    asked, cost = planted(500, 7)
    model, report = fit_slippage(
        Conditions(
            spread_bps=asked.spread_bps,
            size_share=asked.size_share,
            volatility_bps=asked.volatility_bps,
            buy=np.ones(500),
            hour=asked.hour,
        ),
        cost,
        OPTIONS,
    )
    assert report.kind == RIDGE
    assert model.expected.coefficients[TERMS.index("buy")] == pytest.approx(0.0, abs=1e-9)
    assert np.isfinite(model.upper.coefficients).all()


@pytest.mark.parametrize(
    ("expected_bps", "tactic", "words"),
    [
        (-3.0, Tactic.IOC_LIMIT, "-3.0 bps"),
        (12.0, Tactic.IOC_LIMIT, "up to 12"),
        (12.001, Tactic.MARKET, "up to 40"),
        (40.0, Tactic.MARKET, "up to 40"),
        (40.001, Tactic.SKIP, "SLIPPAGE_TOO_HIGH"),
        (math.nan, Tactic.SKIP, "SLIPPAGE_UNKNOWN"),
        (math.inf, Tactic.SKIP, "SLIPPAGE_UNKNOWN"),
    ],
)
def test_the_tactic_follows_expected_slippage_and_says_why(expected_bps: float, tactic: Tactic, words: str) -> None:
    choice = choose_tactic(expected_bps, OPTIONS)
    assert choice.tactic is tactic
    assert words in choice.reason


def test_pinball_loss_is_least_at_its_quantile() -> None:
    values = np.random.default_rng(8).exponential(1.0, 20_000)
    losses = {at: pinball(values - at, 0.8) for at in np.linspace(0.5, 3.0, 26)}
    assert min(losses, key=lambda at: losses[at]) == pytest.approx(-math.log(0.2), abs=0.06)


def test_a_planted_spread_is_read_from_ranges() -> None:
    chance = np.random.default_rng(9)
    ticks = np.exp(np.cumsum(chance.normal(0.0, 2e-5, (3000, 200)).ravel())).reshape(3000, 200)
    spread = 20e-4
    high, low = ticks.max(axis=1) * (1 + spread / 2), ticks.min(axis=1) * (1 - spread / 2)
    found = spread_from_ranges(high, low)
    assert math.isnan(found[0])
    assert np.nanmean(found) == pytest.approx(spread, rel=0.2)
