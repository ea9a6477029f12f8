"""The forward filter, one symbol bar by bar and 500 at once, against hmmlearn's posteriors of a window."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from strategies.features import FEATURES
from strategies.regimes.filtering import ForwardFilter, filter_batch
from strategies.regimes.panel_filter import PanelFilter
from tests.benchmarks.row import Row
from tests.research_benchmarks.chains import Array, known_model

if TYPE_CHECKING:
    from hmmlearn.hmm import GaussianHMM

WINDOW = 256
PEER_BARS = 300
BARS = 20_000
SYMBOLS = 500
PANEL_BARS = 600
ROUNDS = 5
EXACT = 1e-12


def filter_step() -> Row:
    """One bar of one symbol in the engine.

    Raises:
        RuntimeError: the two do not agree on the newest bar.
    """
    model = known_model(1.0)
    rows = np.random.default_rng(7).normal(size=(BARS, len(FEATURES)))
    listed = rows.tolist()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        live = ForwardFilter(model)
        ours.append(_rate(lambda live=live: [live.step(row) for row in listed], BARS))  # type: ignore[misc]  # no name
        theirs.append(_window_rate(rows[:, model.columns]))
    _check_newest(ForwardFilter(model), rows)
    return Row(statistics.median(ours), statistics.median(theirs), "steps/s")


def filter_batch_rows() -> Row:
    """Steps of symbols per second, 500 symbols side by side, each with a model of its own.

    Raises:
        RuntimeError: a symbol in the panel says another thing than alone.
    """
    models = [known_model(0.5 + at / SYMBOLS) for at in range(SYMBOLS)]
    rows = np.random.default_rng(7).normal(size=(PANEL_BARS, SYMBOLS, len(FEATURES)))
    ours, theirs = [], []
    found: Array | None = None
    for _ in range(ROUNDS):
        panel = PanelFilter(models)
        began = time.perf_counter()
        found = panel.run(rows)
        ours.append(PANEL_BARS * SYMBOLS / (time.perf_counter() - began))
        theirs.append(_window_rate(rows[:, 0][:, models[0].columns]))
    for at in (0, SYMBOLS // 2, SYMBOLS - 1):
        if found is None or np.abs(found[:, at] - filter_batch(models[at], rows[:, at])[0]).max() > EXACT:
            raise RuntimeError("a symbol in the panel says another thing than alone")
    return Row(statistics.median(ours), statistics.median(theirs), "symbol-steps/s")


def _window_rate(features: Array) -> float:
    """Return how often a second hmmlearn gives the posterior of the newest bar, from the window before it."""
    peer = _peer()
    ends = range(WINDOW, min(len(features), WINDOW + PEER_BARS))
    return _rate(lambda: [peer.predict_proba(features[end - WINDOW : end]) for end in ends], len(ends))


def _peer() -> GaussianHMM:
    from hmmlearn.hmm import GaussianHMM as Peer  # noqa: PLC0415  # the names of the rows must be cheap to list

    model = known_model(1.0)
    peer = Peer(n_components=model.count, covariance_type="diag")
    peer.startprob_, peer.transmat_, peer.means_ = model.startprob, model.transmat, model.means
    peer.covars_ = model.covars
    return peer


def _check_newest(live: ForwardFilter, rows: Array) -> None:
    posterior = [live.step(row) for row in rows[:WINDOW].tolist()][-1]
    # At the window's last bar nothing lies ahead: smoothed and filtered posterior are the same.
    if not np.allclose(posterior, _peer().predict_proba(rows[:WINDOW, known_model(1.0).columns])[-1], atol=1e-9):
        raise RuntimeError("filter and hmmlearn disagree on the newest bar")


def _rate(work: Callable[[], object], steps: int) -> float:
    began = time.perf_counter()
    work()
    return steps / (time.perf_counter() - began)


ROWS = {"filter_step": filter_step, "filter_batch": filter_batch_rows}
