"""Walk forward: fit on the past, skip a gap, judge on what follows; move on. Nothing judged was ever fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.policy_path import held_exposures
from strategies.regime_policy import PolicyOptions, regime_exposures
from strategies.regimes.filtering import filter_batch
from strategies.regimes.fit import FitOptions, FitRefused, FitReport, fit
from strategies.regimes.model import RegimeModel
from strategies.research.metrics import Performance, performance

Array = NDArray[np.float64]
#: Feature rows (T, 7), opens (T,), bar length in milliseconds and options to a model and how it came about.
Fitter = Callable[[Array, NDArray[np.int64], int, FitOptions], tuple[RegimeModel, FitReport]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardOptions:
    """How to walk; ``cost_bps`` is paid per unit of turnover.

    ``purge`` bars before each test are not trained on, as windows of the first tested bars reach into them. ``embargo``
    bars at its beginning are not judged: what follows the training at once is like its end, and flatters.
    """

    folds: int = 3
    train_share: float = 0.5
    purge: int = 60
    embargo: int = 0
    cost_bps: float = 12.0
    bars_per_year: float = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Row numbers: train on [``train_from``, ``train_to``), judge on [``test_from``, ``test_to``)."""

    train_from: int
    train_to: int
    test_from: int
    test_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardReport:
    """Out-of-sample arrays are aligned: row i judged bar ``index[i]`` with what was known at its close.

    ``posteriors`` has shape (N, K_max), padded with zeros where a fold had fewer regimes.
    """

    index: NDArray[np.int64]
    positions: Array
    returns: Array
    market_returns: Array
    posteriors: Array
    held_out_log_likelihood: float
    strategy: Performance
    buy_and_hold: Performance
    folds: tuple[Fold, ...]
    refused: tuple[str, ...]


def folds(rows: int, options: WalkForwardOptions) -> Iterator[Fold]:
    """Yield expanding folds over ``rows`` bars.

    Raises:
        FitRefused: ``TOO_FEW_BARS`` for so many folds.
    """
    first_test = int(rows * options.train_share)
    width = (rows - first_test) // options.folds
    if min(width - options.embargo, first_test) <= options.purge:
        raise FitRefused("TOO_FEW_BARS", f"too few bars to walk forward: {rows} for {options.folds} folds")
    for number in range(options.folds):
        start = first_test + number * width
        stop = rows if number == options.folds - 1 else start + width
        yield Fold(train_from=0, train_to=start - options.purge, test_from=start + options.embargo, test_to=stop)


def walk_forward(
    rows: Array,
    open_at_ms: NDArray[np.int64],
    bar_ms: int,
    fit_options: FitOptions,
    policy: PolicyOptions,
    options: WalkForwardOptions,
    fitter: Fitter = fit,
) -> WalkForwardReport:
    """Judge the regime policy out of sample on feature rows (T, 7) of one symbol.

    The exposure decided at the close of bar t earns the return of bar t+1; its change pays ``cost_bps``. ``fitter``
    makes the models. A bar whose windows are not whole, as after a gap, is judged for nobody; a fold that could not be
    fitted holds nothing.

    Raises:
        FitRefused: there are too few bars, or no fold could be fitted.
    """
    parts: list[_Part] = []
    likelihood = 0.0
    judged = 0
    refused: list[str] = []
    plan = tuple(folds(len(rows), options))
    for fold in plan:
        train = slice(fold.train_from, fold.train_to)
        try:
            model, _how = fitter(rows[train], open_at_ms[train], bar_ms, fit_options)
        except FitRefused as error:
            refused.append(error.code)
            continue
        # The filter runs on from inside the training span, so that it is warm at the first judged bar.
        warm_from = max(fold.train_from, fold.test_from - options.purge)
        test = rows[warm_from : fold.test_to]
        complete = np.isfinite(test).all(axis=1)
        index = np.arange(warm_from, fold.test_to)[complete]
        posteriors, found = filter_batch(model, test[complete])
        kept = index >= fold.test_from
        if not kept.any():
            refused.append("NO_WHOLE_WINDOW")
            continue
        exposures = np.array(regime_exposures(model, policy))
        held = held_exposures(posteriors[kept], exposures, policy, bar_ms, model.calibration)
        parts.append(_Part(fold, index[kept], posteriors[kept], held))
        likelihood += found
        judged += len(index)
    if not parts:
        raise FitRefused(refused[0] if refused else "TOO_FEW_BARS", "no fold could be fitted")
    return _report(rows, parts, likelihood / max(1, judged), plan, tuple(refused), options)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One fold's judged rows (N,), posteriors (N, K) and the exposure held after each bar (N,)."""

    fold: Fold
    index: NDArray[np.int64]
    posteriors: Array
    positions: Array

    def follows(self, before: _Part) -> bool:
        """True where nothing lies between two parts, so that a position is carried over."""
        return before.fold.test_to == self.fold.test_from


def _held_and_turnover(parts: Sequence[_Part]) -> tuple[Array, Array]:
    """Return the exposure held in each bar, decided at the close before, and how much of it changed at its close."""
    held: list[Array] = []
    turnover: list[Array] = []
    before: _Part | None = None
    for part in parts:
        carried = 0.0
        if before is not None and part.follows(before):
            carried = before.positions[-1]
        elif before is not None:
            turnover[-1][-1] += abs(before.positions[-1])
        path = np.concatenate([[carried], part.positions])
        held.append(path[:-1])
        turnover.append(np.abs(np.diff(path)))
        before = part
    return np.concatenate(held), np.concatenate(turnover)


def _report(
    rows: Array,
    parts: Sequence[_Part],
    held_out: float,
    plan: tuple[Fold, ...],
    refused: tuple[str, ...],
    options: WalkForwardOptions,
) -> WalkForwardReport:
    index = np.concatenate([part.index for part in parts])
    positions = np.concatenate([part.positions for part in parts])
    width = max(part.posteriors.shape[1] for part in parts)
    posteriors = np.concatenate(
        [np.pad(part.posteriors, ((0, 0), (0, width - part.posteriors.shape[1]))) for part in parts]
    )
    market = np.expm1(np.nan_to_num(rows[:, FEATURES.index("log_return")]))
    earned = market[index]
    held, turnover = _held_and_turnover(parts)
    returns = held * earned - turnover * options.cost_bps / 10_000.0
    return WalkForwardReport(
        index=index,
        positions=positions,
        returns=returns,
        market_returns=earned,
        posteriors=posteriors,
        held_out_log_likelihood=held_out,
        strategy=performance(returns, held, options.bars_per_year),
        buy_and_hold=performance(earned, np.ones(len(earned)), options.bars_per_year),
        folds=plan,
        refused=refused,
    )
