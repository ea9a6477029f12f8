"""The two-level model walked forward as the flat ones are: fitted on the past of each fold, held on what follows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from strategies.policy_path import held_exposures
from strategies.regime_policy import PolicyOptions
from strategies.regimes.bar_table import BarTable
from strategies.regimes.hierarchy import H2, posteriors_of
from strategies.regimes.options import FitOptions, FitRefused
from strategies.regimes.training import train
from strategies.research.after_training import exposures_of
from strategies.research.lookahead_proof import cut
from strategies.research.walk_forward import WalkForwardOptions, folds

Array = NDArray[np.float64]


def hierarchy_exposures(
    bars: BarTable,
    open_at_ms: NDArray[np.int64],
    fit_options: FitOptions,
    policy: PolicyOptions,
    options: WalkForwardOptions,
) -> Array:
    """Return the exposure decided at the close of each of the bars opened at ``open_at_ms`` (T,), out of sample.

    The folds are those of so many rows. A fold that could not be fitted holds nothing, and so do the bars before the
    first judged one; a bar that ``bars`` lack changes nothing.

    Raises:
        FitRefused: there are too few bars, or no fold could be fitted.
    """
    exposure = np.zeros(len(open_at_ms))
    refused: list[FitRefused] = []
    plan = tuple(folds(len(open_at_ms), options))
    for fold in plan:
        try:
            model, _ = train(H2, _until(bars, int(open_at_ms[fold.train_to - 1])), fit_options)
        except FitRefused as error:
            refused.append(error)
            continue
        times = open_at_ms[fold.test_from : fold.test_to]
        seen = _until(bars, int(times[-1]))
        at = np.minimum(np.searchsorted(seen.open_ms, times), len(seen.open_ms) - 1)
        posteriors = np.where((seen.open_ms[at] == times)[:, None], posteriors_of(model, seen)[at], math.nan)
        held = held_exposures(posteriors, exposures_of(model, policy), policy, bars.bar_ms)
        exposure[fold.test_from : fold.test_to] = held
    if len(refused) == len(plan):
        raise refused[0]
    return exposure


def _until(bars: BarTable, last_ms: int) -> BarTable:
    """Return the bars that opened at ``last_ms`` or before."""
    return cut(bars, int(np.searchsorted(bars.open_ms, last_ms, side="right")))
