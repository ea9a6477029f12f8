"""Regimes found again on chains with a known truth, against hmmlearn from one start: agreement out of sample."""

from __future__ import annotations

import os
import statistics

import numpy as np

from strategies.regimes.agreement import adjusted_rand
from strategies.regimes.emission import standard_log_density
from strategies.regimes.filtering import filter_densities
from strategies.regimes.options import FitOptions, FitRefused
from strategies.regimes.selection import choose
from tests.benchmarks.row import Row
from tests.research_benchmarks.chains import REGIMES, Array, States, draw, known_model, plain_start

CHAINS = int(os.environ.get("NHMM_BENCH_CHAINS", "12"))
TRAIN, TEST = 1_000, 1_000
SEPARATIONS = (1.0, 2.0, 3.0)


def recovery(separation: float, chains: int = CHAINS) -> tuple[list[float], list[float]]:
    """Return the adjusted Rand indices, ours and hmmlearn's, on the unseen half of each chain, both filtered."""
    ours, theirs = [], []
    for seed in range(chains):
        values, states = draw(known_model(separation), TRAIN + TEST, 1_000 + seed)
        ours.append(_ours(values, states))
        theirs.append(_theirs(values, states, seed))
    return ours, theirs


def regime_recovery() -> Row:
    """Mean agreement over all separations; the spread must be no larger than the peer's.

    Raises:
        RuntimeError: our agreement varies more from chain to chain than the peer's.
    """
    found = [recovery(separation) for separation in SEPARATIONS]
    ours, theirs = ([each[side] for each in found] for side in (0, 1))
    spreads = [statistics.fmean(statistics.pvariance(row) for row in side) for side in (ours, theirs)]
    if spreads[0] > spreads[1]:
        raise RuntimeError(f"our agreement varies by {spreads[0]:.4f}, hmmlearn's by {spreads[1]:.4f}")
    means = [statistics.fmean(statistics.fmean(row) for row in side) for side in (ours, theirs)]
    return Row(means[0], means[1], "adjusted Rand")


def _ours(values: Array, states: States) -> float:
    options = FitOptions(candidates=(REGIMES,), min_refit_agreement=0.0, min_dwell_bars=2.0)
    try:
        parameters = choose(values[:TRAIN], [TRAIN], options)[0].fitted.parameters
    except FitRefused:
        return 0.0
    logs = standard_log_density(parameters.means, parameters.covars, values)
    posteriors = filter_densities(logs, parameters.startprob, parameters.transmat)[0]
    return adjusted_rand(posteriors[TRAIN:].argmax(axis=1), states[TRAIN:])


def _theirs(values: Array, states: States, seed: int) -> float:
    peer = plain_start(values[:TRAIN], 2 * seed)
    covars = np.diagonal(peer.covars_, axis1=1, axis2=2)
    logs = standard_log_density(peer.means_, covars, values)
    posteriors = filter_densities(logs, peer.startprob_, peer.transmat_)[0]
    return adjusted_rand(posteriors[TRAIN:].argmax(axis=1), states[TRAIN:])


ROWS = {"regime_recovery": regime_recovery}
