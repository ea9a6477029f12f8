"""Stress: tails whose value is known on paper, and the policy on a path as it is live."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.features import FEATURES, compute
from strategies.policy_path import held_exposures
from strategies.regime_policy import PolicyOptions, RegimePolicy, regime_exposures
from strategies.regimes.filtering import filter_batch
from strategies.regimes.model import RegimeModel
from strategies.stress import (
    BOOTSTRAP,
    MODEL,
    StressOptions,
    expected_shortfall,
    exposures_on,
    net_returns,
    stress,
    tail,
)
from tests.unit.strategies.regimes.models import draw, gaussian_model, jump_model
from tests.unit.strategies.series import BAR_MS, regime_series

Array = NDArray[np.float64]
NORMAL = NormalDist()
DRIFT, SIGMA = 2e-4, 4e-3
ALWAYS = PolicyOptions(round_trip_cost_bps=1e-6)
OPTIONS = StressOptions(paths=20_000, bars=101, cost_bps=0.0)


def one_regime(drift: float = DRIFT, sigma: float = SIGMA) -> RegimeModel:
    """Return a model of one regime with Gaussian log returns, told so surely that the policy is always long."""
    return RegimeModel(
        features=("log_return",),
        startprob=np.ones(1),
        transmat=np.ones((1, 1)),
        means=np.zeros((1, 1)),
        covars=np.ones((1, 1)),
        scaler_mean=np.array([drift]),
        scaler_scale=np.array([sigma]),
        expected_return=np.array([drift]),
        volatility=np.array([sigma]),
        labels=("only",),
        trained_from_ms=0,
        trained_to_ms=60_000,
        bars=1_000_000,
        data_hash="0" * 64,
        seed=7,
    )


def of_a_market(model: RegimeModel) -> RegimeModel:
    """Return the model with returns of a size that a market has."""
    return replace(model, scaler_mean=np.array([0.0, -7.0]), scaler_scale=np.array([0.002, 0.5]))


def rows_of(returns: Array) -> Array:
    rows = np.zeros((len(returns), len(FEATURES)))
    rows[:, FEATURES.index("log_return")] = returns
    return rows


def lognormal_tail(bars: int, level: float) -> tuple[float, float]:
    """Return value at risk and expected shortfall of 1 - exp(L), L normal over so many bars, on paper."""
    mean, spread = bars * DRIFT, math.sqrt(bars) * SIGMA
    z = NORMAL.inv_cdf(1 - level)
    at_risk = 1 - math.exp(mean + z * spread)
    shortfall = 1 - math.exp(mean + spread**2 / 2) * NORMAL.cdf(z - spread) / (1 - level)
    return at_risk, shortfall


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_tail_of_a_held_position_is_the_lognormal_one(level: float) -> None:
    found = stress(one_regime(), np.zeros((1, 7)), ALWAYS, replace(OPTIONS, level=level), MODEL)
    at_risk, shortfall = lognormal_tail(100, level)
    assert found.value_at_risk == pytest.approx(at_risk, rel=0.03)
    assert found.shortfall == pytest.approx(shortfall, rel=0.03)
    assert found.mean_return == pytest.approx(math.exp(100 * DRIFT + 50 * SIGMA**2) - 1, abs=0.001)


def test_recorded_fat_tails_weigh_more_than_gaussians_of_the_same_spread() -> None:
    chance = np.random.default_rng(3)
    wild = chance.standard_t(3, 20_000) * SIGMA / math.sqrt(3)
    options = replace(OPTIONS, bars=6, level=0.99)
    drawn = stress(one_regime(0.0001), rows_of(wild), ALWAYS, options, BOOTSTRAP)
    smooth = stress(one_regime(0.0001), rows_of(wild), ALWAYS, options, MODEL)
    assert drawn.shortfall > 1.15 * smooth.shortfall


def test_a_recorded_bar_that_never_varies_leaves_no_doubt() -> None:
    options = replace(OPTIONS, paths=50)
    found = stress(one_regime(), rows_of(np.full(100, 0.001)), ALWAYS, options, BOOTSTRAP)
    assert found.worst == pytest.approx(1 - math.exp(0.1))
    assert found.shortfall == pytest.approx(1 - math.exp(0.1))
    assert found.drawdown == pytest.approx(0.0, abs=1e-12)


def test_shortfall_is_the_mean_of_the_worst_and_the_edge_counts_in_part() -> None:
    losses = np.arange(1.0, 101.0)
    assert expected_shortfall(losses, 0.95) == pytest.approx(np.mean([96, 97, 98, 99, 100]))
    assert expected_shortfall(losses, 0.985) == pytest.approx((100 + 0.5 * 99) / 1.5)
    assert expected_shortfall(losses, 0.999) == pytest.approx(100)


def test_what_is_decided_at_a_close_earns_the_next_bar_and_turnover_is_paid() -> None:
    held = np.array([[1.0, 1.0, -0.5]])
    log_returns = np.log1p(np.array([[0.5, 0.1, -0.2]]))
    np.testing.assert_allclose(net_returns(held, log_returns, 100.0), [[-0.01, 0.1, -0.2 - 0.015]])


def test_a_path_that_lost_everything_stays_there() -> None:
    returns = np.array([[-1.5, 5.0], [0.0, 0.1]])
    found = tail(returns, np.ones((2, 2)), StressOptions(level=0.5))
    assert found.worst == 1.0
    assert found.ruined_frac == 0.5


def test_the_policy_on_a_path_is_the_live_policy() -> None:
    series = regime_series(1500, 5)
    model = gaussian_model(3, separation=1.5, stay=0.9)
    policy = PolicyOptions(cooldown_s=300.0, round_trip_cost_bps=2.0, hysteresis=0.1)
    values = compute(series.open, series.high, series.low, series.close, series.volume)
    complete = np.isfinite(values).all(axis=1)
    used = values[complete]
    model = replace(
        model,
        scaler_mean=used[:, model.columns].mean(axis=0),
        scaler_scale=used[:, model.columns].std(axis=0),
        means=model.means - model.means.mean(axis=0),
        expected_return=np.array([-0.01, 0.0, 0.01]),
    )
    live, held, now = RegimePolicy(model, "v", policy), [], 0.0
    for bar in series.bars():
        signal = live.on_bar(bar)
        now = signal.target if signal else now
        held.append(now)
    path = exposures_on(model, used[None], policy, BAR_MS)[0]
    expected = np.array(held)[complete]
    assert len(set(expected.round(6))) > 10
    np.testing.assert_allclose(path, expected, atol=1e-9)
    shares, deserved = filter_batch(model, used)[0], np.array(regime_exposures(model, policy))
    alone = held_exposures(shares, deserved, policy, BAR_MS)
    np.testing.assert_allclose(alone, expected, atol=1e-9)
    beside = held_exposures(np.stack([shares, shares[::-1]]), deserved, policy, BAR_MS)
    np.testing.assert_array_equal(beside[0], alone)


def test_the_same_seed_gives_the_same_tail_and_another_another() -> None:
    model = of_a_market(gaussian_model(3))
    recorded, _ = draw(model, 2000, 1)
    options = StressOptions(paths=40, bars=200)
    for source in (MODEL, BOOTSTRAP):
        once, again = (stress(model, recorded, PolicyOptions(), options, source) for _ in range(2))
        assert once == again
        assert stress(model, recorded, PolicyOptions(), replace(options, seed=8), source) != once


def test_a_jump_model_is_stressed_too() -> None:
    model = of_a_market(jump_model())
    recorded, _ = draw(model, 2000, 2)
    assert math.isfinite(stress(model, recorded, PolicyOptions(), StressOptions(paths=20, bars=100), BOOTSTRAP).worst)


def test_a_regime_without_recorded_bars_and_an_unknown_source_are_refused() -> None:
    model = gaussian_model(3, separation=30.0)
    with pytest.raises(ValueError, match="recorded bar"):
        stress(model, np.zeros((10, 7)), PolicyOptions(), StressOptions(paths=5, bars=5), BOOTSTRAP)
    with pytest.raises(ValueError, match="beyond 5"):
        stress(model, np.zeros((10, 7)), PolicyOptions(), StressOptions(paths=5, bars=5), MODEL)
    with pytest.raises(ValueError, match="dream"):
        stress(model, np.zeros((10, 7)), PolicyOptions(), StressOptions(paths=5, bars=5), "dream")
