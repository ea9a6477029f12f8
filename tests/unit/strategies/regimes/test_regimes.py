"""Regime models: fitted honestly, filtered without hindsight, saved as plain text."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from strategies.features import FEATURES, compute
from strategies.regimes.filtering import ForwardFilter, filter_batch
from strategies.regimes.fit import FitOptions, FitRefused, FitReport, fit
from strategies.regimes.labels import canonical_order, describe, match
from strategies.regimes.model import ModelRefused, RegimeModel
from strategies.research.lookahead import find_leaks
from tests.unit.strategies.series import BAR_MS, Series, regime_series

LENGTH = 2_400
QUICK = FitOptions(candidates=(3,), starts=2)


def raw_gaussians(model: RegimeModel) -> tuple[np.ndarray, np.ndarray]:
    return model.means * model.scaler_scale + model.scaler_mean, model.covars * model.scaler_scale**2


def _rows(series: Series) -> np.ndarray:
    return compute(series.open, series.high, series.low, series.close, series.volume)


@pytest.fixture(scope="module")
def series() -> Series:
    return regime_series(LENGTH, 3)


@pytest.fixture(scope="module")
def fitted(series: Series) -> tuple[RegimeModel, FitReport]:
    return fit(_rows(series)[:2_000], series.open_at_ms[:2_000], BAR_MS, QUICK)


def _agreement(model: RegimeModel, series: Series, train: int) -> float:
    rows = _rows(series)
    start = 40
    posteriors, _ = filter_batch(model, rows[start:])
    hard, truth = posteriors.argmax(axis=1), series.regimes[start:]
    split = train - start
    labels = {k: Counter(truth[:split][hard[:split] == k].tolist()).most_common(1)[0][0] for k in set(hard[:split])}
    return float(np.mean([labels.get(k) == t for k, t in zip(hard[split:], truth[split:], strict=True)]))


def test_the_filter_finds_the_true_regimes_out_of_sample(fitted: tuple[RegimeModel, FitReport], series: Series) -> None:
    assert _agreement(fitted[0], series, 2_000) > 0.85


def test_streaming_and_batch_filters_agree(fitted: tuple[RegimeModel, FitReport], series: Series) -> None:
    rows = _rows(series)[40:400]
    batch, _ = filter_batch(fitted[0], rows)
    live = ForwardFilter(fitted[0])
    steps = np.array([live.step(row.tolist()) for row in rows])
    np.testing.assert_allclose(steps, batch, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(steps.sum(axis=1), 1.0)


def test_no_posterior_changes_when_the_future_is_cut(fitted: tuple[RegimeModel, FitReport], series: Series) -> None:
    rows = _rows(series)[40:]
    columns = [f"posterior_{k}" for k in range(3)]
    assert find_leaks(lambda n: filter_batch(fitted[0], rows[:n])[0], columns, [10, 57, 300, 900]) == []


def test_the_smoother_would_be_caught(fitted: tuple[RegimeModel, FitReport], series: Series) -> None:
    rows = _rows(series)[40:]
    columns = [f"posterior_{k}" for k in range(3)]

    def smoothed(n: int) -> np.ndarray:
        forward, _ = filter_batch(fitted[0], rows[:n])
        backward, _ = filter_batch(fitted[0], rows[:n][::-1])
        product = forward * backward[::-1]
        return np.asarray(product / product.sum(axis=1, keepdims=True))

    assert find_leaks(smoothed, columns, [300, 900])


def test_the_filter_survives_a_bar_that_no_regime_explains(fitted: tuple[RegimeModel, FitReport]) -> None:
    live = ForwardFilter(fitted[0])
    wild = [0.0] * len(FEATURES)
    wild[FEATURES.index("log_return")] = 0.9
    assert sum(live.step(wild)) == pytest.approx(1.0)


def test_a_feature_that_is_not_finite_is_refused(fitted: tuple[RegimeModel, FitReport]) -> None:
    row = [0.0] * len(FEATURES)
    row[0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        ForwardFilter(fitted[0]).step(row)


def test_a_model_survives_json_bit_for_bit(fitted: tuple[RegimeModel, FitReport]) -> None:
    model = fitted[0]
    again = RegimeModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again.to_dict() == model.to_dict()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("transmat", [[0.5, 0.4, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]]),
        ("startprob", [1.0, 0.0]),
        ("covars", [[0.0, 1.0]] * 3),
        ("means", [["x", 1.0]] * 3),
        ("means", [[float("nan"), 1.0]] * 3),
        ("labels", ["calm"]),
        ("trained_to_ms", 0),
    ],
)
def test_a_broken_model_is_refused(fitted: tuple[RegimeModel, FitReport], part: str, value: Any) -> None:
    with pytest.raises(ModelRefused) as refusal:
        RegimeModel.from_dict({**fitted[0].to_dict(), part: value})
    assert refusal.value.code == "MODEL_INVALID"


def test_a_model_of_other_features_is_refused(fitted: tuple[RegimeModel, FitReport]) -> None:
    with pytest.raises(ModelRefused) as refusal:
        RegimeModel.from_dict({**fitted[0].to_dict(), "feature_schema": "bars-v0"})
    assert refusal.value.code == "MODEL_SCHEMA"


def test_regimes_stand_calmest_first(fitted: tuple[RegimeModel, FitReport]) -> None:
    assert list(fitted[0].volatility) == sorted(fitted[0].volatility)
    assert canonical_order(np.array([0.1, -0.1, 0.0]), np.array([2.0, 2.0, 1.0])) == [2, 1, 0]


def test_a_refit_keeps_the_names_of_the_regimes(fitted: tuple[RegimeModel, FitReport], series: Series) -> None:
    model = fitted[0]
    other = fit(_rows(series)[400:], series.open_at_ms[400:], BAR_MS, FitOptions(candidates=(3,), starts=2, seed=99))
    assert match(model, *raw_gaussians(other[0])) == [0, 1, 2]


def test_the_number_of_regimes_is_chosen_within_floors(series: Series) -> None:
    _model, report = fit(_rows(series), series.open_at_ms, BAR_MS, FitOptions(candidates=(2, 3), starts=1))
    assert min(report.occupancy) >= 0.05
    assert {row["regimes"] for row in report.tried} == {2.0, 3.0}


def test_too_few_bars_are_refused_by_name(series: Series) -> None:
    with pytest.raises(FitRefused) as refusal:
        fit(_rows(series)[:90], series.open_at_ms[:90], BAR_MS, QUICK)
    assert refusal.value.code == "TOO_FEW_BARS"


def test_constant_prices_are_refused_by_name() -> None:
    flat = np.full(500, 100.0)
    rows = compute(flat, flat, flat, flat, flat)
    with pytest.raises(FitRefused) as refusal:
        fit(rows, np.arange(500, dtype=np.int64) * BAR_MS, BAR_MS, QUICK)
    assert refusal.value.code == "CONSTANT_FEATURE"


@pytest.mark.parametrize(
    ("means", "spreads", "names"),
    [
        ([0.0, 0.0, 0.0], [12.0, 30.0, 104.0], ("calm", "usual", "wild")),
        ([0.0, 0.0], [10.0, 30.0], ("calm", "wild")),
        ([0.0, 0.0], [10.0, 11.0], ("usual", "usual 2")),
        ([2.0, -3.0, 0.1], [10.0, 10.0, 10.0], ("rising", "falling", "usual")),
        ([2.0, 4.0], [10.0, 30.0], ("rising", "rising 2")),
        ([0.0], [0.0], ("calm",)),
    ],
)
def test_a_regime_is_named_by_its_trend_or_else_by_its_volatility(
    means: list[float], spreads: list[float], names: tuple[str, ...]
) -> None:
    assert describe(np.array(means), np.array(spreads)) == names
