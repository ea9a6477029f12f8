"""The live filter's step against what hmmlearn offers for a live bar: all posteriors of a window, once per bar."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from hmmlearn.hmm import GaussianHMM
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.regimes.filtering import ForwardFilter
from strategies.regimes.model import RegimeModel
from tests.benchmarks.row import Row

REGIMES = 3
USED = ("log_return", "log_range")
WINDOW = 256
BARS = 20_000
PEER_BARS = 400
ROUNDS = 5


def measure() -> dict[str, Row]:
    """Step both through the same bars in turn; medians over the rounds.

    Raises:
        RuntimeError: the two do not agree, so they did not do the same work.
    """
    model = _model()
    rows = np.random.default_rng(7).normal(size=(BARS, len(FEATURES)))
    peer = _peer(model)
    features = rows[:, model.columns]
    _check_agreement(model, peer, rows, features)
    listed = rows.tolist()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        live = ForwardFilter(model)
        ours.append(_rate(lambda live=live: [live.step(row) for row in listed], BARS))  # type: ignore[misc]  # no name
        theirs.append(_rate(lambda: _windows(peer, features), PEER_BARS))
    return {"filter_step": Row(statistics.median(ours), statistics.median(theirs), "steps/s")}


def _windows(peer: GaussianHMM, features: NDArray[np.float64]) -> None:
    for end in range(WINDOW, WINDOW + PEER_BARS):
        peer.predict_proba(features[end - WINDOW : end])


def _rate(work: Callable[[], object], steps: int) -> float:
    began = time.perf_counter()
    work()
    return steps / (time.perf_counter() - began)


def _check_agreement(
    model: RegimeModel, peer: GaussianHMM, rows: NDArray[np.float64], features: NDArray[np.float64]
) -> None:
    live = ForwardFilter(model)
    posterior = [live.step(row) for row in rows[:WINDOW].tolist()][-1]
    # At the window's last bar nothing lies ahead: smoothed and filtered posterior are the same.
    if not np.allclose(posterior, peer.predict_proba(features[:WINDOW])[-1], atol=1e-9):
        raise RuntimeError("filter and hmmlearn disagree on the newest bar")


def _model() -> RegimeModel:
    """Return a sticky model of three regimes, calm to wild, on unit-scaled features."""
    size = (REGIMES, len(USED))
    return RegimeModel(
        features=USED,
        startprob=np.full(REGIMES, 1 / REGIMES),
        transmat=np.full((REGIMES, REGIMES), 0.01) + np.eye(REGIMES) * 0.97,
        means=np.linspace(-1.0, 1.0, REGIMES)[:, None] * np.ones(size),
        covars=np.linspace(0.5, 2.0, REGIMES)[:, None] * np.ones(size),
        scaler_mean=np.zeros(len(USED)),
        scaler_scale=np.ones(len(USED)),
        expected_return=np.zeros(REGIMES),
        volatility=np.linspace(0.001, 0.01, REGIMES),
        labels=("calm", "busy", "wild"),
        trained_from_ms=0,
        trained_to_ms=WINDOW * 1000,
        bars=WINDOW,
        data_hash="0" * 12,
        seed=7,
    )


def _peer(model: RegimeModel) -> GaussianHMM:
    peer = GaussianHMM(n_components=REGIMES, covariance_type="diag")
    peer.startprob_, peer.transmat_, peer.means_ = model.startprob, model.transmat, model.means
    peer.covars_ = model.covars
    return peer
