"""What regimes are worth: both kinds of model, walked forward net of costs, beside what needs no model at all.

Everyone is judged on the same bars, decides at a close, earns from the next bar on and pays for every change. Figures
carry standard errors, and so does the difference to holding: a claim is what stays above them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from strategies.calibrated_fit import Calibrated
from strategies.contracts import Bar, Strategy
from strategies.features import FEATURES
from strategies.ma_cross import MovingAverageCross
from strategies.regime_policy import PolicyOptions
from strategies.regimes.agreement import adjusted_rand
from strategies.regimes.diagnostics import Lag, Score, lag, one_step_log_likelihood, realised_dwell, score
from strategies.regimes.filtering import filter_batch
from strategies.regimes.fit import FitOptions, FitRefused, FitReport, fit
from strategies.regimes.jump_fit import fit_jump
from strategies.regimes.model import GAUSSIAN_HMM, JUMP, RegimeModel
from strategies.research.baseline import BuyAndHold, VolatilityTarget
from strategies.research.metrics import Performance, performance
from strategies.research.walk_forward import Fitter, WalkForwardOptions, WalkForwardReport, folds, walk_forward

Array = NDArray[np.float64]

FITTERS: Mapping[str, Fitter] = {GAUSSIAN_HMM: Calibrated(fit), JUMP: Calibrated(fit_jump)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a kind of model is worth as a model, out of sample and on chains of its own.

    ``held_out`` is what it gains above one Gaussian for all training bars. ``refits`` is how far the models of
    neighbouring folds agree on the bars judged by the later one (adjusted Rand), ``refit_agreement`` how far the refits
    within the last fold's training span do.
    """

    held_out: Score
    lag: Lag
    dwell_bars: float
    refits: float
    refit_agreement: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One way of trading on the common bars. ``edge`` is its yearly mean return above holding, with standard error.

    ``net`` holds its simple returns per bar after costs, and ``held`` the exposure in each bar, both (T,).
    """

    name: str
    figures: Performance
    edge: float
    edge_se: float
    net: Array = field(repr=False)
    held: Array = field(repr=False)
    trust: Trust | None = None


@dataclass(slots=True)
class _Recorder:
    """A fitter that remembers what it made, by the number of rows it saw."""

    inner: Fitter
    made: dict[int, tuple[RegimeModel, FitReport]] = field(default_factory=dict)

    def __call__(
        self, rows: Array, open_at_ms: NDArray[np.int64], bar_ms: int, options: FitOptions
    ) -> tuple[RegimeModel, FitReport]:
        found = self.inner(rows, open_at_ms, bar_ms, options)
        self.made[len(rows)] = found
        return found


def judge(
    rows: Array,
    open_at_ms: NDArray[np.int64],
    bar_ms: int,
    fit_options: FitOptions,
    policy: PolicyOptions,
    options: WalkForwardOptions,
    others: Mapping[str, Array] | None = None,
) -> tuple[tuple[Judged, ...], dict[str, str]]:
    """Return everyone that could be judged on feature rows (T, 7) of one symbol, and why a kind of model could not.

    ``others`` are exposures (T,) by name, each decided at the close of its row, that are judged beside.

    Raises:
        FitRefused: there are too few bars for one fold (``TOO_FEW_BARS``), or none to judge (``NO_WHOLE_WINDOW``).
    """
    first = next(folds(len(rows), options)).test_from
    judged_bars = np.arange(first, len(rows))[np.isfinite(rows[first:]).all(axis=1)]
    if len(judged_bars) < 2:
        raise FitRefused("NO_WHOLE_WINDOW", "no bar to judge has whole windows; gaps stand too close together")
    walks: dict[str, tuple[WalkForwardReport, Trust]] = {}
    refused: dict[str, str] = {}
    for kind, fitter in FITTERS.items():
        recorder = _Recorder(fitter)
        try:
            report = walk_forward(rows, open_at_ms, bar_ms, fit_options, policy, options, recorder)
        except FitRefused as error:
            refused[kind] = str(error)
            continue
        walks[kind] = (report, _trust(rows, report, recorder.made))
    exposures = _plain_exposures(rows, first, bar_ms) | dict(others or {})
    held = {name: found[judged_bars] for name, found in exposures.items()}
    market = np.expm1(np.nan_to_num(rows[:, FEATURES.index("log_return")]))[judged_bars]
    hold = _net(held["buy_and_hold"], market, options.cost_bps)
    found = [
        _judged(name, _held(exposure), _net(exposure, market, options.cost_bps), hold, options.bars_per_year)
        for name, exposure in held.items()
    ]
    for kind, (report, trust) in walks.items():
        # A fold that could not be fitted holds nothing.
        exposure = np.zeros(len(rows))
        exposure[report.index] = report.positions
        held_now = exposure[judged_bars]
        net = _net(held_now, market, options.cost_bps)
        found.append(_judged(kind, _held(held_now), net, hold, options.bars_per_year, trust))
    return tuple(found), refused


def _net(exposure: Array, market: Array, cost_bps: float) -> Array:
    """Return simple returns, (T,), of exposures decided at each bar's close; the first bar is entered for its cost."""
    return np.asarray(_held(exposure) * market - np.abs(np.diff(exposure, prepend=0.0)) * cost_bps / 10_000.0)


