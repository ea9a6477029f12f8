"""Sharpe ratios with their errors, against the figures of the papers they come from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from strategies.research.metrics import SharpeEstimate, deflated_sharpe, expected_best, performance, sharpe_estimate

PER_DAY = math.sqrt(250)


def paper() -> SharpeEstimate:
    """Return the example of Bailey and Lopez de Prado (2014): 5 years of days, 2.5 a year, skewed and heavy-tailed."""
    return SharpeEstimate(per_bar=2.5 / PER_DAY, bars=1250, skew=-3.0, kurtosis=10.0)


def test_the_papers_strategy_is_worth_ninety_per_cent_after_a_hundred_trials() -> None:
    best = expected_best(100, math.sqrt(0.5 / 250))
    assert best == pytest.approx(0.1132, abs=5e-5)
    assert paper().probability_above(best) == pytest.approx(0.9004, abs=5e-5)


def test_with_forty_six_trials_it_passes_the_usual_level() -> None:
    assert paper().probability_above(expected_best(46, math.sqrt(0.5 / 250))) == pytest.approx(0.9505, abs=5e-5)


def test_the_error_of_normal_returns_is_los() -> None:
    # Lo (2002), table 1: a true ratio of 1.5 over 60 observations has an error of 0.188.
    assert SharpeEstimate(per_bar=1.5, bars=60).standard_error == pytest.approx(0.188, abs=5e-4)
    assert SharpeEstimate(per_bar=0.5, bars=12).standard_error == pytest.approx(0.306, abs=5e-4)


def test_the_stated_error_is_the_spread_of_many_samples_also_for_skewed_returns() -> None:
    chance = np.random.default_rng(3)
    samples = [sharpe_estimate(chance.exponential(1.0, 400) - 0.8) for _ in range(2000)]
    spread = float(np.std([sample.per_bar for sample in samples]))
    stated = float(np.mean([sample.standard_error for sample in samples]))
    naive = float(np.mean([SharpeEstimate(per_bar=s.per_bar, bars=s.bars).standard_error for s in samples]))
    assert stated == pytest.approx(spread, rel=0.06)
    assert abs(stated - spread) < abs(naive - spread)


def test_the_best_of_many_worthless_trials_is_deflated_to_a_coin_toss() -> None:
    chance = np.random.default_rng(11)
    deflated = []
    for _ in range(60):
        trials = [sharpe_estimate(chance.normal(0.0, 0.01, 500)) for _ in range(40)]
        best = max(trials, key=lambda trial: trial.per_bar)
        deflated.append(deflated_sharpe(best, [trial.per_bar for trial in trials]))
        assert best.probability_above(0.0) > 0.85
    assert 0.3 < float(np.mean(deflated)) < 0.7


def test_one_trial_is_not_deflated() -> None:
    assert deflated_sharpe(paper(), [paper().per_bar]) == pytest.approx(paper().probability_above(0.0))


@pytest.mark.parametrize("returns", [[], [0.01], [0.01] * 50, [0.0] * 50])
def test_returns_that_do_not_vary_have_no_ratio(returns: list[float]) -> None:
    assert sharpe_estimate(np.array(returns)).per_bar == 0.0


@pytest.mark.parametrize("each", [0.0, 0.001, -0.003])
def test_returns_that_never_vary_have_no_sharpe_ratio(each: float) -> None:
    found = performance(np.full(1_001, each), np.ones(1_001), 8_760.0)
    assert found.sharpe == 0.0
    assert found.total_return == pytest.approx((1.0 + each) ** 1_001 - 1.0)
