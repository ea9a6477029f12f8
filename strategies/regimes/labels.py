"""Names for regimes that stay the same across refits: a canonical order, and a matching to an earlier model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.model import RegimeModel

Array = NDArray[np.float64]
#: So many times the median volatility, or so many times less, has a name of its own.
MARKED = 1.4


def canonical_order(expected_return: Array, volatility: Array) -> list[int]:
    """Return the old indices in canonical order: calmest first, ties by lower expected return."""
    return sorted(range(len(volatility)), key=lambda regime: (volatility[regime], expected_return[regime]))


def describe(expected_return: Array, volatility: Array, threshold: float = 0.05) -> tuple[str, ...]:
    """Return a readable name per regime, such as ``calm``, ``wild`` or ``rising 2``.

    A regime rises or falls where its expected return is more than ``threshold`` of its volatility. One that does
    neither is calm, usual or wild by its volatility beside the median regime's.
    """
    names: list[str] = []
    usual = float(np.median(volatility))
    for mean, spread in zip(expected_return, volatility, strict=True):
        share = mean / spread if spread > 0 else 0.0
        name = "rising" if share > threshold else "falling" if share < -threshold else _temper(float(spread), usual)
        same = sum(earlier.split()[0] == name for earlier in names)
        names.append(f"{name} {same + 1}" if same else name)
    return tuple(names)


def _temper(volatility: float, usual: float) -> str:
    if volatility * MARKED <= usual:
        return "calm"
    return "wild" if volatility >= usual * MARKED else "usual"


def match(previous: RegimeModel, means: Array, covars: Array, rest: list[int] | None = None) -> list[int]:
    """Return the new regimes' indices in the order of the previous regimes they continue.

    ``means`` (K, D) and ``covars`` (K, D) or (K, D, D) are the new regimes' in raw units. The assignment with the
    least total Bhattacharyya distance wins (Hungarian method; Kuhn 1955). New regimes that continue none come last, in
    the order of ``rest``, or else their own.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  # only training needs it

    centres = previous.means * previous.scaler_scale + previous.scaler_mean
    spreads = as_matrices(previous.covars) * np.outer(previous.scaler_scale, previous.scaler_scale)
    distance = np.array(
        [
            [_distance(mean, spread, *ours) for ours in zip(means, as_matrices(covars), strict=True)]
            for mean, spread in zip(centres, spreads, strict=True)
        ]
    )
    _, chosen = linear_sum_assignment(distance)
    kept = [int(regime) for regime in chosen]
    return kept + [regime for regime in (rest or list(range(len(means)))) if regime not in kept]


def as_matrices(covars: Array) -> Array:
    """Return covariances as matrices, (K, D, D), from (K, D) or (K, D, D)."""
    return covars if covars.ndim == 3 else np.stack([np.diag(row) for row in covars])


def _distance(mean: Array, covar: Array, other_mean: Array, other_covar: Array) -> float:
    """Return the Bhattacharyya distance of two Gaussians: it sees means and spreads, and no units."""
    middle = 0.5 * (covar + other_covar)
    apart = mean - other_mean
    logs = [float(np.linalg.slogdet(matrix)[1]) for matrix in (middle, covar, other_covar)]
    return float(apart @ np.linalg.solve(middle, apart)) / 8.0 + 0.5 * (logs[0] - 0.5 * (logs[1] + logs[2]))
