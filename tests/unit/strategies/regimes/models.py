"""Regime models made by hand and chains drawn from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.regimes.model import JUMP, RegimeModel

Array = NDArray[np.float64]
USED = ("log_return", "log_range")


def gaussian_model(regimes: int = 3, *, separation: float = 2.0, stay: float = 0.97) -> RegimeModel:
    """Return a sticky model whose regimes stand ``separation`` standard deviations apart on both features."""
    width = len(USED)
    move = (1.0 - stay) / max(1, regimes - 1)
    return RegimeModel(
        features=USED,
        startprob=np.full(regimes, 1.0 / regimes),
        transmat=np.full((regimes, regimes), move) + np.eye(regimes) * (stay - move)
        if regimes > 1
        else np.ones((1, 1)),
        means=np.arange(regimes)[:, None] * separation * np.ones(width) / np.sqrt(width),
        covars=np.ones((regimes, width)),
        scaler_mean=np.array([0.5, -0.25]),
        scaler_scale=np.array([2.0, 0.5]),
        expected_return=np.linspace(-0.001, 0.001, regimes),
        volatility=np.linspace(0.001, 0.01, regimes),
        labels=tuple(f"regime {number}" for number in range(regimes)),
        trained_from_ms=0,
        trained_to_ms=60_000,
        bars=1000,
        data_hash="0" * 64,
        seed=7,
    )


def correlated_model() -> RegimeModel:
    """Return a model of two regimes that differ in nothing but the sign of a correlation."""
    covars = np.array([[[1.0, 0.8], [0.8, 1.0]], [[1.0, -0.8], [-0.8, 1.0]]])
    return replace(gaussian_model(2, separation=0.0), covars=covars)


def jump_model(penalty: float = 4.0) -> RegimeModel:
    """Return a jump model of three regimes."""
    return replace(gaussian_model(3, separation=3.0), kind=JUMP, jump_penalty=penalty, jump_temperature=1.0)


def draw(model: RegimeModel, bars: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """Return feature rows (T, 7) drawn from a model, other features 0, and the true regimes (T,)."""
    chance = np.random.default_rng(seed)
    states = np.empty(bars, dtype=np.int64)
    state = int(chance.choice(model.count, p=model.startprob))
    for at in range(bars):
        states[at] = state
        state = int(chance.choice(model.count, p=model.transmat[state]))
    covars = model.covars if model.full_covariance else np.stack([np.diag(row) for row in model.covars])
    noise = np.einsum("tde,te->td", np.linalg.cholesky(covars)[states], chance.standard_normal((bars, len(USED))))
    rows = np.zeros((bars, len(FEATURES)))
    rows[:, model.columns] = (model.means[states] + noise) * model.scaler_scale + model.scaler_mean
    return rows, states
