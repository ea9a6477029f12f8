"""Markets that a fitted model thinks possible: regimes drawn from its chain, bars from its regimes, from a seed.

Two sources of returns: the model's own Gaussians, and the recorded returns of each regime drawn again in short blocks
(stationary bootstrap within regimes; Politis and Romano 1994), which keep the fat tails that Gaussians lack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.regimes.filtering import filter_batch
from strategies.regimes.labels import as_matrices
from strategies.regimes.model import RegimeModel

Array = NDArray[np.float64]
States = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenarios:
    """N paths of T bars: true ``regimes`` (N, T), ``log_returns`` (N, T), ``rows`` (N, T, 7) of features.

    Features that the model does not read are 0.
    """

    regimes: States
    log_returns: Array
    rows: Array

    def prices(self, start: float) -> Array:
        """Return closes, (N, T), of paths that begin at the price ``start``."""
        closes: Array = start * np.exp(np.cumsum(self.log_returns, axis=1))
        return closes


def simulate(model: RegimeModel, *, paths: int, bars: int, seed: int) -> Scenarios:
    """Draw paths from the model itself. The same seed gives the same paths.

    Raises:
        ValueError: fewer than one path or bar is asked for.
    """
    chance = np.random.default_rng(seed)
    regimes = draw_regimes(model, paths, bars, chance)
    lower = np.linalg.cholesky(as_matrices(model.covars))
    noise = chance.standard_normal((paths, bars, len(model.features)))
    standard = model.means[regimes] + np.einsum("ntde,nte->ntd", lower[regimes], noise)
    rows = np.zeros((paths, bars, len(FEATURES)))
    rows[:, :, model.columns] = standard * model.scaler_scale + model.scaler_mean
    at = FEATURES.index("log_return")
    if "log_return" not in model.features:
        drawn = chance.standard_normal((paths, bars))
        rows[:, :, at] = model.expected_return[regimes] + model.volatility[regimes] * drawn
    return Scenarios(regimes=regimes, log_returns=rows[:, :, at].copy(), rows=rows)


def resample(
    model: RegimeModel, rows: Array, *, paths: int, bars: int, seed: int, block_bars: float = 10.0
) -> Scenarios:
    """Draw regimes from the model's chain and, within each, recorded rows (T, 7) of that regime in short blocks.

    Raises:
        ValueError: a regime has no recorded bar, or fewer than one path or bar is asked for.
    """
    chance = np.random.default_rng(seed)
    complete = rows[np.isfinite(rows).all(axis=1)]
    named = filter_batch(model, complete)[0].argmax(axis=1)
    pools = [np.flatnonzero(named == regime) for regime in range(model.count)]
    if any(len(pool) == 0 for pool in pools):
        raise ValueError("every regime needs a recorded bar to draw from")
    regimes = draw_regimes(model, paths, bars, chance)
    picked = np.empty((paths, bars), dtype=np.int64)
    places = np.zeros(paths, dtype=np.int64)
    sizes = np.array([len(pool) for pool in pools])
    for at in range(bars):
        state = regimes[:, at]
        fresh = chance.random(paths) < 1.0 / block_bars
        if at == 0:
            fresh[:] = True
        else:
            fresh |= state != regimes[:, at - 1]
        places = np.where(fresh, (chance.random(paths) * sizes[state]).astype(np.int64), (places + 1) % sizes[state])
        picked[:, at] = [pools[regime][place] for regime, place in zip(state, places, strict=True)]
    drawn = complete[picked]
    return Scenarios(regimes=regimes, log_returns=drawn[:, :, FEATURES.index("log_return")].copy(), rows=drawn)


def draw_regimes(model: RegimeModel, paths: int, bars: int, chance: np.random.Generator) -> States:
    """Return regimes, (N, T), of chains that begin in the model's start distribution.

    Raises:
        ValueError: fewer than one path or bar is asked for.
    """
    if paths < 1 or bars < 1:
        raise ValueError("at least one path of one bar")
    cumulated = model.transmat.cumsum(axis=1)
    regimes = np.empty((paths, bars), dtype=np.int64)
    now = _pick(model.startprob.cumsum()[None, :], chance.random(paths))
    for at in range(bars):
        regimes[:, at] = now
        now = _pick(cumulated[now], chance.random(paths))
    return regimes


def _pick(cumulated: Array, at: Array) -> States:
    states: States = np.minimum((at[:, None] > cumulated).sum(axis=1), cumulated.shape[1] - 1)
    return states
