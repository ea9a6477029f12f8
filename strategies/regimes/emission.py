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
    covars = model.covars if model.full_covariance else np.stack([np.diag(row) for row in model.covars])
    lower = np.linalg.cholesky(covars)
    logs = np.log(np.diagonal(lower, axis1=1, axis2=2))
    constant = -0.5 * len(model.features) * math.log(2.0 * math.pi) - logs.sum(axis=1)
    return Emission(
        constant=constant,
        centre=model.means * model.scaler_scale + model.scaler_mean,
        whiten=math.sqrt(0.5) * np.linalg.inv(lower) / model.scaler_scale,
    )


def log_density(model: RegimeModel, rows: Array) -> Array:
    """Return log b_k(x_t) of the standardised features, shape (T, K), for feature rows of shape (T, 7)."""
    gaussians = emission(model)
    distance = rows[:, None, model.columns] - gaussians.centre
    spread = np.einsum("kde,tke->tkd", gaussians.whiten, distance)
    density: Array = gaussians.constant - (spread * spread).sum(axis=2)
    return density


def jump_cost(model: RegimeModel, rows: Array) -> Array:
    """Return half the squared distance to each regime's centre in standard units, (T, K), for rows (T, 7)."""
    standard = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    cost: Array = 0.5 * ((standard[:, None, :] - model.means) ** 2).sum(axis=2)
    return cost