def _held(exposure: Array) -> Array:
    """Return what is held in each bar: what was decided at the close before."""
    return np.concatenate([[0.0], exposure[:-1]])


def _judged(
    name: str, held: Array, net: Array, hold: Array, bars_per_year: float, trust: Trust | None = None
) -> Judged:
    above = net - hold
    return Judged(
        name=name,
        figures=performance(net, held, bars_per_year),
        edge=float(above.mean()) * bars_per_year,
        edge_se=float(above.std(ddof=1)) / math.sqrt(len(above)) * bars_per_year,
        net=net,
        held=held,
        trust=trust,
    )


def together(symbols: Sequence[Sequence[Judged]], bars_per_year: float) -> tuple[Judged, ...]:
    """Return everyone's portfolio of equal parts of all symbols, rebalanced every bar at no cost of its own.

    A symbol that someone could not be judged on holds nothing there.

    Raises:
        ValueError: there is no symbol, or the symbols were judged on different numbers of bars.
    """
    if not symbols or len({len(each.net) for one in symbols for each in one}) != 1:
        raise ValueError("a portfolio needs symbols that were judged on the same bars")
    names = dict.fromkeys(each.name for one in symbols for each in one)
    sums = {
        name: (
            sum((each.held for one in symbols for each in one if each.name == name), start=np.zeros(1)) / len(symbols),
            sum((each.net for one in symbols for each in one if each.name == name), start=np.zeros(1)) / len(symbols),
        )
        for name in names
    }
    hold = sums["buy_and_hold"][1]
    return tuple(_judged(name, held, net, hold, bars_per_year) for name, (held, net) in sums.items())


def _plain_exposures(rows: Array, known: int, bar_ms: int) -> dict[str, Array]:
    """Return the exposures, (T,), of strategies without a model.

    The volatility target is what the market had over the ``known`` bars before the first judged one.
    """
    returns = np.nan_to_num(rows[:, FEATURES.index("log_return")])
    yearly = float(returns[:known].std()) * math.sqrt(365 * 86_400_000 / bar_ms)
    strategies: dict[str, Strategy] = {
        "buy_and_hold": BuyAndHold(),
        "vol_target": VolatilityTarget(target=max(yearly, 1e-9)),
        "ma_cross": MovingAverageCross(),
    }
    closes = 100.0 * np.exp(np.cumsum(returns))
    return {name: _followed(strategy, closes, known, bar_ms) for name, strategy in strategies.items()}


def _followed(strategy: Strategy, closes: Array, known: int, bar_ms: int) -> Array:
    held = np.zeros(len(closes))
    now = 0.0
    for at, close in enumerate(closes.tolist()):
        bar = Bar(
            symbol="X",
            open_at_ms=at * bar_ms,
            close_at_ms=(at + 1) * bar_ms,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=1.0,
        )
        signal = strategy.on_bar(bar)
        if signal is not None:
            # Below its averages the crossover is out: spot cannot be sold short.
            now = max(0.0, signal.target)
        held[at] = now
    return held


def _trust(rows: Array, report: WalkForwardReport, made: Mapping[int, tuple[RegimeModel, FitReport]]) -> Trust:
    gains, named, agreements = [], [], []
    before: RegimeModel | None = None
    for fold in report.folds:
        if fold.train_to not in made:
            continue
        model, how = made[fold.train_to]
        test = rows[fold.test_from : fold.test_to]
        test = test[np.isfinite(test).all(axis=1)]
        gains.append(one_step_log_likelihood(model, test) - one_gaussian_log_density(model, test))
        named.append(filter_batch(model, test)[0].argmax(axis=1))
        if before is not None:
            agreements.append(adjusted_rand(filter_batch(before, test)[0].argmax(axis=1), named[-1]))
        before = model
    return Trust(
        held_out=score(np.concatenate(gains)),
        lag=lag(model, paths=4, bars=500),
        dwell_bars=realised_dwell(np.concatenate(named)),
        refits=float(np.mean(agreements)) if agreements else math.nan,
        refit_agreement=how.refit_agreement,
    )


def one_gaussian_log_density(model: RegimeModel, rows: Array) -> Array:
    """Return the log density, (T,), of one Gaussian over all training bars, in the same standard units."""
    standard = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    found: Array = -0.5 * (math.log(2.0 * math.pi) + standard**2).sum(axis=1)
    return found
