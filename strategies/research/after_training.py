"""A finished model on bars that came after its training: what its owner would have got, net of costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.policy_path import held_exposures
from strategies.regime_policy import PolicyOptions, model_exposures
from strategies.regimes.bar_table import BarTable
from strategies.regimes.calibration import Calibration
from strategies.regimes.diagnostics import (
    DriftAlarm,
    Score,
    calibration_error,
    forecast_ranks,
    one_step_log_likelihood,
    score,
)
from strategies.regimes.hierarchy import AnyModel, posteriors_of
from strategies.regimes.model import RegimeModel
from strategies.research.economics import one_gaussian_log_density
from strategies.research.metrics import Performance, performance

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DriftSince:
    """How much worse than in training bars are foretold, added up (CUSUM): opens and sums, (N,), one per bar.

    ``since_ms`` is the open of the first bar at which the sum reached the threshold, ``None`` where none did.
    ``calibration_error`` is how far the forecasts of the return are from evenly spread ranks, 0 (none) to 1.
    """

    open_ms: NDArray[np.int64]
    sums: Array
    threshold: float
    since_ms: int | None
    calibration_error: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AfterTraining:
    """Arrays are aligned over the judged bars (N,): opens, net returns, the market's and the exposure after each bar.

    ``gain`` is what unseen bars are likelier under the model than under one Gaussian of its training, in nats per bar;
    ``drift`` is whether they are foretold worse than those of the training. A hierarchy has neither.
    """

    open_ms: NDArray[np.int64]
    returns: Array
    market_returns: Array
    positions: Array
    posteriors: Array
    strategy: Performance
    buy_and_hold: Performance
    gain: Score | None
    drift: DriftSince | None


def exposures_of(model: AnyModel, policy: PolicyOptions) -> Array:
    """Return what each regime of a model of any kind deserves, (K,), -1 to 1."""
    return np.array(model_exposures(model, policy))


def calibration_of(model: AnyModel) -> Calibration | None:
    """Return what a model's confidence is worth, ``None`` where that was not measured; a hierarchy's never is."""
    return model.calibration if isinstance(model, RegimeModel) else None


def judge_after_training(
    model: AnyModel, bars: BarTable, policy: PolicyOptions, cost_bps: float, bars_per_year: float
) -> AfterTraining | None:
    """Judge a model on the bars that opened at or after its training ended; ``None`` where there are fewer than two.

    The filter runs over the bars before as well, so that it is warm. Nothing is held before the first judged bar; what
    is decided at a bar's close earns from the next bar on, and its change pays ``cost_bps``.
    """
    rows = bars.features()
    posteriors = posteriors_of(model, bars)
    judged = np.isfinite(posteriors).all(axis=1) & (bars.open_ms >= model.trained_to_ms)
    if judged.sum() < 2:
        return None
    shares = posteriors[judged]
    positions = held_exposures(shares, exposures_of(model, policy), policy, bars.bar_ms, calibration_of(model))
    market = np.expm1(rows[judged, FEATURES.index("log_return")])
    held = np.concatenate([[0.0], positions[:-1]])
    returns = held * market - np.abs(np.diff(positions, prepend=0.0)) * cost_bps / 10_000.0
    return AfterTraining(
        open_ms=bars.open_ms[judged],
        returns=returns,
        market_returns=market,
        positions=positions,
        posteriors=shares,
        strategy=performance(returns, held, bars_per_year),
        buy_and_hold=performance(market, np.ones(len(market)), bars_per_year),
        gain=_gain(model, rows[np.isfinite(rows).all(axis=1)], int(judged.sum())),
        drift=drift_of(model, rows, bars.open_ms),
    )


def drift_of(model: AnyModel, rows: Array, open_ms: NDArray[np.int64]) -> DriftSince | None:
    """Return how the bars since a model's training are foretold, beside those of it, from feature rows (T, 7).

    ``None`` where one of the two has no complete row, and of a hierarchy, which foretells no single bar.
    """
    complete = np.isfinite(rows).all(axis=1)
    used, times = rows[complete], open_ms[complete]
    new = times >= model.trained_to_ms
    old = (times >= model.trained_from_ms) & ~new
    if not isinstance(model, RegimeModel) or not new.any() or not old.any():
        return None
    alarm = DriftAlarm.of_training(model, used[old])
    nats = one_step_log_likelihood(model, used)[new]
    rang = alarm.first_alarm(nats)
    return DriftSince(
        open_ms=times[new],
        sums=alarm.sums(nats),
        threshold=alarm.threshold,
        since_ms=None if rang is None else int(times[new][rang]),
        calibration_error=_calibration_error(model, used, new),
    )


def _calibration_error(model: RegimeModel, rows: Array, judged: NDArray[np.bool_]) -> float:
    feature = "log_return" if "log_return" in model.features else model.features[0]
    return calibration_error(forecast_ranks(model, rows, feature)[judged])


def _gain(model: AnyModel, rows: Array, judged: int) -> Score | None:
    if not isinstance(model, RegimeModel):
        return None
    nats = one_step_log_likelihood(model, rows) - one_gaussian_log_density(model, rows)
    return score(nats[-judged:])
