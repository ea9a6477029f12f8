"""Work on one symbol, as functions of plain values: what the ``Compute`` resource spreads over processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.feature_table import Series
from strategies.calibrated_fit import Calibrated
from strategies.regime_policy import PolicyOptions
from strategies.regimes.bar_table import BarTable
from strategies.regimes.fit import FitOptions, FitRefused, FitReport, fit
from strategies.regimes.model import RegimeModel
from strategies.research.baseline import single_gaussian_log_likelihood
from strategies.research.walk_forward import WalkForwardOptions, WalkForwardReport, walk_forward

#: What is registered is judged by the way it was fitted: walked forward, each fold has a calibration of its own.
FIT = Calibrated(fit)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitTask:
    """One symbol to fit. ``previous`` is its champion model, whose order of regimes is kept."""

    series: Series
    bar_ms: int
    min_bars: int
    options: FitOptions
    previous: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOutcome:
    """One symbol's model as JSON values, or why there is none."""

    symbol: str
    model: dict[str, Any] | None = None
    report: FitReport | None = None
    refused: str = ""


def fit_symbol(task: FitTask) -> FitOutcome:
    """Fit one symbol; a symbol that cannot be fitted is an answer, not an error."""
    series = task.series
    if len(series.rows) < task.min_bars:
        return FitOutcome(
            symbol=series.symbol, refused=f"TOO_FEW_BARS: {len(series.rows)} of {task.min_bars} complete bars"
        )
    previous = RegimeModel.from_dict(task.previous) if task.previous else None
    try:
        model, report = FIT(series.rows, series.open_ms, task.bar_ms, task.options, previous)
    except FitRefused as refused:
        return FitOutcome(symbol=series.symbol, refused=str(refused))
    return FitOutcome(symbol=series.symbol, model=model.to_dict(), report=report)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkTask:
    """One symbol to walk forward. ``bars`` are those behind its newest rows, where a model reads more than rows."""

    series: Series
    bar_ms: int
    fit_options: FitOptions
    policy: PolicyOptions
    walk: WalkForwardOptions
    bars: BarTable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkOutcome:
    """One symbol's walk. ``likelihood_gain`` is held-out nats per bar above one Gaussian."""

    symbol: str
    report: WalkForwardReport | None = None
    likelihood_gain: float = float("nan")
    refused: str = ""


def walk_symbol(task: WalkTask) -> WalkOutcome:
    """Judge one symbol out of sample; one that cannot be judged is an answer, not an error."""
    series = task.series
    try:
        report = walk_forward(series.rows, series.open_ms, task.bar_ms, task.fit_options, task.policy, task.walk, FIT)
        single = single_gaussian_log_likelihood(series.rows, task.fit_options.features, task.walk)
    except FitRefused as refused:
        return WalkOutcome(symbol=series.symbol, refused=str(refused))
    return WalkOutcome(symbol=series.symbol, report=report, likelihood_gain=report.held_out_log_likelihood - single)
