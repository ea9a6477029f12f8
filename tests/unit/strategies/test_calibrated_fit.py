"""What a model's confidence is worth is measured on bars it never saw, and acts the same live and over all bars."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.calibrated_fit import HELD_OUT_SHARE, LONGEST_STAY, Calibrated, outcomes
from strategies.ensemble import Ensemble, EnsembleOptions
from strategies.features import FEATURES, WARM_UP, compute
from strategies.policy_path import held_exposures
from strategies.regime_policy import PolicyOptions, RegimePolicy, regime_exposures
from strategies.regimes.calibration import NO_HELD_OUT_MODEL, Calibration
from strategies.regimes.filtering import filter_batch
from strategies.regimes.fit import FitOptions, FitRefused, FitReport, fit
from strategies.regimes.model import RegimeModel
from strategies.research.walk_forward import WalkForwardOptions, walk_forward
from tests.unit.strategies.regimes.models import draw, gaussian_model
from tests.unit.strategies.series import BAR_MS, Series, regime_series

Array = NDArray[np.float64]
RETURN = FEATURES.index("log_return")
REPORT = FitReport(
    log_likelihood=0.0, bic=0.0, converged=True, iterations=1, occupancy=(0.5, 0.5), dwell_bars=(9.0, 9.0), tried=()
)


def two_regimes(stay: float) -> RegimeModel:
    """Return a model whose first regime has no direction and whose second one rises by a tenth of its volatility."""
    model = gaussian_model(2, separation=8.0, stay=stay)
    return replace(
        model,
        expected_return=np.array([0.0, 0.001]),
        volatility=np.array([0.01, 0.01]),
        bars=100_000,
        trained_to_ms=1_000_000 * BAR_MS,
    )


def market(model: RegimeModel, bars: int, seed: int) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Return rows (T, 7) whose regimes are plain to see and whose returns are the model's, opens and regimes, (T,)."""
    rows, states = draw(model, bars, seed)
    chance = np.random.default_rng(seed + 1)
    shown = replace(model, features=("zscore_30", "log_range"))
    rows[:, shown.columns] = rows[:, model.columns]
    rows[:, RETURN] = model.expected_return[states] + model.volatility[states] * chance.standard_normal(bars)
    return rows, np.arange(bars, dtype=np.int64) * BAR_MS, states


class Spy:
    """A fitter that answers with one model and remembers the rows it was shown."""

    def __init__(self, model: RegimeModel, refuse: bool = False) -> None:
        self.model, self.refuse, self.seen = model, refuse, list[Array]()

    def __call__(self, rows: Array, *_: Any) -> tuple[RegimeModel, FitReport]:
        self.seen.append(rows.copy())
        if self.refuse and len(self.seen) > 1:
            raise FitRefused("NO_STABLE_REGIMES", "the first bars have none")
        return self.model, REPORT


@pytest.fixture(scope="module")
def rising() -> RegimeModel:
    return replace(two_regimes(0.9), features=("zscore_30", "log_range"))


def test_the_share_that_was_right_is_the_one_of_the_chain(rising: RegimeModel) -> None:
    rows, opens, states = market(rising, 60_000, 3)
    raw, right, weight = outcomes(rising, rows, opens, BAR_MS)
    # Ten bars of expected stay, drift by how many of them are still spent in the rising regime.
    stays = rising.transmat[1, 1] + rising.transmat[0, 0] - 1.0
    spent = sum(0.5 + 0.5 * stays**ahead for ahead in range(1, 11))
    expected = NormalDist().cdf(0.001 * spent / (0.01 * math.sqrt(10)))
    error = math.sqrt(0.25 / weight.sum())
    assert weight == pytest.approx(np.full(len(raw), 0.1))
    assert np.average(right, weights=weight) == pytest.approx(expected, abs=3 * error)
    # Bars of the regime without a direction tell nothing; what the direction is worth, the filter's share overstates.
    assert raw.mean() > 0.99
    assert len(raw) == pytest.approx(states.sum(), rel=0.01)


