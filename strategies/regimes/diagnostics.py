"""Whether a model deserves trust: how well it foretells, how sure it is, how long regimes last, how late it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.agreement import adjusted_rand
from strategies.regimes.emission import emission, log_density
from strategies.regimes.filtering import filter_batch
from strategies.regimes.model import RegimeModel
from strategies.regimes.scenarios import simulate

Array = NDArray[np.float64]
States = NDArray[np.int64]

#: An alarm of drift takes so many times the worst that the training went through.
DRIFT_MARGIN = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Mean one-step log-likelihood in nats per bar, with its standard error over blocks of bars."""

    nats_per_bar: float
    error: float
    bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How late the filter is on chains drawn from the model itself.

    ``bars`` counts from a change of the true regime to the first bar whose likeliest regime is the new one, over the
    changes that were noticed before the next; ``missed_frac`` is the share that was not. ``agreement`` is the adjusted
    Rand index with the truth.
    """

    bars: float
    missed_frac: float
    agreement: float


def one_step_log_likelihood(model: RegimeModel, rows: Array) -> Array:
    """Return log p(bar | bars before), (T,), in nats, of complete feature rows (T, 7) in standard units."""
    posteriors = filter_batch(model, rows)[0]
    priors = np.vstack([model.startprob[None, :], posteriors[:-1] @ model.transmat])
    logs = log_density(model, rows)
    highest = logs.max(axis=1)
    weight = (priors * np.exp(logs - highest[:, None])).sum(axis=1)
    found: Array = np.log(np.maximum(weight, 1e-300)) + highest
    return found


def score(nats: Array, block_bars: int = 50) -> Score:
    """Return the mean of one-step log-likelihoods, (T,); blocks keep neighbours that move together in one piece."""
    blocks = max(1, len(nats) // block_bars)
    means = np.array([part.mean() for part in np.array_split(nats, blocks)])
    error = float(means.std(ddof=1) / math.sqrt(blocks)) if blocks > 1 else math.inf
    return Score(nats_per_bar=float(nats.mean()), error=error, bars=len(nats))


def forecast_ranks(model: RegimeModel, rows: Array, feature: str) -> Array:
    """Return P(feature <= its value | bars before), (T,), of complete rows: evenly spread where the model is right.

    Raises:
        ValueError: the model does not read the feature.
    """
    if feature not in model.features:
        raise ValueError(f"the model does not read {feature}")
    at = model.features.index(feature)
    posteriors = filter_batch(model, rows)[0]
    priors = np.vstack([model.startprob[None, :], posteriors[:-1] @ model.transmat])
    covars = model.covars[:, at, at] if model.full_covariance else model.covars[:, at]
    values = rows[:, model.columns[at]][:, None]
    away = (values - emission(model).centre[:, at]) / (np.sqrt(covars) * model.scaler_scale[at])
    below = 0.5 * (1.0 + np.vectorize(math.erf)(away / math.sqrt(2.0)))
    ranks: Array = (priors * below).sum(axis=1)
    return ranks


def calibration_error(ranks: Array) -> float:
    """Return the largest distance of the ranks' distribution from the even one (Kolmogorov and Smirnov), 0 to 1."""
    ordered = np.sort(ranks)
    steps = np.arange(1, len(ordered) + 1) / len(ordered)
    return float(np.maximum(steps - ordered, ordered - (steps - 1.0 / len(ordered))).max())


def realised_dwell(regimes: States) -> float:
    """Return the mean length of a stay, in bars, of a path of likeliest regimes (T,)."""
    return len(regimes) / (1 + int((np.diff(regimes) != 0).sum()))


def lag(model: RegimeModel, *, paths: int = 8, bars: int = 1_000, seed: int = 7) -> Lag:
    """Return how late the model's filter is on chains drawn from the model itself."""
    drawn = simulate(model, paths=paths, bars=bars, seed=seed)
    delays: list[int] = []
    missed = 0
    agreements = []
    for path, truth in zip(drawn.rows, drawn.regimes, strict=True):
        named = filter_batch(model, path)[0].argmax(axis=1)
        agreements.append(adjusted_rand(named, truth))
        changes = (np.flatnonzero(np.diff(truth) != 0) + 1).tolist()
        for first, last in pairwise([*changes, len(truth)]):
            noticed = np.flatnonzero(named[first:last] == truth[first])
            missed += not len(noticed)
            delays += [int(noticed[0])] if len(noticed) else []
    total = missed + len(delays)
    return Lag(
        bars=float(np.mean(delays)) if delays else math.nan,
        missed_frac=missed / total if total else 0.0,
        agreement=float(np.mean(agreements)),
    )


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """Page's cumulative sum of how much worse than in training bars are foretold.

    Args:
        mean: one-step log-likelihood in training, nats per bar; spread: its standard deviation.
        slack: standard deviations of worsening that are normal; threshold: of accumulated worsening that alarm.

    Markets are calm and wild by turns, and a model foretells wild bars less well: on hourly bars the sum of the very
    bars of the training reaches some hundreds. So the threshold lies above all that training itself has seen.
    """

    mean: float
    spread: float
    slack: float = 0.25
    threshold: float = 20.0

    @classmethod
    def of_training(cls, model: RegimeModel, rows: Array) -> DriftAlarm:
        """Return the alarm that knows how complete training rows (T, 7) were foretold."""
        nats = one_step_log_likelihood(model, rows)
        alarm = cls(mean=float(nats.mean()), spread=max(float(nats.std()), 1e-12))
        return replace(alarm, threshold=max(alarm.threshold, DRIFT_MARGIN * float(alarm.sums(nats).max())))

    def sums(self, nats: Array) -> Array:
        """Return the running sums, (T,), of one-step log-likelihoods (T,) (Page 1954)."""
        found = np.empty(len(nats))
        total = 0.0
        for at, worse in enumerate(((self.mean - nats) / self.spread - self.slack).tolist()):
            total = max(0.0, total + worse)
            found[at] = total
        return found

    def first_alarm(self, nats: Array) -> int | None:
        """Return the first bar at which the sum reaches the threshold, ``None`` where it never does."""
        at = np.flatnonzero(self.sums(nats) >= self.threshold)
        return int(at[0]) if len(at) else None
