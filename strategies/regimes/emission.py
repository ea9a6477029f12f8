"""What each regime expects of a bar: Gaussians over raw features, with the model's scaler folded in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.model import RegimeModel

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Emission:
    """log b_k(x) = ``constant``_k - || ``whiten``_k (x - ``centre``_k) ||^2, densities in standard units.

    Shapes: ``constant`` (K,), ``centre`` (K, D; raw units), ``whiten`` (K, D, D; lower triangular, diagonal where the
    covariances are).
    """

    constant: Array
    centre: Array
    whiten: Array


def emission(model: RegimeModel) -> Emission:
    """Return the Gaussians of a model over raw features."""
    return _emission(model.means, model.covars, model.scaler_mean, model.scaler_scale)


def _emission(means: Array, covars: Array, centre: Array, scale: Array) -> Emission:
    lower = np.linalg.cholesky(covars if covars.ndim == 3 else np.stack([np.diag(row) for row in covars]))
    logs = np.log(np.diagonal(lower, axis1=1, axis2=2))
    return Emission(
        constant=-0.5 * means.shape[1] * math.log(2.0 * math.pi) - logs.sum(axis=1),
        centre=means * scale + centre,
        whiten=math.sqrt(0.5) * np.linalg.inv(lower) / scale,
    )


def log_density(model: RegimeModel, rows: Array) -> Array:
    """Return log b_k(x_t) of the standardised features, shape (T, K), for feature rows of shape (T, 7)."""
    return _log_density(emission(model), rows[:, model.columns])


def standard_log_density(means: Array, covars: Array, standard: Array) -> Array:
    """Return log b_k(x_t), (T, K), of standardised rows (T, D) under means (K, D) and covariances as in a model."""
    width = means.shape[1]
    return _log_density(_emission(means, covars, np.zeros(width), np.ones(width)), standard)


def _log_density(gaussians: Emission, values: Array) -> Array:
    distance = values[:, None, :] - gaussians.centre
    spread = np.einsum("kde,tke->tkd", gaussians.whiten, distance)
    density: Array = gaussians.constant - (spread * spread).sum(axis=2)
    return density


def jump_cost(model: RegimeModel, rows: Array) -> Array:
    """Return half the squared distance to each regime's centre in standard units, (T, K), for rows (T, 7)."""
    standard = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    cost: Array = 0.5 * ((standard[:, None, :] - model.means) ** 2).sum(axis=2)
    return cost
