"""Scenarios have the statistics of their model; diagnostics tell good models from bad ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from strategies.features import FEATURES
from strategies.regimes.diagnostics import (
    DriftAlarm,
    calibration_error,
    forecast_ranks,
    lag,
    one_step_log_likelihood,
    realised_dwell,
    score,
)
from strategies.regimes.filtering import filter_batch
from strategies.regimes.scenarios import resample, simulate
from tests.unit.strategies.regimes.models import correlated_model, draw, gaussian_model, jump_model


def test_scenarios_have_the_dwell_the_moments_and_the_correlation_of_their_model() -> None:
    model = gaussian_model(2, separation=2.0, stay=0.9)
    drawn = simulate(model, paths=20, bars=2_000, seed=91)
    assert np.mean([realised_dwell(path) for path in drawn.regimes]) == pytest.approx(10.0, rel=0.1)
    values = drawn.rows[:, :, model.columns][drawn.regimes == 1]
    np.testing.assert_allclose(values.mean(axis=0), model.means[1] * model.scaler_scale + model.scaler_mean, atol=0.03)
    tied = simulate(correlated_model(), paths=4, bars=3_000, seed=92)
    first = tied.rows[:, :, correlated_model().columns][tied.regimes == 0]
    assert np.corrcoef(first.T)[0, 1] == pytest.approx(0.8, abs=0.03)


def test_the_same_seed_gives_the_same_market_and_another_seed_another() -> None:
    first, again, other = (simulate(gaussian_model(), paths=2, bars=50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rows, again.rows)
    assert not np.array_equal(first.rows, other.rows)
    np.testing.assert_allclose(first.prices(100.0)[:, -1], 100.0 * np.exp(first.log_returns.sum(axis=1)))


def test_a_model_that_does_not_read_returns_draws_them_from_what_its_regimes_pay() -> None:
    model = replace(gaussian_model(2), features=("log_range", "slope_20"))
    drawn = simulate(model, paths=10, bars=2_000, seed=93)
    for regime in range(2):
        returns = drawn.log_returns[drawn.regimes == regime]
        assert returns.std() == pytest.approx(model.volatility[regime], rel=0.05)


def test_resampled_bars_are_recorded_bars_of_their_regime() -> None:
    model = gaussian_model(2, separation=4.0)
    rows, _ = draw(model, 1_500, 94)
    rows[:, FEATURES.index("zscore_30")] = np.arange(1_500)
    drawn = resample(model, rows, paths=3, bars=400, seed=95)
    origin = drawn.rows[:, :, FEATURES.index("zscore_30")].astype(int)
    named = filter_batch(model, rows)[0].argmax(axis=1)
    np.testing.assert_array_equal(named[origin], drawn.regimes)
    follow = (np.diff(origin, axis=1) == 1).mean()
    assert follow > 0.7  # blocks, not single bars


def test_nonsense_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        simulate(gaussian_model(), paths=0, bars=5, seed=1)
    rows, _ = draw(gaussian_model(1), 200, 96)
    with pytest.raises(ValueError, match="every regime"):
        resample(gaussian_model(2, separation=50.0), rows, paths=1, bars=5, seed=1)


@pytest.mark.parametrize("model", [gaussian_model(), correlated_model(), jump_model()], ids=["diag", "full", "jump"])
def test_one_step_likelihoods_add_up_to_the_filters_own(model: object) -> None:
    assert isinstance(model, type(gaussian_model()))
    rows, _ = draw(model, 500, 97)
    assert one_step_log_likelihood(model, rows).sum() == pytest.approx(filter_batch(model, rows)[1], rel=1e-9)


def test_the_true_model_scores_best_beyond_the_error() -> None:
    model = gaussian_model(3, separation=3.0)
    rows, _ = draw(model, 4_000, 98)
    right = score(one_step_log_likelihood(model, rows))
    wrong = score(one_step_log_likelihood(replace(model, covars=model.covars * 2.0), rows))
    assert right.nats_per_bar - wrong.nats_per_bar > 2 * max(right.error, wrong.error)
    assert right.bars == 4_000


def test_ranks_are_even_for_the_true_model_and_not_for_one_that_is_too_sure() -> None:
    model = gaussian_model(3, separation=2.0)
    rows, _ = draw(model, 4_000, 99)
    assert calibration_error(forecast_ranks(model, rows, "log_range")) < 0.03
    assert calibration_error(forecast_ranks(replace(model, covars=model.covars / 4.0), rows, "log_range")) > 0.08
    with pytest.raises(ValueError, match="does not read"):
        forecast_ranks(model, rows, "slope_20")


def test_regimes_further_apart_are_noticed_sooner() -> None:
    near, far = lag(gaussian_model(3, separation=1.5)), lag(gaussian_model(3, separation=4.0))
    assert far.bars < near.bars
    assert far.missed_frac < near.missed_frac
    assert far.agreement > 0.95 > near.agreement


def test_a_higher_price_of_change_makes_the_jump_filter_later() -> None:
    assert lag(jump_model(penalty=12.0)).bars > lag(jump_model(penalty=3.0)).bars


def test_the_drift_alarm_rings_after_a_change_and_not_before() -> None:
    model = gaussian_model(3, separation=3.0)
    train, _ = draw(model, 3_000, 100)
    alarm = DriftAlarm.of_training(model, train)
    calm, _ = draw(model, 3_000, 101)
    assert alarm.first_alarm(one_step_log_likelihood(model, calm)) is None
    changed, _ = draw(replace(model, covars=model.covars * 4.0), 1_000, 102)
    rung = alarm.first_alarm(one_step_log_likelihood(model, np.vstack([calm[:500], changed])))
    assert rung is not None
    assert 500 <= rung < 650


def test_what_training_itself_went_through_is_no_drift() -> None:
    model = gaussian_model(3, separation=3.0)
    # A training that is calm and wild by turns, as markets are: the model knows one of the two.
    parts = [draw(replace(model, covars=model.covars * wide), 400, seed)[0] for seed, wide in enumerate((1.0, 4.0) * 4)]
    train = np.vstack(parts)
    alarm = DriftAlarm.of_training(model, train)
    assert alarm.sums(one_step_log_likelihood(model, train)).max() > 2 * DriftAlarm(mean=0.0, spread=1.0).threshold
    assert alarm.first_alarm(one_step_log_likelihood(model, train)) is None
    wilder, _ = draw(replace(model, covars=model.covars * 16.0), 400, 110)
    assert alarm.first_alarm(one_step_log_likelihood(model, np.vstack([train, wilder]))) is not None


def test_a_chain_that_never_changes_has_no_lag_and_misses_nothing() -> None:
    found = lag(gaussian_model(2, stay=1.0 - 1e-12), paths=2, bars=200)
    assert np.isnan(found.bars)
    assert found.missed_frac == 0.0
    assert lag(gaussian_model(1), paths=1, bars=50).missed_frac == 0.0
