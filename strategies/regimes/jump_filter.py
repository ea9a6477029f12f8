"""The jump model's filter: which regime explains the bars up to now at the least cost, changes of regime included.

Recursion: v_t(k) = c_k(x_t) + min(v_{t-1}(k), min_j v_{t-1}(j) + penalty), the forward half of the dynamic programme
(Bemporad et al. 2018; Nystrup, Lindstrom and Madsen 2020, the online form). Costs become shares by a softmax at the
model's temperature; costs never lie further apart than penalty and bar allow, so shares stay finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.emission import jump_centres, jump_cost, log_density
from strategies.regimes.model import RegimeModel

Array = NDArray[np.float64]


class JumpFilter:
    """The live filter of one symbol. State is K floats, the cheapest cost of ending in each regime."""

    __slots__ = ("_centres", "_columns", "_costs", "_factors", "_penalty", "_posterior", "_temperature")

    def __init__(self, model: RegimeModel) -> None:
        self._columns = tuple(model.columns)
        centres, factors = jump_centres(model)
        self._centres = tuple(map(tuple, centres.tolist()))
        self._factors = tuple(factors.tolist())
        self._penalty = model.jump_penalty
        self._temperature = model.jump_temperature
        self._costs = (0.0,) * model.count
        self._posterior: tuple[float, ...] | None = None

    @property
    def posterior(self) -> tuple[float, ...] | None:
        """The newest shares of the regimes, length K; ``None`` before the first bar."""
        return self._posterior

    def step(self, row: Sequence[float]) -> tuple[float, ...]:
        """Take the next bar's feature row (all features, in schema order) and return the shares.

        Raises:
            ValueError: a feature is not finite.
        """
        values = [row[column] for column in self._columns]
        costs = [
            sum(
                factor * (value - mean) * (value - mean)
                for value, mean, factor in zip(values, centre, self._factors, strict=True)
            )
            for centre in self._centres
        ]
        self._costs, self._posterior = advance(self._costs, costs, self._penalty, self._temperature)
        return self._posterior


def advance(
    before: Sequence[float], costs: Sequence[float], penalty: float, temperature: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the new costs, with the least at 0, and the shares, for one bar that costs ``costs`` (K,).

    Raises:
        ValueError: a cost is not finite.
    """
    changed = min(before) + penalty
    total = [cost + min(stayed, changed) for stayed, cost in zip(before, costs, strict=True)]
    least = min(total)
    if not math.isfinite(least):
        raise ValueError("a feature is not finite")
    kept = tuple(cost - least for cost in total)
    weights = [math.exp(-cost / temperature) for cost in kept]
    whole = sum(weights)
    return kept, tuple(weight / whole for weight in weights)


def jump_filter_batch(model: RegimeModel, rows: Array) -> tuple[Array, float]:
    """Return the shares, (T, K), of complete feature rows (T, 7), and the one-step log-likelihood in nats.

    The likelihood is that of each bar under the regimes' Gaussians, weighted by the shares one bar before, moved on by
    the model's transitions: comparable with a hidden Markov model's on the same features.

    Raises:
        ValueError: a feature is not finite.
    """
    posteriors = np.empty((len(rows), model.count))
    state: tuple[float, ...] = (0.0,) * model.count
    for at, costs in enumerate(jump_cost(model, rows).tolist()):
        state, posteriors[at] = advance(state, costs, model.jump_penalty, model.jump_temperature)
    priors = np.vstack([model.startprob[None, :], posteriors[:-1] @ model.transmat])
    logs = log_density(model, rows)
    highest = logs.max(axis=1, keepdims=True)
    expected = (priors[: len(rows)] * np.exp(logs - highest)).sum(axis=1)
    # All prior weight on regimes that cannot explain the bar: what the bar alone says, as in the forward filter.
    expected = np.where(expected > 0.0, expected, np.exp(logs - highest).sum(axis=1))
    return posteriors, float((np.log(expected) + highest[:, 0]).sum())
