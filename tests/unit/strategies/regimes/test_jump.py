"""The jump model: exact paths, a price of change chosen in the sample, and a live filter that finds the regimes."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from strategies.contracts import Bar
from strategies.features import FEATURES, WARM_UP
from strategies.regime_policy import PolicyOptions, RegimePolicy
from strategies.regimes.agreement import adjusted_rand
from strategies.regimes.filtering import filter_batch
from strategies.regimes.fit import FitOptions, FitRefused
from strategies.regimes.jump_fit import fit_jump
from strategies.regimes.jump_path import cheapest_path, cheapest_paths
from strategies.regimes.model import JUMP, RegimeModel
from strategies.research.lookahead import find_leaks
from tests.unit.strategies.regimes.models import Array, draw, gaussian_model
from tests.unit.strategies.series import BAR_MS, regime_series

OPTIONS = FitOptions(candidates=(3,))


def _times(rows: Array) -> np.ndarray:
    return np.arange(len(rows), dtype=np.int64) * BAR_MS


@pytest.fixture(scope="module")
def drawn() -> tuple[Array, np.ndarray]:
    return draw(gaussian_model(3, separation=2.5), 3_000, 41)


@pytest.fixture(scope="module")
def fitted(drawn: tuple[Array, np.ndarray]) -> RegimeModel:
    rows = drawn[0][:2_000]
    return fit_jump(rows, _times(rows), BAR_MS, OPTIONS)[0]


def _price(path: tuple[int, ...], costs: Array, penalty: float, frees: set[int]) -> float:
    changes = sum(path[at] != path[at - 1] and at not in frees for at in range(1, len(path)))
    return float(costs[np.arange(len(path)), list(path)].sum() + penalty * changes)


@pytest.mark.parametrize("lengths", [[7], [3, 4]])
@pytest.mark.parametrize("penalty", [0.0, 0.4, 2.0, 50.0])
def test_no_path_is_cheaper_than_the_one_found(penalty: float, lengths: list[int]) -> None:
    costs = np.random.default_rng(42).random((7, 3))
    frees = {lengths[0]} if len(lengths) > 1 else set()
    least = min(_price(path, costs, penalty, frees) for path in product(range(3), repeat=7))
    found = tuple(cheapest_path(costs, penalty, lengths).tolist())
    assert _price(found, costs, penalty, frees) == pytest.approx(least)


@pytest.mark.parametrize("lengths", [[300], [100, 200]])
def test_many_paths_side_by_side_are_the_paths_one_by_one(lengths: list[int]) -> None:
    costs = np.random.default_rng(43).random((300, 5, 4))
    penalties = np.array([0.0, 0.1, 0.5, 1.0, 5.0])
    together = cheapest_paths(costs, penalties, lengths)
    for at, penalty in enumerate(penalties.tolist()):
        np.testing.assert_array_equal(together[at], cheapest_path(costs[:, at], penalty, lengths))


def test_the_live_filter_finds_the_true_regimes_out_of_sample(
    drawn: tuple[Array, np.ndarray], fitted: RegimeModel
) -> None:
    rows, states = drawn
    found = filter_batch(fitted, rows)[0].argmax(axis=1)
    assert adjusted_rand(found[2_000:], states[2_000:]) > 0.75


def test_no_share_changes_when_the_future_is_cut(drawn: tuple[Array, np.ndarray], fitted: RegimeModel) -> None:
    columns = [f"posterior_{k}" for k in range(3)]
    assert find_leaks(lambda n: filter_batch(fitted, drawn[0][:n])[0], columns, [5, 60, 500, 1_000]) == []


def test_shares_are_as_sure_as_they_are_right(drawn: tuple[Array, np.ndarray], fitted: RegimeModel) -> None:
    rows, states = drawn
    shares = filter_batch(fitted, rows)[0][2_000:]
    named = np.array([np.bincount(states[:2_000][filter_batch(fitted, rows)[0][:2_000].argmax(axis=1) == k]).argmax()
                      for k in range(3)])  # fmt: skip
    right = named[shares.argmax(axis=1)] == states[2_000:]
    assert abs(shares.max(axis=1).mean() - right.mean()) < 0.08


def test_regimes_that_follow_one_another_bar_by_bar_get_no_high_price(drawn: tuple[Array, np.ndarray]) -> None:
    rows, _ = draw(gaussian_model(3, separation=3.0, stay=0.6), 1_500, 44)
    quick, _ = fit_jump(rows, _times(rows), BAR_MS, replace(OPTIONS, min_dwell_bars=1.0))
    slow, _ = draw(gaussian_model(3, separation=1.5, stay=0.99), 1_500, 44)
    slower, _ = fit_jump(slow, _times(slow), BAR_MS, OPTIONS)
    assert quick.jump_penalty < slower.jump_penalty


def test_it_is_told_from_noise_and_from_constant_prices() -> None:
    rows, _ = draw(gaussian_model(1), 800, 45)
    with pytest.raises(FitRefused) as refusal:
        fit_jump(np.zeros_like(rows), _times(rows), BAR_MS, OPTIONS)
    assert refusal.value.code == "CONSTANT_FEATURE"
    with pytest.raises(FitRefused) as refusal:
        fit_jump(rows[:60], _times(rows)[:60], BAR_MS, OPTIONS)
    assert refusal.value.code == "TOO_FEW_BARS"
    with pytest.raises(FitRefused) as refusal:
        fit_jump(rows, _times(rows), BAR_MS, replace(OPTIONS, min_dwell_bars=500.0))
    assert refusal.value.code == "NO_STABLE_REGIMES"


def test_the_same_rows_give_the_same_model_and_a_refit_keeps_the_names(
    drawn: tuple[Array, np.ndarray], fitted: RegimeModel
) -> None:
    rows = drawn[0][:2_000]
    assert fit_jump(rows, _times(rows), BAR_MS, OPTIONS)[0].to_dict() == fitted.to_dict()
    turned = replace(fitted, means=fitted.means[::-1].copy(), covars=fitted.covars[::-1].copy())
    again, _ = fit_jump(rows, _times(rows), BAR_MS, OPTIONS, turned)
    np.testing.assert_allclose(again.means, fitted.means[::-1])


def test_the_live_strategy_runs_on_a_jump_model_as_on_any_other() -> None:
    series = regime_series(700, 46)
    from_file = RegimeModel.from_dict(json.loads(json.dumps(_hand_made().to_dict())))
    policy = RegimePolicy(from_file, "rm-1", PolicyOptions(round_trip_cost_bps=1.0, min_t_statistic=0.0))
    bars: list[Bar] = series.bars()
    signals = [signal for bar in bars if (signal := policy.on_bar(bar))]
    assert policy.posterior is not None
    assert sum(policy.posterior) == pytest.approx(1.0)
    assert signals
    assert bars.index(next(bar for bar in bars if bar.close_at_ms == signals[0].at_ms)) >= WARM_UP - 1


def _hand_made() -> RegimeModel:
    ranges = np.log([0.0006, 0.004])
    return replace(
        gaussian_model(2),
        features=("log_range",),
        means=((ranges - ranges.mean()) / 1.0)[:, None],
        covars=np.full((2, 1), 0.3),
        scaler_mean=np.array([ranges.mean()]),
        scaler_scale=np.array([1.0]),
        expected_return=np.array([0.0002, -0.0004]),
        kind=JUMP,
        jump_penalty=2.0,
        jump_temperature=0.3,
    )


def test_the_features_of_a_model_are_features_of_the_schema(fitted: RegimeModel) -> None:
    assert set(fitted.features) <= set(FEATURES)
    assert fitted.kind == JUMP
