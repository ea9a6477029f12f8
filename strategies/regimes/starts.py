"""Where expectation-maximisation begins: half of the starts from k-means, half from random stretches of bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.threads import one_thread

Array = NDArray[np.float64]

#: Centres found on so many bars are as good a beginning as those found on all.
SAMPLE = 2_000
STAY = 0.95
#: A random stretch is this share of the bars, and at least so many.
STRETCHES = 100
SHORTEST_STRETCH = 12
#: k-means sees the mean of so many bars, by turns: regimes last, and one bar tells little.
WINDOWS = (8, 1, 24)
#: In standard units: a start that is narrower than this never widens again.
LEAST_VARIANCE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """A Gaussian hidden Markov model in standard units.

    Shapes: ``startprob`` (K,), ``transmat`` (K, K), ``means`` (K, D), ``covars`` (K, D) or (K, D, D).
    """

    startprob: Array
    transmat: Array
    means: Array
    covars: Array


def begin(standard: Array, count: int, number: int, seed: int, *, full: bool) -> Parameters:
    """Return the start with the given number for standardised rows (T, D): even from k-means, odd from stretches."""
    chance = np.random.default_rng([seed, count, number])
    if number % 2 == 0:
        means, variances = _clustered(standard, count, chance, WINDOWS[number // 2 % len(WINDOWS)])
    else:
        means, variances = _stretches(standard, count, chance)
    move = (1.0 - STAY) / max(1, count - 1)
    return Parameters(
        startprob=np.full(count, 1.0 / count),
        transmat=np.full((count, count), move) + np.eye(count) * (STAY - move) if count > 1 else np.ones((1, 1)),
        means=means,
        covars=np.stack([np.diag(row) for row in variances]) if full else variances,
    )


def _clustered(standard: Array, count: int, chance: np.random.Generator, window: int) -> tuple[Array, Array]:
    """Return means and variances of k-means clusters of bars, told apart by how ``window`` bars around them are."""
    from sklearn.cluster import KMeans  # noqa: PLC0415  # a second to load, and only training needs it

    seen = standard if window == 1 else np.hstack([_smoothed(standard, window), _smoothed(np.abs(standard), window)])
    picked = np.arange(len(standard))
    if len(standard) > SAMPLE:
        picked = chance.choice(len(standard), SAMPLE, replace=False)
    with one_thread():
        found = KMeans(count, n_init=1, random_state=int(chance.integers(2**31))).fit(seen[picked])
    clusters = [standard[picked][found.labels_ == cluster] for cluster in range(count)]
    variances = np.stack([cluster.var(axis=0) for cluster in clusters])
    return np.stack([cluster.mean(axis=0) for cluster in clusters]), np.maximum(variances, LEAST_VARIANCE)


def _smoothed(values: Array, window: int) -> Array:
    kernel = np.full(window, 1.0 / window)
    return np.stack([np.convolve(column, kernel, mode="same") for column in values.T], axis=1)


def _stretches(standard: Array, count: int, chance: np.random.Generator) -> tuple[Array, Array]:
    """Return means and variances of random stretches: regimes last, so most stretches lie within one."""
    length = min(len(standard), max(SHORTEST_STRETCH, len(standard) // STRETCHES))
    firsts = chance.integers(0, len(standard) - length + 1, size=count)
    parts = [standard[first : first + length] for first in firsts]
    variances = np.stack([part.var(axis=0) for part in parts])
    return np.stack([part.mean(axis=0) for part in parts]), np.maximum(variances, LEAST_VARIANCE)
