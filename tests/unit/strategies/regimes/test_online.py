"""Learning on: towards the new bars, never further than the bounds, and never in the old model's place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from strategies.regimes.filtering import filter_batch
from strategies.regimes.model import RegimeModel
from strategies.regimes.online import OnlineOptions, learn
from strategies.regimes.options import FitRefused
from tests.unit.strategies.regimes.models import Array, correlated_model, draw, gaussian_model, jump_model

BAR_MS = 60_000
FREE = OnlineOptions(memory_bars=500.0, max_mean_shift=9.0, max_log_spread=9.0, max_transition_shift=1.0)


def _times(rows: Array) -> np.ndarray:
    return np.arange(1, len(rows) + 1, dtype=np.int64) * BAR_MS


def _market_has_moved(model: RegimeModel) -> RegimeModel:
    return replace(model, means=model.means + 0.4, covars=model.covars * 1.3)


@pytest.mark.parametrize("model", [gaussian_model(3, separation=3.0), jump_model()], ids=["hmm", "jump"])
def test_a_candidate_moves_towards_a_market_that_has_moved(model: RegimeModel) -> None:
    target = _market_has_moved(model)
    rows, _ = draw(target, 3_000, 81)
    candidate, drift = learn(model, rows, _times(rows), BAR_MS, FREE)
    assert np.abs(candidate.means - target.means).max() < 0.25 < np.abs(model.means - target.means).max()
    assert not drift.bounded
    fresh, _ = draw(target, 2_000, 82)
    assert filter_batch(candidate, fresh)[1] > filter_batch(model, fresh)[1]


def test_full_covariances_learn_too() -> None:
    model = correlated_model()
    rows, _ = draw(replace(model, covars=model.covars * 2.0), 2_000, 83)
    candidate, _ = learn(model, rows, _times(rows), BAR_MS, FREE)
    assert candidate.full_covariance
    assert (np.diagonal(candidate.covars, axis1=1, axis2=2) > 1.4).all()


def test_the_old_model_is_left_exactly_as_it_was() -> None:
    model = gaussian_model()
    before = str(model.to_dict())
    rows, _ = draw(_market_has_moved(model), 500, 84)
    candidate, _ = learn(model, rows, _times(rows), BAR_MS, FREE)
    assert str(model.to_dict()) == before
    assert candidate.data_hash != model.data_hash
    assert candidate.bars == model.bars + 500
    assert candidate.trained_to_ms == 501 * BAR_MS
    assert candidate.trained_from_ms == model.trained_from_ms


def test_no_update_moves_a_parameter_further_than_its_bound() -> None:
    model = gaussian_model(3, separation=3.0)
    wild = replace(model, means=model.means * 1.5 + 2.0, covars=model.covars * 30.0)
    rows, _ = draw(wild, 4_000, 85)
    options = OnlineOptions(memory_bars=10.0)
    candidate, drift = learn(model, rows, _times(rows), BAR_MS, options)
    shift = np.abs(candidate.means - model.means) / np.sqrt(model.covars)
    assert shift.max() <= options.max_mean_shift * (1 + 1e-12)
    assert np.abs(0.5 * np.log(candidate.covars / model.covars)).max() <= options.max_log_spread * (1 + 1e-12)
    turned = 0.5 * np.abs(candidate.transmat - model.transmat).sum(axis=1)
    assert turned.max() <= options.max_transition_shift * (1 + 1e-12)
    assert drift.bounded
    np.testing.assert_allclose(candidate.transmat.sum(axis=1), 1.0)


def test_a_longer_memory_moves_less() -> None:
    model = gaussian_model(3, separation=3.0)
    rows, _ = draw(_market_has_moved(model), 500, 86)
    old = replace(model, bars=100_000)
    moved = []
    for memory in (200.0, 20_000.0):
        candidate, _ = learn(old, rows, _times(rows), BAR_MS, replace(FREE, memory_bars=memory))
        moved.append(float(np.abs(candidate.means - model.means).max()))
    assert moved[1] < 0.2 * moved[0]


def test_a_market_that_has_not_moved_hardly_moves_the_model() -> None:
    model = gaussian_model(3, separation=3.0)
    rows, _ = draw(model, 3_000, 87)
    candidate, drift = learn(model, rows, _times(rows), BAR_MS, OnlineOptions())
    assert drift.mean_shift < 0.15
    assert drift.transition_shift < 0.05
    assert not drift.bounded
    assert candidate.count == model.count


def test_transitions_are_learned() -> None:
    model = gaussian_model(2, separation=5.0, stay=0.7)
    rows, _ = draw(replace(model, transmat=np.array([[0.95, 0.05], [0.05, 0.95]])), 4_000, 88)
    candidate, _ = learn(model, rows, _times(rows), BAR_MS, replace(FREE, memory_bars=50.0))
    assert (np.diag(candidate.transmat) > 0.92).all()


@pytest.mark.parametrize(
    ("first", "rows", "code"),
    [(0, 50, "OLD_BARS"), (10, 0, "TOO_FEW_BARS")],
)
def test_bars_that_are_not_new_are_refused_by_name(first: int, rows: int, code: str) -> None:
    drawn, _ = draw(gaussian_model(), 50, 89)
    with pytest.raises(FitRefused) as refusal:
        learn(gaussian_model(), drawn[:rows], (np.arange(rows) + first) * BAR_MS, BAR_MS, FREE)
    assert refusal.value.code == code


def test_incomplete_rows_teach_nothing() -> None:
    rows, _ = draw(gaussian_model(), 300, 90)
    holed = rows.copy()
    holed[:30] = np.nan
    from_holed, _ = learn(gaussian_model(), holed, _times(rows), BAR_MS, FREE)
    from_rest, _ = learn(gaussian_model(), rows[30:], _times(rows)[30:], BAR_MS, FREE)
    assert from_holed.to_dict() == from_rest.to_dict()
