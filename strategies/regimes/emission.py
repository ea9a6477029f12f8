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


def factors(gaussians: Emission) -> Array:
    """Return, (K, D), by how much a squared distance from the centre counts, where features move on their own."""
    found: Array = np.diagonal(gaussians.whiten, axis1=1, axis2=2) ** 2
    return found


def offsets(gaussians: Emission) -> Array:
    """Return the whitened centres, (K, D)."""
    found: Array = np.einsum("kde,ke->kd", gaussians.whiten, gaussians.centre)
    return found


def log_density(model: RegimeModel, rows: Array) -> Array:
    """Return log b_k(x_t) of the standardised features, shape (T, K), for feature rows of shape (T, 7)."""
    return _log_density(emission(model), rows[:, model.columns], full=model.full_covariance)


def standard_log_density(means: Array, covars: Array, standard: Array) -> Array:
    """Return log b_k(x_t), (T, K), of standardised rows (T, D) under means (K, D) and covariances as in a model."""
    width = means.shape[1]
    gaussians = _emission(means, covars, np.zeros(width), np.ones(width))
    return _log_density(gaussians, standard, full=covars.ndim == 3)


def _log_density(gaussians: Emission, values: Array, *, full: bool) -> Array:
    """Feature by feature, in the order of the live filter: the same operations give the same bits."""
    count, width = gaussians.centre.shape
    density = np.broadcast_to(gaussians.constant, (len(values), count)).copy()
    if not full:
        factor = factors(gaussians)
        for at in range(width):
            distance = values[:, at, None] - gaussians.centre[:, at]
            density -= factor[:, at] * distance * distance
        return density
    offset = offsets(gaussians)
    for at in range(width):
        whitened = gaussians.whiten[:, at, 0] * values[:, 0, None]
        for other in range(1, width):
            whitened = whitened + gaussians.whiten[:, at, other] * values[:, other, None]
        distance = whitened - offset[:, at]
        density -= distance * distance
    return density


def jump_cost(model: RegimeModel, rows: Array) -> Array:
    """Return half the squared distance to each regime's centre in standard units, (T, K), for rows (T, 7)."""
    centres, weights = jump_centres(model)
    cost = np.zeros((len(rows), model.count))
    for at, column in enumerate(model.columns):
        distance = rows[:, column, None] - centres[:, at]
        cost += weights[at] * distance * distance
    return cost


def jump_centres(model: RegimeModel) -> tuple[Array, Array]:
    """Return the regimes' centres over raw features, (K, D), and what a squared distance from one costs, (D,)."""
    return model.means * model.scaler_scale + model.scaler_mean, 0.5 / model.scaler_scale**2
