"""A fit that also learns what its confidence is worth: from forecasts of a model that saw the first bars alone.

The confidence of a regime model is how sure the filter is of its regime; whoever trades wants to know how often the
price then goes the way that the regime goes. Both are compared on the last bars of the training span, under a model
fitted, in the same way, to the bars before them. The model in use is fitted to all bars and takes the steps over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES, WARM_UP
from strategies.regime_policy import PolicyOptions, regime_exposures
from strategies.regimes.calibration import NO_HELD_OUT_MODEL, Calibration, fit_calibration
from strategies.regimes.filtering import filter_batch
from strategies.regimes.fit import FitOptions, FitRefused, FitReport
from strategies.regimes.model import RegimeModel

Array = NDArray[np.float64]
PlainFit = Callable[[Array, NDArray[np.int64], int, FitOptions, RegimeModel | None], tuple[RegimeModel, FitReport]]

#: So much of the training span is held out, at its end.
HELD_OUT_SHARE = 1.0 / 3.0
#: No outcome is awaited for longer, in bars.
LONGEST_STAY = 120
#: What a regime deserves where trading costs nothing: its direction, where it has one.
_FREE = PolicyOptions(round_trip_cost_bps=1e-6)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A way of fitting, followed by the calibration of what it made."""

    fitter: PlainFit

    def __call__(
        self,
        rows: Array,
        open_at_ms: NDArray[np.int64],
        bar_ms: int,
        options: FitOptions,
        previous: RegimeModel | None = None,
    ) -> tuple[RegimeModel, FitReport]:
        """Fit feature rows (T, 7), as the fitter does; the report's extras tell what the calibration rests on.

        Raises:
            FitRefused: as the fitter.
        """
        model, report = self.fitter(rows, open_at_ms, bar_ms, options, previous)
        found, extra = _held_out(self.fitter, rows, open_at_ms, bar_ms, options)
        return replace(model, calibration=found), replace(report, extra=report.extra | extra)


def _held_out(
    fitter: PlainFit, rows: Array, open_at_ms: NDArray[np.int64], bar_ms: int, options: FitOptions
) -> tuple[Calibration, dict[str, float]]:
    complete = np.isfinite(rows).all(axis=1)
    used, times = rows[complete], open_at_ms[complete]
    begin = len(used) - int(len(used) * HELD_OUT_SHARE)
    span = (int(times[begin]), int(times[-1]) + bar_ms)
    # Rolling windows of the first held-out bars must not reach into the bars that were fitted. Whether refits agree
    # was asked of the model in use; to ask again would cost as much as the fit.
    known = max(0, begin - WARM_UP)
    try:
        model, _ = fitter(used[:known], times[:known], bar_ms, replace(options, min_refit_agreement=0.0), None)
    except FitRefused:
        return Calibration(from_ms=span[0], to_ms=span[1], fallback=NO_HELD_OUT_MODEL), {}
    raw, right, weight = outcomes(model, used[known:], times[known:], bar_ms, begin - known)
    extra = {"calibration_outcomes": float(weight.sum())}
    if len(raw):
        extra |= {
            "raw_confidence": float(np.average(raw, weights=weight)),
            "held_out_right": float(np.average(right, weights=weight)),
        }
    return fit_calibration(raw, right, weight, *span), extra


def outcomes(
    model: RegimeModel, rows: Array, open_at_ms: NDArray[np.int64], bar_ms: int, first: int = 0
) -> tuple[Array, Array, Array]:
    """Return raw confidences (N,), whether each was right (N,) and how much it counts (N,), on complete rows (T, 7).

    One per bar from number ``first`` on at which regimes of one direction outweigh all others: right where the price
    stood further that way after the likeliest regime's expected stay of h bars; it counts 1 / h, as so many of them
    overlap. Bars whose stay is not over, or holds a gap, and prices that stood where they were, tell nothing.
    """
    posteriors, _ = filter_batch(model, rows)
    direction = posteriors @ np.array(regime_exposures(model, _FREE))
    stays = np.clip(np.rint(1.0 / np.maximum(1.0 - np.diag(model.transmat), 1e-9)), 1, LONGEST_STAY).astype(np.int64)
    stay = stays[posteriors.argmax(axis=1)]
    moved = np.cumsum(rows[:, FEATURES.index("log_return")])
    end = np.minimum(np.arange(len(rows)) + stay, len(rows) - 1)
    later = moved[end] - moved
    used = (open_at_ms[end] - open_at_ms == stay * bar_ms) & (np.abs(direction) >= 0.5) & (later != 0.0)
    used[:first] = False
    right = np.sign(direction[used]) == np.sign(later[used])
    return posteriors[used].max(axis=1, initial=0.0), right.astype(np.float64), 1.0 / stay[used]
