"""The filters: streaming, batch and panel say the same, and what they say is what the theory says."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from scipy.stats import multivariate_normal

from strategies.features import FEATURES
from strategies.regimes.emission import log_density
from strategies.regimes.filtering import ForwardFilter, filter_batch, open_filter
from strategies.regimes.jump_filter import JumpFilter
from strategies.regimes.model import ModelRefused, RegimeModel
from strategies.regimes.panel_filter import CHUNK, PanelFilter
from tests.unit.strategies.regimes.models import Array, correlated_model, draw, gaussian_model, jump_model

MODELS = {"diagonal": gaussian_model(), "full": correlated_model(), "jump": jump_model()}


def _streamed(model: RegimeModel, rows: Array) -> Array:
    live = open_filter(model)
    return np.array([live.step(row) for row in rows.tolist()])


@pytest.mark.parametrize("kind", MODELS)
def test_streaming_and_batch_agree_to_the_last_digits(kind: str) -> None:
    rows, _ = draw(MODELS[kind], 600, 3)
    np.testing.assert_allclose(_streamed(MODELS[kind], rows), filter_batch(MODELS[kind], rows)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_streaming_and_batch_agree_bit_for_bit(kind: str, scale: float) -> None:
    model = MODELS[kind]
    rows = draw(model, 2_000, 31)[0] * scale
    np.testing.assert_array_equal(_streamed(model, rows), filter_batch(model, rows)[0])


@pytest.mark.parametrize("regimes", range(1, 7))
def test_so_they_do_for_one_to_six_regimes(regimes: int) -> None:
    model = gaussian_model(regimes)
    rows, _ = draw(model, 500, 32)
    posteriors = filter_batch(model, rows)[0]
    np.testing.assert_array_equal(_streamed(model, rows), posteriors)
    np.testing.assert_allclose(posteriors.sum(axis=1), 1.0, rtol=0, atol=1e-12)


def test_the_newest_posterior_and_the_likelihood_are_those_of_hmmlearn() -> None:
    model = gaussian_model()
    rows, _ = draw(model, 300, 4)
    peer = GaussianHMM(n_components=3, covariance_type="diag")
    peer.startprob_, peer.transmat_, peer.means_ = model.startprob, model.transmat, model.means
    peer.covars_ = model.covars
    standard = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    posteriors, likelihood = filter_batch(model, rows)
    # At the last bar nothing lies ahead: smoothed and filtered are the same.
    np.testing.assert_allclose(posteriors[-1], peer.predict_proba(standard)[-1], atol=1e-10)
    assert likelihood == pytest.approx(peer.score(standard), rel=1e-10)


def test_full_covariances_give_the_density_of_the_textbook() -> None:
    model = correlated_model()
    rows, _ = draw(model, 50, 5)
    standard = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    expected = np.column_stack([
        multivariate_normal(model.means[k], model.covars[k]).logpdf(standard) for k in range(model.count)
    ])  # fmt: skip
    np.testing.assert_allclose(log_density(model, rows), expected, rtol=1e-10)


def test_only_a_full_covariance_tells_regimes_that_differ_by_correlation() -> None:
    model = correlated_model()
    rows, states = draw(model, 3_000, 6)
    blind = replace(model, covars=np.diagonal(model.covars, axis1=1, axis2=2).copy())
    assert (filter_batch(model, rows)[0].argmax(axis=1) == states).mean() > 0.85
    assert (filter_batch(blind, rows)[0].argmax(axis=1) == states).mean() < 0.65


def test_a_panel_of_mixed_models_says_what_each_model_says_alone() -> None:
    models = [gaussian_model(3), gaussian_model(2), replace(gaussian_model(4), features=("zscore_30", "slope_20"))]
    rows = np.random.default_rng(8).normal(size=(2 * CHUNK + 5, len(models), len(FEATURES)))
    panel = PanelFilter(models).run(rows)
    for at, model in enumerate(models):
        alone = filter_batch(model, rows[:, at])[0]
        np.testing.assert_allclose(panel[:, at, : model.count], alone, rtol=0, atol=1e-12)
        assert not panel[:, at, model.count :].any()


def test_a_panel_with_full_covariances_says_what_each_model_says_alone() -> None:
    models = [correlated_model(), gaussian_model(2)]
    rows = np.stack([draw(model, 40, 9)[0] for model in models], axis=1)
    panel = PanelFilter(models).run(rows)
    for at, model in enumerate(models):
        np.testing.assert_allclose(panel[:, at], filter_batch(model, rows[:, at])[0], rtol=0, atol=1e-12)


def test_a_panel_bar_by_bar_is_the_panel_at_once() -> None:
    models = [gaussian_model(3)] * 7
    rows = np.random.default_rng(10).normal(size=(CHUNK + 3, 7, len(FEATURES)))
    live = PanelFilter(models)
    steps = np.array([live.step(bar).copy() for bar in rows])
    np.testing.assert_array_equal(steps, PanelFilter(models).run(rows))


def test_a_symbol_without_a_bar_keeps_its_posterior_and_disturbs_no_other() -> None:
    models = [gaussian_model(3)] * 2
    rows = np.random.default_rng(11).normal(size=(30, 2, len(FEATURES)))
    holed = rows.copy()
    holed[:4, 1] = np.nan  # it lists late
    holed[12, 1, 0] = np.inf
    panel = PanelFilter(models).run(holed)
    np.testing.assert_array_equal(panel[:, 0], PanelFilter(models).run(rows)[:, 0])
    np.testing.assert_array_equal(panel[12, 1], panel[11, 1])
    kept = np.delete(np.arange(4, 30), 8)
    np.testing.assert_allclose(panel[kept, 1], filter_batch(models[1], rows[kept, 1])[0], rtol=0, atol=1e-12)


def test_a_panel_survives_a_bar_that_no_regime_explains() -> None:
    wild = np.full((1, len(FEATURES)), 1e5)
    live = PanelFilter([gaussian_model(3)])
    live.step(np.zeros((1, len(FEATURES))))
    assert live.step(wild).sum() == pytest.approx(1.0)


def test_a_panels_step_keeps_no_memory() -> None:
    live = PanelFilter([gaussian_model(3)] * 200)
    rows = np.random.default_rng(12).normal(size=(200, len(FEATURES)))
    first = live.step(rows)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(50):
        assert np.shares_memory(live.step(rows), first)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2_000  # one array of the panel alone would be 4,800 bytes


def test_a_panel_refuses_what_it_cannot_filter() -> None:
    with pytest.raises(ValueError, match="Gaussian"):
        PanelFilter([jump_model()])
    with pytest.raises(ValueError, match="shape"):
        PanelFilter([gaussian_model()]).step(np.zeros((2, len(FEATURES))))


def test_without_a_penalty_the_jump_filter_takes_the_nearest_centre_of_each_bar() -> None:
    model = jump_model(penalty=0.0)
    rows, _ = draw(model, 400, 13)
    standard = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    nearest = ((standard[:, None, :] - model.means) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(filter_batch(model, rows)[0].argmax(axis=1), nearest)


def test_a_penalty_makes_the_jump_filter_change_less_often_and_find_more() -> None:
    rows, states = draw(jump_model(), 4_000, 14)
    found = {penalty: filter_batch(jump_model(penalty), rows)[0].argmax(axis=1) for penalty in (0.0, 6.0)}
    changes = {penalty: int((np.diff(regimes) != 0).sum()) for penalty, regimes in found.items()}
    assert changes[6.0] < changes[0.0] / 2
    assert (found[6.0] == states).mean() > (found[0.0] == states).mean()


def test_the_jump_filter_ends_where_the_dynamic_programme_over_all_bars_ends() -> None:
    model = jump_model()
    rows, _ = draw(model, 8, 15)
    standard = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    cost = 0.5 * ((standard[:, None, :] - model.means) ** 2).sum(axis=2)
    paths = np.stack(np.meshgrid(*[range(3)] * 8, indexing="ij"), axis=-1).reshape(-1, 8)
    totals = cost[np.arange(8), paths].sum(axis=1) + model.jump_penalty * (np.diff(paths) != 0).sum(axis=1)
    assert filter_batch(model, rows)[0][-1].argmax() == paths[totals.argmin()][-1]


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_not_finite_is_refused_by_every_filter(kind: str) -> None:
    rows, _ = draw(MODELS[kind], 5, 16)
    rows[3, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        _streamed(MODELS[kind], rows)
    with pytest.raises(ValueError, match="finite"):
        filter_batch(MODELS[kind], rows)


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_of_model_survives_json_bit_for_bit(kind: str) -> None:
    text = json.dumps(MODELS[kind].to_dict())
    again = RegimeModel.from_dict(json.loads(text))
    assert json.dumps(again.to_dict()) == text
    assert type(open_filter(again)) is (JumpFilter if kind == "jump" else ForwardFilter)


@pytest.mark.parametrize(
    ("kind", "part", "value"),
    [
        ("full", "covars", [[[1.0, 2.0], [2.0, 1.0]]] * 2),
        ("full", "covars", [[[1.0, 0.5], [0.0, 1.0]]] * 2),
        ("jump", "jump_penalty", -1.0),
        ("jump", "jump_temperature", 0.0),
        ("jump", "jump_temperature", float("nan")),
        ("jump", "kind", "other"),
        ("diagonal", "jump_penalty", 1.0),
    ],
)
def test_a_broken_model_of_any_kind_is_refused(kind: str, part: str, value: Any) -> None:
    with pytest.raises(ModelRefused) as refusal:
        RegimeModel.from_dict({**MODELS[kind].to_dict(), part: value})
    assert refusal.value.code == "MODEL_INVALID"
