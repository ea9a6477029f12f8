"""Chains of three regimes with a known truth, and hmmlearn run plainly on them: what the regime rows share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.regimes.model import RegimeModel

if TYPE_CHECKING:
    from hmmlearn.hmm import GaussianHMM

Array = NDArray[np.float64]
States = NDArray[np.int64]

REGIMES = 3
USED = ("log_return", "log_range")
ITERATIONS = 100
TOLERANCE = 1e-2


def known_model(separation: float) -> RegimeModel:
    """Return a sticky model whose neighbouring regimes stand ``separation`` standard deviations apart."""
    width = len(USED)
    return RegimeModel(
        features=USED,
        startprob=np.full(REGIMES, 1.0 / REGIMES),
        transmat=np.full((REGIMES, REGIMES), 0.015) + np.eye(REGIMES) * 0.955,
        means=np.arange(REGIMES)[:, None] * separation * np.ones(width) / np.sqrt(width),
        covars=np.ones((REGIMES, width)),
        scaler_mean=np.zeros(width),
        scaler_scale=np.ones(width),
        expected_return=np.zeros(REGIMES),
        volatility=np.linspace(0.001, 0.01, REGIMES),
        labels=("calm", "busy", "wild"),
        trained_from_ms=0,
        trained_to_ms=60_000,
        bars=1000,
        data_hash="0" * 64,
        seed=7,
    )


def draw(model: RegimeModel, bars: int, seed: int) -> tuple[Array, States]:
    """Return standardised features (T, D) of a chain and its true regimes (T,)."""
    chance = np.random.default_rng(seed)
    steps = chance.random(bars)
    cumulated = model.transmat.cumsum(axis=1)
    states = np.empty(bars, dtype=np.int64)
    state = int(chance.integers(REGIMES))
    for at in range(bars):
        states[at] = state
        state = min(REGIMES - 1, int(np.searchsorted(cumulated[state], steps[at])))
    noise = chance.standard_normal((bars, len(USED))) * np.sqrt(model.covars[states])
    values = model.means[states] + noise
    return (values - values.mean(axis=0)) / values.std(axis=0), states


def as_rows(values: Array) -> Array:
    """Return feature rows, (T, 7), of the used features (T, D); the others are 0."""
    rows = np.zeros((len(values), len(FEATURES)))
    rows[:, [FEATURES.index(name) for name in USED]] = values
    return rows


def plain_start(values: Array, number: int) -> GaussianHMM:
    """Run hmmlearn as its tutorial does, from one start: even numbers from k-means, odd ones from random bars."""
    from hmmlearn.hmm import GaussianHMM  # noqa: PLC0415  # the names of the rows must be cheap to list

    is_random = number % 2 == 1
    hmm = GaussianHMM(
        n_components=REGIMES,
        n_iter=ITERATIONS,
        tol=TOLERANCE,
        random_state=number,
        init_params="stc" if is_random else "stmc",
    )
    if is_random:
        hmm.means_ = values[np.random.default_rng(number).choice(len(values), REGIMES, replace=False)]
    return hmm.fit(values)
