"""The forward filter: P(regime at t | bars up to t), one step per bar. It never looks ahead and never revises.

Formula: alpha_t(j) is proportional to b_j(x_t) * sum_i alpha_{t-1}(i) a_ij (Rabiner 1989, eq. 19-20, scaled). Emission
densities are scaled by their maximum before they leave log space, so that no step underflows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.model import RegimeModel

Array = NDArray[np.float64]


class ForwardFilter:
    """The live filter of one symbol. State is K floats.

    Plain floats on purpose: for a handful of regimes a Python loop is several times quicker than NumPy's call
    overhead.
    """

    __slots__ = ("_columns", "_density", "_posterior", "_start", "_transitions")

    def __init__(self, model: RegimeModel) -> None:
        self._columns = tuple(model.columns)
        self._transitions = tuple(tuple(column) for column in model.transmat.T.tolist())
        self._start = tuple(model.startprob.tolist())
        self._density = _densities(model)
        self._posterior: tuple[float, ...] | None = None

    @property
    def posterior(self) -> tuple[float, ...] | None:
        """The newest filtered posterior, length K; ``None`` before the first bar."""
        return self._posterior

    def step(self, row: Sequence[float]) -> tuple[float, ...]:
        """Take the next bar's feature row (all features, in schema order) and return the posterior.

        Raises:
            ValueError: a feature is not finite.
        """
        values = [row[column] for column in self._columns]
        logs = []
        for regime in self._density:
            total = regime[0]
            for value, (mean, factor) in zip(values, regime[1], strict=True):
                distance = value - mean
                total -= factor * distance * distance
            logs.append(total)
        highest = max(logs)
        if not math.isfinite(highest):
            raise ValueError("a feature is not finite")
        before = self._posterior
        if before is None:
            weights = [start * math.exp(log - highest) for start, log in zip(self._start, logs, strict=True)]
        else:
            weights = [
                sum(map(float.__mul__, before, column)) * math.exp(log - highest)
                for column, log in zip(self._transitions, logs, strict=True)
            ]
        total = sum(weights)
        # All mass on regimes that cannot explain the bar: fall back to what the bar alone says.
        if total <= 0.0:
            weights = [math.exp(log - highest) for log in logs]
            total = sum(weights)
        self._posterior = tuple(weight / total for weight in weights)
        return self._posterior


def _densities(model: RegimeModel) -> tuple[tuple[float, tuple[tuple[float, float], ...]], ...]:
    """Fold the scaler into the Gaussians: per regime its log constant and (mean, 1 / (2 variance)) per raw feature."""
    means = model.means * model.scaler_scale + model.scaler_mean
    variances = model.covars * model.scaler_scale**2
    constants = -0.5 * np.log(2.0 * math.pi * model.covars).sum(axis=1)
    return tuple(
        (float(constant), tuple(zip(mean.tolist(), (0.5 / variance).tolist(), strict=True)))
        for constant, mean, variance in zip(constants, means, variances, strict=True)
    )


def log_density(model: RegimeModel, rows: Array) -> Array:
    """Return log b_k(x_t) of the standardised features, shape (T, K), for feature rows of shape (T, 7)."""
    standard = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    distance = standard[:, None, :] - model.means[None, :, :]
    terms = np.log(2.0 * math.pi * model.covars)[None, :, :] + distance**2 / model.covars[None, :, :]
    density: Array = -0.5 * terms.sum(axis=2)
    return density


def filter_batch(model: RegimeModel, rows: Array) -> tuple[Array, float]:
    """Return the filtered posteriors, shape (T, K), of complete feature rows (T, 7), and the log-likelihood.

    Raises:
        ValueError: a feature is not finite.
    """
    logs = log_density(model, rows)
    if not np.isfinite(logs).all():
        raise ValueError("a feature is not finite")
    highest = logs.max(axis=1, keepdims=True)
    density = np.exp(logs - highest)
    posteriors = np.empty_like(density)
    likelihood = 0.0
    state = model.startprob
    for index in range(len(density)):
        prior = state if index == 0 else state @ model.transmat
        weights = prior * density[index]
        total = weights.sum()
        if total <= 0.0:
            weights = density[index]
            total = weights.sum()
        likelihood += math.log(total) + float(highest[index, 0])
        state = weights / total
        posteriors[index] = state
    return posteriors, likelihood
