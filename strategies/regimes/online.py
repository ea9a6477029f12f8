"""Learn from new bars without forgetting everything: a new candidate beside the old model, never in its place.

Formula: block online expectation-maximisation with forgetting (Cappe 2011): the old model counts as a sample of at most
``memory_bars`` bars, new bars come in with their filtered shares, and the parameters are those of both together. How
far one update may move a parameter is bounded, so that a bad day cannot turn a regime into another.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.regimes.emission import log_density
from strategies.regimes.expectation_maximisation import floored
from strategies.regimes.filtering import filter_batch
from strategies.regimes.labels import as_matrices, describe
from strategies.regimes.model import RegimeModel
from strategies.regimes.options import FitRefused

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineOptions:
    """``memory_bars``: how many bars the old model is worth at most. The rest bounds one update.

    Args:
        max_mean_shift: of a mean, in the old regime's standard deviations.
        max_log_spread: of a standard deviation, natural logarithm of the ratio.
        max_transition_shift: of a row of transitions, total variation.
    """

    memory_bars: float = 5_000.0
    max_mean_shift: float = 0.5
    max_log_spread: float = 0.25
    max_transition_shift: float = 0.1
    covariance_floor: float = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far the update moved after bounding: the largest of each, and whether a bound held it back."""

    mean_shift: float
    log_spread: float
    transition_shift: float
    bounded: bool


def learn(
    model: RegimeModel, rows: Array, open_at_ms: NDArray[np.int64], bar_ms: int, options: OnlineOptions
) -> tuple[RegimeModel, Drift]:
    """Return the candidate that a model becomes by new feature rows (T, 7), opened at ``open_at_ms`` (T,) after it.

    Raises:
        FitRefused: ``TOO_FEW_BARS`` (no complete row) or ``OLD_BARS`` (a bar the model was trained on already).
    """
    complete = np.isfinite(rows).all(axis=1)
    used, times = rows[complete], open_at_ms[complete]
    if not len(used):
        raise FitRefused("TOO_FEW_BARS", "no complete new bar")
    if times[0] < model.trained_to_ms or (np.diff(times) <= 0).any():
        raise FitRefused("OLD_BARS", "new bars begin where training ended, in time order, each once")
    shares = filter_batch(model, used)[0]
    old_worth = min(float(model.bars), options.memory_bars) * np.maximum(_stationary(model.transmat), 1e-9)
    weight = shares.sum(axis=0)
    total = old_worth + weight
    standard = (used[:, model.columns] - model.scaler_mean) / model.scaler_scale
    means = (old_worth[:, None] * model.means + shares.T @ standard) / total[:, None]
    transmat = _transitions(model, used, shares, old_worth)
    covars = _covars(model, standard, shares, means, old_worth, total)
    means, covars, transmat, drift = _bounded(model, means, covars, transmat, options)
    returns = used[:, FEATURES.index("log_return")]
    expected = (old_worth * model.expected_return + shares.T @ returns) / total
    square = (shares * (returns[:, None] - expected) ** 2).sum(axis=0)
    moved = old_worth * (model.volatility**2 + (model.expected_return - expected) ** 2)
    volatility = np.sqrt((moved + square) / total)
    digest = hashlib.sha256(model.data_hash.encode() + np.ascontiguousarray(used).tobytes() + times.tobytes())
    candidate = replace(
        model,
        transmat=transmat,
        means=means,
        covars=floored(covars, options.covariance_floor),
        expected_return=expected,
        volatility=volatility,
        labels=describe(expected, volatility),
        trained_to_ms=int(times[-1]) + bar_ms,
        bars=model.bars + len(used),
        data_hash=digest.hexdigest(),
    )
    return candidate, drift


def _transitions(model: RegimeModel, used: Array, shares: Array, old_worth: Array) -> Array:
    """Return transitions of both samples; a new bar's is P(i before, j now | bars up to now)."""
    logs = log_density(model, used[1:])
    density = np.exp(logs - logs.max(axis=1, keepdims=True))
    pairs = shares[:-1, :, None] * model.transmat * density[:, None, :]
    pairs /= np.maximum(pairs.sum(axis=(1, 2), keepdims=True), 1e-300)
    counts = old_worth[:, None] * model.transmat + pairs.sum(axis=0)
    result: Array = counts / counts.sum(axis=1, keepdims=True)
    return result


def _covars(model: RegimeModel, standard: Array, shares: Array, means: Array, old_worth: Array, total: Array) -> Array:
    apart = standard[:, None, :] - means
    new = np.einsum("tk,tkd,tke->kde", shares, apart, apart)
    moved = model.means - means
    old = old_worth[:, None, None] * (as_matrices(model.covars) + moved[:, :, None] * moved[:, None, :])
    both: Array = (old + new) / total[:, None, None]
    return both if model.full_covariance else np.diagonal(both, axis1=1, axis2=2).copy()


def _bounded(
    model: RegimeModel, means: Array, covars: Array, transmat: Array, options: OnlineOptions
) -> tuple[Array, Array, Array, Drift]:
    """Return the parameters, each held within its bound of the old ones, and how far they moved."""
    spread = np.sqrt(_variances(model.covars))
    shift = np.abs(means - model.means) / spread
    mean_step = _step(float(shift.max()), options.max_mean_shift)
    spread_step = _spread_step(_variances(covars) / _variances(model.covars), options.max_log_spread)
    turned = 0.5 * np.abs(transmat - model.transmat).sum(axis=1)
    turn_step = _step(float(turned.max()), options.max_transition_shift)
    means = model.means + mean_step * (means - model.means)
    covars = model.covars + spread_step * (covars - model.covars)
    transmat = model.transmat + turn_step * (transmat - model.transmat)
    drift = Drift(
        mean_shift=mean_step * float(shift.max()),
        log_spread=float(np.abs(0.5 * np.log(_variances(covars) / _variances(model.covars))).max()),
        transition_shift=turn_step * float(turned.max()),
        bounded=min(mean_step, spread_step, turn_step) < 1.0,
    )
    return means, covars, transmat, drift


def _step(moved: float, bound: float) -> float:
    return 1.0 if moved <= bound else bound / moved


def _spread_step(ratios: Array, bound: float) -> float:
    """Return how far to go from old to new variances: on the straight line (1 - t) + t r stays within the bound."""
    grown, shrunk = float(ratios.max()), float(ratios.min())
    steps = [1.0]
    if grown > 1.0:
        steps.append(math.expm1(2.0 * bound) / (grown - 1.0))
    if shrunk < 1.0:
        steps.append(-math.expm1(-2.0 * bound) / (1.0 - shrunk))
    return min(steps)


def _variances(covars: Array) -> Array:
    return np.asarray(np.diagonal(covars, axis1=1, axis2=2)) if covars.ndim == 3 else covars


def _stationary(transmat: Array) -> Array:
    """Return the long-run shares, (K,): the left eigenvector of eigenvalue 1, by least squares."""
    count = len(transmat)
    system = np.vstack([transmat.T - np.eye(count), np.ones(count)])
    wanted = np.append(np.zeros(count), 1.0)
    shares = np.clip(np.linalg.lstsq(system, wanted, rcond=None)[0], 0.0, None)
    result: Array = shares / shares.sum()
    return result
