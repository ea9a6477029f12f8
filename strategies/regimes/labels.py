"""Names for regimes that stay the same across refits: a canonical order, and a matching to an earlier model."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.model import RegimeModel

Array = NDArray[np.float64]


def canonical_order(expected_return: Array, volatility: Array) -> list[int]:
    """Return the old indices in canonical order: calmest first, ties by lower expected return."""
    return sorted(range(len(volatility)), key=lambda regime: (volatility[regime], expected_return[regime]))


def describe(expected_return: Array, volatility: Array, threshold: float = 0.05) -> tuple[str, ...]:
    """Return a readable name per regime, such as ``calm`` or ``rising 2``.

    A regime rises or falls where its expected return is more than ``threshold`` of its volatility.
    """
    names: list[str] = []
    for mean, spread in zip(expected_return, volatility, strict=True):
        share = mean / spread if spread > 0 else 0.0
        name = "rising" if share > threshold else "falling" if share < -threshold else "calm"
        same = sum(earlier.split()[0] == name for earlier in names)
        names.append(f"{name} {same + 1}" if same else name)
    return tuple(names)


def match(previous: RegimeModel, means: Array) -> list[int]:
    """Return, for each regime of ``previous``, the index of the nearest of the new regimes.

    ``means`` (K, D) are the new regimes' feature means in raw units. The assignment with the least total squared
    distance in the previous model's standard units wins; K is small, so all are tried.

    Raises:
        ValueError: the numbers of regimes differ.
    """
    if len(means) != previous.count:
        raise ValueError("only models with the same number of regimes can be matched")
    standard = (means - previous.scaler_mean) / previous.scaler_scale
    distance = ((previous.means[:, None, :] - standard[None, :, :]) ** 2).sum(axis=2)
    rows = range(previous.count)
    best = min(permutations(rows), key=lambda order: sum(distance[row, order[row]] for row in rows))
    return list(best)
