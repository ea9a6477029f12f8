"""The walk-forward judges only what it never fitted, after costs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from strategies.features import compute
from strategies.regime_policy import PolicyOptions
from strategies.regimes.fit import FitOptions, FitRefused, fit
from strategies.research.metrics import max_drawdown, performance
from strategies.research.walk_forward import WalkForwardOptions, folds, walk_forward
from tests.unit.strategies.series import BAR_MS, regime_series

FIT = FitOptions(candidates=(3,), starts=1)


def test_folds_never_overlap_their_training_and_keep_the_gap() -> None:
    options = WalkForwardOptions(folds=4, purge=50)
    plan = list(folds(2_000, options))
    assert [fold.test_to for fold in plan[:-1]] == [fold.test_from for fold in plan[1:]]
    assert plan[-1].test_to == 2_000
    assert all(fold.test_from - fold.train_to == 50 for fold in plan)


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        list(folds(200, WalkForwardOptions(folds=4, purge=50)))


def test_a_purge_longer_than_the_first_training_is_refused_and_never_trains_on_the_end() -> None:
    with pytest.raises(FitRefused, match="too few"):
        list(folds(1_000, WalkForwardOptions(folds=1, train_share=0.05, purge=60)))
    (fold,) = folds(1_000, WalkForwardOptions(folds=1, train_share=0.1, purge=60))
    assert (fold.train_from, fold.train_to, fold.test_from) == (0, 40, 100)


def test_the_first_bars_of_every_fold_are_under_embargo() -> None:
    plan = list(folds(2_000, WalkForwardOptions(folds=4, purge=50, embargo=30)))
    assert all(fold.test_from - fold.train_to == 80 for fold in plan)
    assert [later.test_from - fold.test_to for fold, later in pairwise(plan)] == [30] * 3
    with pytest.raises(FitRefused, match="too few"):
        list(folds(2_000, WalkForwardOptions(folds=4, purge=50, embargo=200)))
    series = regime_series(2_400, 4)
    rows = compute(series.open, series.high, series.low, series.close, series.volume)
    options = WalkForwardOptions(folds=2, purge=60, embargo=30)
    report = walk_forward(rows, series.open_at_ms, BAR_MS, FIT, PolicyOptions(), options)
    judged = set(report.index.tolist())
    assert judged == {*range(1_230, 1_800), *range(1_830, 2_400)}


def test_costs_are_paid_and_only_out_of_sample_bars_are_judged() -> None:
    series = regime_series(2_400, 4)
    rows = compute(series.open, series.high, series.low, series.close, series.volume)
    policy = PolicyOptions(round_trip_cost_bps=5.0)

    def run(cost: float) -> float:
        options = WalkForwardOptions(folds=2, purge=60, cost_bps=cost)
        report = walk_forward(rows, series.open_at_ms, BAR_MS, FIT, policy, options)
        assert report.index.min() >= 1_200
        assert len(report.index) == len(set(report.index.tolist()))
        return report.strategy.total_return

    assert run(0.0) > run(20.0)


def test_the_decision_of_a_bar_earns_from_the_next_bar_on() -> None:
    series = regime_series(2_400, 4)
    rows = compute(series.open, series.high, series.low, series.close, series.volume)
    options = WalkForwardOptions(folds=2, purge=60, cost_bps=0.0)
    report = walk_forward(rows, series.open_at_ms, BAR_MS, FIT, PolicyOptions(round_trip_cost_bps=5.0), options)
    expected = np.concatenate([[0.0], report.positions[:-1]]) * report.market_returns
    np.testing.assert_allclose(report.returns, expected)


def test_the_confidence_gate_of_the_live_policy_holds_out_of_sample_too() -> None:
    series = regime_series(2_400, 4)
    rows = compute(series.open, series.high, series.low, series.close, series.volume)
    options = WalkForwardOptions(folds=2, purge=60, cost_bps=1.0)
    shut = PolicyOptions(round_trip_cost_bps=5.0, confidence_gate=1.0 + 1e-9)
    assert not walk_forward(rows, series.open_at_ms, BAR_MS, FIT, shut, options).positions.any()
    strict = PolicyOptions(round_trip_cost_bps=5.0, confidence_gate=0.99)
    report = walk_forward(rows, series.open_at_ms, BAR_MS, FIT, strict, options)
    moved = np.flatnonzero(np.diff(report.positions) != 0) + 1
    assert len(moved) > 5
    assert report.posteriors[moved].max(axis=1).min() >= 0.99


def test_a_fold_that_could_not_be_fitted_holds_nothing_and_a_position_is_closed_before_it() -> None:
    series = regime_series(3_600, 4)
    rows = compute(series.open, series.high, series.low, series.close, series.volume)
    options = WalkForwardOptions(folds=3, purge=60, cost_bps=2.0)
    calls = iter(range(3))

    def fitter(*given: Any) -> Any:
        if next(calls) == 1:
            raise FitRefused("TOO_FEW_BARS", "the middle one")
        return fit(*given)

    report = walk_forward(rows, series.open_at_ms, BAR_MS, FIT, PolicyOptions(round_trip_cost_bps=5.0), options, fitter)
    assert report.refused == ("TOO_FEW_BARS",)
    first = next(folds(3_600, options))
    edge = int(np.searchsorted(report.index, first.test_to))
    assert report.index[edge] - report.index[edge - 1] > 100
    last, before = report.positions[edge - 1], report.positions[edge - 2]
    assert last != 0.0
    paid = (abs(last - before) + abs(last)) * 2e-4
    assert report.returns[edge - 1] == pytest.approx(before * report.market_returns[edge - 1] - paid)
    assert report.returns[edge] == pytest.approx(-abs(report.positions[edge]) * 2e-4)


def test_the_standard_error_of_the_sharpe_ratio_matches_simulation() -> None:
    chance = np.random.default_rng(1)
    draws = [performance(chance.normal(0.001, 0.01, 400), np.ones(400), 1.0) for _ in range(400)]
    spread = float(np.std([draw.sharpe for draw in draws]))
    assert spread == pytest.approx(draws[0].sharpe_se, rel=0.15)


def test_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    assert max_drawdown(np.array([1.0, 1.2, 0.9, 1.1])) == pytest.approx(0.25)
