"""Fitting: many starts, an honest verdict, floors, gaps, and the names of an earlier model."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM

from strategies.features import FEATURES
from strategies.regimes.agreement import adjusted_rand
from strategies.regimes.expectation_maximisation import Prior, floored, run
from strategies.regimes.filtering import filter_batch
from strategies.regimes.fit import FitOptions, FitRefused, fit, sample
from strategies.regimes.jump_fit import fit_jump
from strategies.regimes.labels import match
from strategies.regimes.selection import best_of_starts, choose, one_regime_bic, refit_agreement
from strategies.regimes.starts import begin
from strategies.research.walk_forward import Fitter
from tests.unit.strategies.regimes.models import Array, correlated_model, draw, gaussian_model
from tests.unit.strategies.series import BAR_MS

PLAIN = FitOptions(candidates=(3,), starts=4, stickiness=0.0, min_refit_agreement=0.0)


def _times(rows: Array) -> np.ndarray:
    return np.arange(len(rows), dtype=np.int64) * BAR_MS


def _standard(rows: Array) -> Array:
    used = rows[:, gaussian_model().columns]
    return np.asarray((used - used.mean(axis=0)) / used.std(axis=0))


def test_a_run_ends_where_hmmlearn_ends_from_the_same_start() -> None:
    standard = _standard(draw(gaussian_model(), 1_500, 21)[0])
    start = begin(standard, 3, 0, 7, full=False)
    peer = GaussianHMM(n_components=3, covariance_type="diag", n_iter=40, tol=1e-2, init_params="")
    peer.startprob_, peer.transmat_, peer.means_, peer.covars_ = (
        start.startprob,
        start.transmat,
        start.means,
        start.covars,
    )
    peer.fit(standard)
    ours = run(standard, [len(standard)], start, Prior(), 40)
    assert ours.log_likelihood == pytest.approx(peer.score(standard), abs=1e-6 * len(standard))


def test_screened_starts_end_no_worse_than_running_every_start_to_its_end() -> None:
    for seed in (22, 23, 24):
        standard = _standard(draw(gaussian_model(separation=2.0), 1_200, seed)[0])
        every = [
            run(standard, [len(standard)], begin(standard, 3, number, PLAIN.seed, full=False), Prior(), 100)
            for number in range(10)
        ]
        options = replace(PLAIN, starts=10)
        fits = best_of_starts(standard, [len(standard)], 3, options)
        ours = max(fitted.log_likelihood for fitted in islice(fits, 2))
        assert ours >= max(fitted.log_likelihood for fitted in every) - 0.1


def test_a_run_cut_short_says_that_it_has_not_converged() -> None:
    standard = _standard(draw(gaussian_model(separation=1.5), 1_500, 25)[0])
    start = begin(standard, 3, 1, 7, full=False)
    assert not run(standard, [len(standard)], start, Prior(), 4).converged
    assert run(standard, [len(standard)], start, Prior(), 400).converged


def test_an_outlier_that_underflows_the_quick_recursion_is_fitted_all_the_same() -> None:
    standard = _standard(draw(gaussian_model(), 800, 26)[0])
    standard[400] = 200.0
    fitted = run(standard, [800], begin(standard, 2, 1, 7, full=False), Prior(), 10)
    assert math.isfinite(fitted.log_likelihood)


def test_full_covariances_find_regimes_that_differ_by_correlation() -> None:
    rows, states = draw(correlated_model(), 3_000, 27)
    options = FitOptions(candidates=(2,), covariance="full")
    model, _ = fit(rows, _times(rows), BAR_MS, options)
    assert model.full_covariance
    assert adjusted_rand(filter_batch(model, rows)[0].argmax(axis=1), states) > 0.5


def test_no_variance_falls_below_its_floor() -> None:
    thin = np.array([[[1.0, 0.999999], [0.999999, 1.0]]])
    assert np.linalg.eigvalsh(floored(thin, 1e-3)).min() >= 1e-3 * (1 - 1e-9)
    assert floored(np.array([[1e-9, 2.0]]), 1e-3).tolist() == [[1e-3, 2.0]]


def test_a_sticky_prior_makes_regimes_stay_longer() -> None:
    rows, _ = draw(gaussian_model(separation=1.0, stay=0.9), 600, 28)
    seen = sample(rows, _times(rows), BAR_MS, PLAIN)
    stays = [
        np.diag(run(seen.standard, [600], begin(seen.standard, 3, 0, 7, full=False), Prior(stickiness=weight), 60)
                .parameters.transmat).min()
        for weight in (0.0, 200.0)
    ]  # fmt: skip
    assert stays[1] > stays[0]


def test_bic_finds_the_number_of_regimes_that_made_the_data() -> None:
    rows, _ = draw(gaussian_model(3, separation=3.0), 2_500, 29)
    model, report = fit(rows, _times(rows), BAR_MS, FitOptions(candidates=(2, 3, 4)))
    assert model.count == 3
    assert report.converged
    assert report.refit_agreement > 0.8


def test_regimes_that_fit_noise_are_refused_because_refits_do_not_agree() -> None:
    rows, _ = draw(gaussian_model(1), 1_500, 30)
    with pytest.raises(FitRefused) as refusal:
        fit(rows, _times(rows), BAR_MS, FitOptions(candidates=(2,), min_occupancy_frac=0.0, min_dwell_bars=1.0))
    assert refusal.value.code == "NO_STABLE_REGIMES"
    assert "agree" in refusal.value.detail


@pytest.mark.parametrize("fitter", [fit, fit_jump])
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_in_noise_no_number_of_regimes_beats_one(fitter: Fitter, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((3_000, len(FEATURES)))
    with pytest.raises(FitRefused, match=r"NO_STABLE_REGIMES.*one regime"):
        fitter(rows, _times(rows), BAR_MS, FitOptions())


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_the_criterion_of_one_regime_is_that_of_a_fit_of_one(covariance: str) -> None:
    standard = _standard(draw(gaussian_model(2, separation=1.0), 800, 41)[0])
    options = FitOptions(candidates=(1,), covariance=covariance, covariance_floor=1e-9)
    assert one_regime_bic(standard, options) == pytest.approx(choose(standard, [800], options)[0].bic, rel=1e-6)


def test_where_refits_are_not_asked_for_none_is_claimed_to_agree() -> None:
    rows, _ = draw(gaussian_model(2, separation=3.0), 800, 42)
    report = fit(rows, _times(rows), BAR_MS, FitOptions(candidates=(2,), min_refit_agreement=0.0))[1]
    assert math.isnan(report.refit_agreement)


def test_gaps_are_counted_also_where_they_are_too_many_to_keep_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = draw(gaussian_model(2, separation=3.0), 1_000, 43)
    times = _times(rows)
    times[200:] += BAR_MS
    times[400:] += BAR_MS
    times[600:] += BAR_MS
    options = FitOptions(candidates=(2,))
    report = fit(rows, times, BAR_MS, options)[1]
    assert (report.gaps, report.extra) == (3, {})
    monkeypatch.setattr("strategies.regimes.fit.MOST_STRETCHES", 3)
    report = fit(rows, times, BAR_MS, options)[1]
    assert (report.gaps, report.extra) == (3, {"gaps_joined": 3.0})


def test_refits_of_real_regimes_agree_and_of_one_gaussian_do_not() -> None:
    options = FitOptions()
    for model, low, high in ((gaussian_model(2, separation=3.0), 0.8, 1.0), (gaussian_model(1), -1.0, 0.3)):
        standard = _standard(draw(model, 1_500, 31)[0])
        assert low <= refit_agreement(standard, [1_500], 2, options) <= high


def test_a_regime_of_a_few_odd_bars_is_not_kept() -> None:
    rows, _ = draw(gaussian_model(2, separation=3.0), 1_500, 32)
    rows[700:708, gaussian_model().columns] += 40.0
    standard = _standard(rows)
    chosen, tried = choose(standard, [1_500], FitOptions(candidates=(1, 2, 3), min_occupancy_frac=0.05))
    assert chosen.count < 3
    assert not next(candidate for candidate in tried if candidate.count == 3).keeps_floors


def test_no_transition_is_learned_across_a_gap() -> None:
    rows, states = draw(gaussian_model(2, separation=4.0, stay=0.98), 2_000, 33)
    calm, wild = rows[states == 0][:600], rows[states == 1][:600]
    blocks = np.concatenate([part for at in range(0, 600, 100) for part in (calm[at : at + 100], wild[at : at + 100])])
    whole = _times(blocks)
    holed = whole + np.repeat(np.arange(12), 100) * 5 * BAR_MS
    options = FitOptions(candidates=(2,), stickiness=0.0)
    joined, _ = fit(blocks, whole, BAR_MS, options)
    apart, report = fit(blocks, holed, BAR_MS, options)
    assert report.gaps == 11
    assert np.diag(apart.transmat).min() > 0.9999 > np.diag(joined.transmat).max()


def test_incomplete_rows_are_left_out_and_counted() -> None:
    rows, _ = draw(gaussian_model(2, separation=3.0), 900, 34)
    rows[:30] = np.nan
    rows[500, 3] = np.inf
    model, report = fit(rows, _times(rows), BAR_MS, FitOptions(candidates=(2,), starts=4))
    assert report.dropped_rows == 31
    assert model.bars == 869


@pytest.mark.parametrize("spoil", [lambda times: times[::-1], lambda times: np.repeat(times[::2], 2)])
def test_unsorted_and_duplicated_times_are_refused_by_name(spoil: object) -> None:
    rows, _ = draw(gaussian_model(2), 400, 35)
    assert callable(spoil)
    with pytest.raises(FitRefused) as refusal:
        fit(rows, spoil(_times(rows)), BAR_MS, PLAIN)
    assert refusal.value.code == "UNSORTED_BARS"


def test_matching_follows_the_spread_where_the_means_are_the_same() -> None:
    model = replace(gaussian_model(2, separation=0.0), covars=np.array([[0.2, 0.2], [3.0, 3.0]]))
    means = model.means * model.scaler_scale + model.scaler_mean
    spreads = model.covars * model.scaler_scale**2
    assert match(model, means[::-1], spreads[::-1]) == [1, 0]


def test_a_refit_with_one_regime_more_keeps_the_old_names_first() -> None:
    model = gaussian_model(2, separation=4.0)
    means = model.means * model.scaler_scale + model.scaler_mean
    spreads = model.covars * model.scaler_scale**2
    more = np.vstack([means[1:], means[:1] + 50.0, means[:1]])
    assert match(model, more, np.vstack([spreads[1:], spreads[:1], spreads[:1]])) == [2, 0, 1]
    assert match(model, means[1:], spreads[1:]) == [0]


def test_agreement_is_one_for_other_names_and_about_nothing_by_chance() -> None:
    chance = np.random.default_rng(36)
    ours = chance.integers(0, 3, 5_000)
    assert adjusted_rand(ours, (ours + 1) % 3) == pytest.approx(1.0)
    assert abs(adjusted_rand(ours, chance.integers(0, 3, 5_000))) < 0.01
    # Hubert and Arabie's index of a small table, worked by hand.
    assert adjusted_rand(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])) == pytest.approx(4 / 7)


def test_an_unknown_covariance_is_refused() -> None:
    with pytest.raises(ValueError, match="covariance"):
        FitOptions(covariance="round")
