"""One door to every kind of regime model: bars in, model and report out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from strategies.calibrated_fit import Calibrated
from strategies.regimes.bar_table import BarTable
from strategies.regimes.fit import FitReport, dwell, fit
from strategies.regimes.hierarchy import H2, AnyModel, HierarchicalModel, macro_posteriors, posteriors_of, slow_bars
from strategies.regimes.jump_fit import fit_jump
from strategies.regimes.model import GAUSSIAN_HMM, JUMP, RegimeModel
from strategies.regimes.options import FitOptions, FitRefused

Array = NDArray[np.float64]

KINDS = (GAUSSIAN_HMM, JUMP, H2)


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyOptions:
    """``factor`` quick bars make a slow one; ``macro`` and ``micro`` are the numbers of regimes that are tried.

    A macro regime may be all of one kind, so one micro regime is among the numbers.
    """

    factor: int = 12
    macro: tuple[int, ...] = (2, 3)
    micro: tuple[int, ...] = (1, 2)


def train(
    kind: str,
    bars: BarTable,
    options: FitOptions,
    previous: AnyModel | None = None,
    hierarchy: HierarchyOptions | None = None,
) -> tuple[AnyModel, FitReport]:
    """Fit a model of one of ``KINDS`` to a symbol's bars.

    Raises:
        FitRefused: no model can be fitted; the code says why. An unknown kind is ``KIND_UNKNOWN``.
    """
    if kind == H2:
        return _train_hierarchy(bars, options, hierarchy or HierarchyOptions(), previous)
    if kind not in KINDS:
        raise FitRefused("KIND_UNKNOWN", f"a model is one of {', '.join(KINDS)}")
    before = previous if isinstance(previous, RegimeModel) and previous.kind == kind else None
    fitter = Calibrated(fit_jump if kind == JUMP else fit)
    return fitter(bars.features(), bars.open_ms, bars.bar_ms, options, before)


def _train_hierarchy(
    bars: BarTable, options: FitOptions, hierarchy: HierarchyOptions, previous: AnyModel | None
) -> tuple[HierarchicalModel, FitReport]:
    """Fit the slow bars, then the quick bars of each macro regime; one too thin takes the model of all quick bars."""
    before = previous if isinstance(previous, HierarchicalModel) and previous.factor == hierarchy.factor else None
    slow, _ = slow_bars(bars, hierarchy.factor)
    above = replace(options, candidates=hierarchy.macro)
    macro, macro_report = fit(slow.features(), slow.open_ms, slow.bar_ms, above, before.macro if before else None)
    below = replace(options, candidates=hierarchy.micro)
    rows = bars.features()
    whole, report = fit(rows, bars.open_ms, bars.bar_ms, below)
    regime = macro_posteriors(macro, hierarchy.factor, bars).argmax(axis=1)
    micro: list[RegimeModel] = []
    shared = 0
    for number in range(macro.count):
        own = np.where((regime == number)[:, None], rows, math.nan)
        old = before.micro[number] if before and number < len(before.micro) else None
        try:
            micro.append(fit(own, bars.open_ms, bars.bar_ms, below, old)[0])
        except FitRefused:
            micro.append(whole)
            shared += 1
    model = HierarchicalModel(factor=hierarchy.factor, macro=macro, micro=tuple(micro))
    extra = {
        "macro_regimes": float(macro.count),
        "macro_bars": float(macro.bars),
        "macro_converged": float(macro_report.converged),
        "macro_agreement": macro_report.refit_agreement,
        "micro_shared": float(shared),
    }
    return model, replace(
        report,
        occupancy=tuple(np.nanmean(posteriors_of(model, bars), axis=0).tolist()),
        dwell_bars=tuple(stay for each in model.micro for stay in dwell(each.transmat)),
        extra=report.extra | extra,
    )