def test_an_outcome_looks_as_far_as_its_stay_and_over_no_gap() -> None:
    model = replace(two_regimes(0.999999), features=("zscore_30", "log_range"), startprob=np.array([0.0, 1.0]))
    rows, opens, _ = market(model, 1_000, 5)
    assert outcomes(model, rows, opens, BAR_MS)[0].shape == (1_000 - LONGEST_STAY,)
    torn = opens + np.where(np.arange(1_000) >= 500, BAR_MS, 0)
    assert outcomes(model, rows, torn, BAR_MS)[0].shape == (1_000 - 2 * LONGEST_STAY,)
    assert outcomes(model, rows, opens, BAR_MS, first=700)[0].shape == (300 - LONGEST_STAY,)
    flat = rows.copy()
    flat[:, RETURN] = 0.0
    assert outcomes(model, flat, opens, BAR_MS)[0].shape == (0,)


def test_the_model_behind_it_saw_no_bar_whose_outcome_counts(rising: RegimeModel) -> None:
    rows, opens, _ = market(rising, 9_000, 7)
    spy = Spy(rising)
    model, report = Calibrated(spy)(rows, opens, BAR_MS, FitOptions())
    whole, first = spy.seen
    begin = 9_000 - int(9_000 * HELD_OUT_SHARE)
    np.testing.assert_array_equal(whole, rows)
    np.testing.assert_array_equal(first, rows[: begin - WARM_UP])
    found = model.calibration
    assert found is not None and not found.fallback
    assert (found.from_ms, found.to_ms) == (int(opens[begin]), int(opens[-1]) + BAR_MS)
    assert report.extra["calibration_outcomes"] == found.outcomes
    # What it held out moves it; what came before does not.
    turned = rows.copy()
    turned[begin:, RETURN] *= -1.0
    other = Calibrated(Spy(rising))(turned, opens, BAR_MS, FitOptions())[0].calibration
    assert other is not None and other.values[-1] < 0.5 < found.values[-1]
    before = rows.copy()
    before[:begin, RETURN] *= -1.0
    assert Calibrated(Spy(rising))(before, opens, BAR_MS, FitOptions())[0].calibration == found


def test_without_a_model_of_the_first_bars_confidence_stays_and_says_why(rising: RegimeModel) -> None:
    rows, opens, _ = market(rising, 3_000, 9)
    model, _ = Calibrated(Spy(rising, refuse=True))(rows, opens, BAR_MS, FitOptions())
    assert model.calibration is not None
    assert model.calibration.fallback == NO_HELD_OUT_MODEL
    with pytest.raises(FitRefused):
        Calibrated(fit)(rows[:40], opens[:40], BAR_MS, FitOptions())


# --- live and over all bars -----------------------------------------------------------------------------------------

STEPS = Calibration(edges=(0.6, 0.8), values=(0.4, 0.55, 0.62), outcomes=500.0, from_ms=0, to_ms=60_000)


@pytest.fixture(scope="module")
def series() -> Series:
    return regime_series(1_500, 5)


@pytest.fixture(scope="module")
def traded(series: Series) -> tuple[RegimeModel, Array]:
    values = compute(series.open, series.high, series.low, series.close, series.volume)
    used = values[np.isfinite(values).all(axis=1)]
    model = gaussian_model(3, separation=1.5, stay=0.9)
    model = replace(
        model,
        scaler_mean=used[:, model.columns].mean(axis=0),
        scaler_scale=used[:, model.columns].std(axis=0),
        means=model.means - model.means.mean(axis=0),
        expected_return=np.array([-0.01, 0.0, 0.01]),
        calibration=STEPS,
    )
    return model, used


