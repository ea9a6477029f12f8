"""A confidence becomes the share of cases in which it was right, where that share is known by construction."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.regimes.calibration import (
    STEP_OUTCOMES,
    TOO_FEW_OUTCOMES,
    Calibration,
    brier,
    calibration_error,
    fit_calibration,
)
from strategies.regimes.model import ModelRefused, RegimeModel
from tests.unit.strategies.regimes.models import gaussian_model

Array = NDArray[np.float64]


def share_right(raw: Array) -> Array:
    """Return how often a confidence is right: from 1/2 to 1 it says too much, twice as much at its end."""
    return 0.5 + 0.5 * (raw - 0.5)


def drawn(count: int, seed: int) -> tuple[Array, Array]:
    chance = np.random.default_rng(seed)
    raw = chance.uniform(0.5, 1.0, count)
    return raw, (chance.random(count) < share_right(raw)).astype(np.float64)


@pytest.fixture(scope="module")
def found() -> Calibration:
    raw, right = drawn(20_000, 1)
    return fit_calibration(raw, right, np.ones(len(raw)))


def test_on_cases_it_never_saw_over_confidence_is_gone_and_the_brier_score_falls(found: Calibration) -> None:
    raw, right = drawn(20_000, 2)
    told = found.of_all(raw)
    assert calibration_error(raw, right) == pytest.approx(0.125, abs=0.01)
    assert calibration_error(told, right) < 0.02
    assert brier(told, right) < brier(raw, right) - 0.01
    # The steps are the known map, up to their width and the noise of two thousand cases each.
    assert np.abs(told - share_right(raw)).max() < 0.05


def test_steps_rise_within_nought_and_one_and_none_is_certain(found: Calibration) -> None:
    told = found.of_all(np.linspace(0.0, 1.0, 1001))
    assert (np.diff(told) >= 0).all()
    assert 0.0 < told.min() < told.max() < 1.0
    always = fit_calibration(np.linspace(0.5, 1.0, 400), np.ones(400), np.ones(400))
    # Eight steps of fifty, each with one right and one wrong case added, are one in the end.
    assert always.values == (408 / 416,)


def test_where_confidence_tells_nothing_one_step_says_so() -> None:
    raw, _ = drawn(20_000, 3)
    found = fit_calibration(raw, np.tile([0.0, 1.0], 10_000), np.ones(20_000))
    assert found.of_all(raw) == pytest.approx(np.full(20_000, 0.5), abs=0.02)
    # A confidence that is right the less the surer it is, is worth what all cases are worth together.
    falling = fit_calibration(raw, (raw < 0.75).astype(np.float64), np.ones(20_000))
    assert falling.edges == ()
    assert falling.of(0.9) == pytest.approx(0.5, abs=0.02)


def test_one_bar_and_all_bars_are_told_the_same_bit_for_bit(found: Calibration) -> None:
    around = [np.nextafter(edge, to) for edge in found.edges for to in (0.0, edge, 1.0)]
    raw = np.array([0.0, *around, *drawn(500, 4)[0], 1.0])
    assert len(found.edges) > 5
    assert found.of_all(raw).tolist() == [found.of(value) for value in raw.tolist()]
    shaped = found.of_all(np.array([[0.6, math.nan], [1.0, 0.5]]))
    assert np.isnan(shaped).tolist() == [[False, True], [False, False]]
    assert shaped[1, 0] == found.of(1.0)


def test_too_few_outcomes_leave_confidence_as_it_was_and_overlapping_ones_are_few() -> None:
    raw, right = drawn(1_000, 5)
    overlapping = np.full(1_000, (STEP_OUTCOMES - 1) / 1_000)
    found = fit_calibration(raw, right, overlapping)
    assert found.fallback == TOO_FEW_OUTCOMES
    assert found.outcomes == pytest.approx(STEP_OUTCOMES - 1)
    assert found.of(0.77) == 0.77
    assert found.of_all(raw).tolist() == raw.tolist()
    assert fit_calibration(raw, right, overlapping * 2).fallback == ""


def test_equal_confidences_share_a_step() -> None:
    raw = np.concatenate([np.full(900, 1.0), np.linspace(0.5, 0.9, 100)])
    right = np.concatenate([np.tile([1.0, 1.0, 0.0], 300), np.tile([1.0, 0.0], 50)])
    found = fit_calibration(raw, right, np.ones(1_000))
    assert found.edges == (1.0,)
    assert found.values == pytest.approx((51 / 102, 601 / 902))


def test_a_model_carries_it_through_json_and_is_the_same_version_without(found: Calibration) -> None:
    plain = gaussian_model()
    held = replace(plain, calibration=replace(found, from_ms=0, to_ms=60_000))
    again = RegimeModel.from_dict(json.loads(json.dumps(held.to_dict())))
    assert again.calibration == held.calibration
    assert "calibration" not in plain.to_dict()
    assert RegimeModel.from_dict(plain.to_dict()).calibration is None


@pytest.mark.parametrize(
    "changes",
    [
        {"values": [0.6, 0.5], "edges": [0.7]},
        {"values": [0.5, 0.6], "edges": []},
        {"values": [0.5, 1.6], "edges": [0.7]},
        {"values": [0.5, math.nan], "edges": [0.7]},
        {"values": [0.5, 0.55, 0.6], "edges": [0.7, 0.7]},
        {"fallback": "BECAUSE", "values": [], "edges": []},
        {"fallback": TOO_FEW_OUTCOMES},
        {"outcomes": math.inf},
        {"values": "0.5"},
        {"from_ms": -1},
        {"to_ms": 60_001},
        {"surprise": 1},
    ],
)
def test_a_broken_calibration_or_one_from_after_the_training_is_refused(changes: dict[str, Any]) -> None:
    whole = Calibration(edges=(0.7,), values=(0.5, 0.6), outcomes=100.0, from_ms=0, to_ms=60_000)
    values = replace(gaussian_model(), calibration=whole).to_dict()
    assert RegimeModel.from_dict(values).calibration == whole
    with pytest.raises(ModelRefused) as refusal:
        RegimeModel.from_dict({**values, "calibration": {**values["calibration"], **changes}})
    assert refusal.value.code == "MODEL_INVALID"
