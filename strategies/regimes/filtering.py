"""The forward filter: P(regime at t | bars up to t), one step per bar. It never looks ahead and never revises.

Formula: alpha_t(j) is proportional to b_j(x_t) * sum_i alpha_{t-1}(i) a_ij (Rabiner 1989, eq. 19-20, scaled). Emission
densities are scaled by their maximum before they leave log space, so that no step underflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.emission import emission, factors, log_density, offsets
from strategies.regimes.jump_filter import JumpFilter, jump_filter_batch
from strategies.regimes.model import JUMP, RegimeModel

Array = NDArray[np.float64]
#: Per regime its constant and one entry per whitened feature; what the entry holds depends on the covariance.
Diagonal = tuple[tuple[float, tuple[tuple[float, float], ...]], ...]
Full = tuple[tuple[float, tuple[tuple[float, tuple[float, ...]], ...]], ...]


class RegimeFilter(Protocol):
    """What a strategy needs of a live filter, whatever the kind of the model."""

    @property
    def posterior(self) -> tuple[float, ...] | None:
        """The newest filtered posterior, length K; ``None`` before the first bar."""

    def step(self, row: Sequence[float]) -> tuple[float, ...]:
        """Take the next bar's feature row and return the posterior."""


def open_filter(model: RegimeModel) -> RegimeFilter:
    """Return a fresh live filter of the model's kind."""
    return JumpFilter(model) if model.kind == JUMP else ForwardFilter(model)


class ForwardFilter:
    """The live filter of one symbol. State is K floats.

    Plain floats on purpose: for a handful of regimes a Python loop is several times quicker than NumPy's call
    overhead.
    """

    __slots__ = ("_columns", "_logs", "_posterior", "_start", "_transitions")

    def __init__(self, model: RegimeModel) -> None:
        self._columns = tuple(model.columns)
        self._transitions = tuple(tuple(column) for column in model.transmat.T.tolist())
        self._start = tuple(model.startprob.tolist())
        self._logs = _full_logs(model) if model.full_covariance else _diagonal_logs(model)
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
        logs = self._logs([row[column] for column in self._columns])
        highest = max(logs)
        if not math.isfinite(highest):
            raise ValueError("a feature is not finite")
        densities = [math.exp(log - highest) for log in logs]
        self._posterior, _ = advance(self._posterior, densities, self._start, self._transitions)
        return self._posterior


def advance(
    before: tuple[float, ...] | None,
    densities: Sequence[float],
    start: tuple[float, ...],
    transitions: tuple[tuple[float, ...], ...],
) -> tuple[tuple[float, ...], float]:
    """Return the posterior after one bar and what the bar's likelihood is in units of its likeliest regime.

    ``transitions`` holds, by regime reached, the probabilities of coming from each.
    """
    if before is None:
        weights = [share * density for share, density in zip(start, densities, strict=True)]
    else:
        weights = [
            sum(map(float.__mul__, before, column)) * density
            for column, density in zip(transitions, densities, strict=True)
        ]
    total = sum(weights)
    # All mass on regimes that cannot explain the bar: fall back to what the bar alone says.
    if total <= 0.0:
        weights = list(densities)
        total = sum(weights)
    return tuple([weight / total for weight in weights]), total


def _diagonal_logs(model: RegimeModel) -> Callable[[list[float]], list[float]]:
    """Return log b_k of one bar's features, for regimes whose features move on their own."""
    gaussians = emission(model)
    regimes: Diagonal = tuple(
        (float(constant), tuple(zip(centre.tolist(), factor.tolist(), strict=True)))
        for constant, centre, factor in zip(gaussians.constant, gaussians.centre, factors(gaussians), strict=True)
    )

    def logs(values: list[float]) -> list[float]:
        found = []
        for constant, terms in regimes:
            for value, (mean, factor) in zip(values, terms, strict=True):
                distance = value - mean
                constant -= factor * distance * distance  # noqa: PLW2901  # the sum starts at the constant
            found.append(constant)
        return found

    return logs


def _full_logs(model: RegimeModel) -> Callable[[list[float]], list[float]]:
    """Return log b_k of one bar's features, for regimes whose features move together."""
    gaussians = emission(model)
    regimes: Full = tuple(
        (float(constant), tuple((float(at), tuple(row)) for at, row in zip(offset, whiten.tolist(), strict=True)))
        for constant, offset, whiten in zip(gaussians.constant, offsets(gaussians), gaussians.whiten, strict=True)
    )

    def logs(values: list[float]) -> list[float]:
        found = []
        for constant, terms in regimes:
            for offset, weights in terms:
                distance = sum(map(float.__mul__, weights, values)) - offset
                constant -= distance * distance  # noqa: PLW2901  # as above
            found.append(constant)
        return found

    return logs


def filter_batch(model: RegimeModel, rows: Array) -> tuple[Array, float]:
    """Return the filtered posteriors, shape (T, K), of complete feature rows (T, 7), and the log-likelihood.

    The likelihood is the sum over bars of log p(bar | bars before), in nats, of features in standard units.

    Raises:
        ValueError: a feature is not finite.
    """
    if model.kind == JUMP:
        return jump_filter_batch(model, rows)
    return filter_densities(log_density(model, rows), model.startprob, model.transmat)


def filter_densities(logs: Array, startprob: Array, transmat: Array) -> tuple[Array, float]:
    """Return the filtered posteriors, (T, K), and the log-likelihood of bars with log densities ``logs`` (T, K).

    Raises:
        ValueError: a density is not finite.
    """
    if not np.isfinite(logs).all():
        raise ValueError("a feature is not finite")
    highest = logs.max(axis=1, keepdims=True)
    start = tuple(startprob.tolist())
    transitions = tuple(map(tuple, transmat.T.tolist()))
    posteriors = np.empty_like(logs)
    state: tuple[float, ...] | None = None
    totals = []
    exp = math.exp  # the live filter's: NumPy's differs in the last bit
    for at, row in enumerate((logs - highest).tolist()):
        state, total = advance(state, [exp(log) for log in row], start, transitions)
        posteriors[at] = state
        totals.append(total)
    return posteriors, float(np.log(totals).sum() + highest.sum())