@pytest.mark.parametrize("gate", [0.5, 0.6])
def test_live_and_all_bars_at_once_pass_the_same_gate(
    series: Series, traded: tuple[RegimeModel, Array], gate: float
) -> None:
    model, used = traded
    policy = PolicyOptions(cooldown_s=0.0, round_trip_cost_bps=2.0, hysteresis=0.1, confidence_gate=gate)
    live, moved = RegimePolicy(model, "v", policy), {}
    for at, bar in enumerate(series.bars(), start=len(used) - len(series.close)):
        signal = live.on_bar(bar)
        if signal is not None:
            moved[at] = signal
    shares, _ = filter_batch(model, used)
    held = held_exposures(shares, np.array(regime_exposures(model, policy)), policy, BAR_MS, model.calibration)
    assert len(moved) > 10
    assert sorted(moved) == np.flatnonzero(np.diff(held, prepend=0.0)).tolist()
    raw = shares.max(axis=1)
    assert all(moved[at].confidence == STEPS.of(raw[at]) >= gate for at in moved)
    assert {signal.why["confidence_scale"] for signal in moved.values()} == {"calibrated"}
    least = {0.5: 0.6, 0.6: 0.8}[gate]
    assert min(raw[at] for at in moved) >= least
    plain = held_exposures(shares, np.array(regime_exposures(model, policy)), policy, BAR_MS)
    assert not np.array_equal(plain, held)


def test_a_confidence_that_is_worth_less_than_the_gate_never_acts(
    series: Series, traded: tuple[RegimeModel, Array]
) -> None:
    model, _ = traded
    policy = PolicyOptions(cooldown_s=0.0, round_trip_cost_bps=2.0, hysteresis=0.1, confidence_gate=0.63)
    live = RegimePolicy(model, "v", policy)
    assert all(live.on_bar(bar) is None for bar in series.bars())
    lacking = replace(model, calibration=Calibration(fallback=NO_HELD_OUT_MODEL))
    raw = RegimePolicy(lacking, "v", policy)
    signals = [signal for bar in series.bars() if (signal := raw.on_bar(bar)) is not None]
    assert signals
    assert {signal.why["confidence_scale"] for signal in signals} == {"raw: NO_HELD_OUT_MODEL"}


def test_a_calibrated_confidence_reaches_the_ensembles_gate(series: Series, traded: tuple[RegimeModel, Array]) -> None:
    policy = PolicyOptions(cooldown_s=0.0, round_trip_cost_bps=2.0, hysteresis=0.1)
    live = RegimePolicy(traded[0], "v", policy)
    together = Ensemble({"hmm_regime": 1.0}, EnsembleOptions(gate=0.6))
    found = [
        combined
        for bar in series.bars()
        if (signal := live.on_bar(bar)) is not None and (combined := together.on_signal(signal)) is not None
    ]
    opened = [signal for signal in found if signal.target]
    assert len(opened) > 1
    assert all(0.6 <= signal.confidence <= STEPS.values[-1] for signal in opened)


def test_walked_forward_each_fold_passes_the_gate_by_its_own_calibration(rising: RegimeModel) -> None:
    rows, opens, _ = market(rising, 12_000, 11)
    options = WalkForwardOptions(folds=2, purge=60, cost_bps=0.0)
    made: list[RegimeModel] = []

    def fitter(*given: Any) -> tuple[RegimeModel, FitReport]:
        model, report = Calibrated(Spy(rising))(*given)
        made.append(model)
        return model, report

    def walked(gate: float, how: Any) -> Array:
        policy = PolicyOptions(round_trip_cost_bps=5.0, confidence_gate=gate)
        return walk_forward(rows, opens, BAR_MS, FitOptions(), policy, options, how).positions

    assert walked(0.9, Spy(rising)).any()
    assert not walked(0.9, fitter).any()
    assert walked(0.5, fitter).any()
    ends = [model.calibration.to_ms for model in made[:2] if model.calibration]
    first = [6_000 - 60, 9_000 - 60]
    assert ends == [int(opens[to - 1]) + BAR_MS for to in first]
