"""``nhmm evaluate --bars``: a trained folder judged out of sample on a file of recorded bars, without Dagster."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.fitting import WalkOutcome
from assets.intervals import utc
from assets.scoring import Curve
from assets.settings import YEAR_MS
from governance.model_card import ModelCard
from governance.model_folder import ModelUntrusted, read_model_folder
from orchestration.cli.bar_files import check_interval, read_bars, table_before, table_of
from orchestration.cli.layout import Exit, Home, Refused, written
from orchestration.cli.train_files import AUTO_STATES
from orchestration.cli.train_report import progress, table_console
from strategies.regime_policy import PolicyOptions
from strategies.regimes.bar_table import BarTable
from strategies.regimes.diagnostics import Lag, lag, realised_dwell
from strategies.regimes.hierarchy import H2, AnyModel, read_model
from strategies.regimes.model import ModelRefused, RegimeModel
from strategies.regimes.options import FitOptions, FitRefused
from strategies.research.after_training import AfterTraining, DriftSince, judge_after_training
from strategies.research.baseline import single_gaussian_log_likelihood
from strategies.research.economics import FITTERS
from strategies.research.lookahead import Leak
from strategies.research.lookahead_proof import check_scaler, cut, pipeline_of, prove, prove_table
from strategies.research.metrics import Performance
from strategies.research.walk_forward import WalkForwardOptions, WalkForwardReport, walk_forward

DAY_MS = 86_400_000
AFTER_TRAINING = "after training"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What the person asked for. ``register`` names the data folder that gets the candidate, if any does."""

    model: Path
    bars: Path
    symbols: tuple[str, ...]
    folds: int
    purge: int
    embargo: int
    cost_bps: float
    report: Path | None
    register: Home | None
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated:
    """One symbol: the look-ahead proof, the walk over the training span, and the model itself on later bars."""

    symbol: str
    model: AnyModel
    trained: BarTable
    leaks: tuple[Leak, ...]
    differs: str
    walk: WalkOutcome
    after: AfterTraining | None
    prices: dict[int, float]
    lag: Lag | None


def run(options: EvaluateOptions) -> int:
    """Judge, report and, where asked, register; return the exit code: 1 where a value knew its future.

    It is 4 where the bars are not those of the training and stand in their place; nothing is registered then.

    Raises:
        Refused: model, file or a symbol does not allow it.
    """
    began = time.perf_counter()
    console = table_console()
    try:
        bundle, card = read_model_folder(options.model)
    except ModelUntrusted as error:
        raise Refused(f"MODEL_UNTRUSTED: {error}", Exit.USAGE) from error
    wanted = {name.casefold(): name for name in options.symbols}
    names = [name for name in bundle["symbols"] if not wanted or name.casefold() in wanted]
    unknown = sorted(wanted[name] for name in wanted.keys() - {name.casefold() for name in names})
    if unknown or not names:
        held = ", ".join(bundle["symbols"]) or "none"
        raise Refused(f"SYMBOL_UNKNOWN: {', '.join(unknown)}; the model holds {held}", Exit.USAGE)
    with progress(console, "evaluating") as tell:
        found = [_evaluate(name, bundle["symbols"][name], card, options) for name in tell(names)]
    leaking = [one for one in found if one.leaks]
    result: dict[str, Any] = {"version": card.version, "kind": card.kind, "registered": None}
    result |= {"symbols": {one.symbol: figures(one) for one in found}, "refused": _refused(found)}
    differing = [one for one in found if one.differs]
    if options.register is not None and not leaking and not differing:
        from orchestration.cli.evaluate_register import register  # noqa: PLC0415  # loads tables only when asked

        result["registered"] = register(options.register, bundle, card, found)
    if options.report is not None:
        from orchestration.cli.evaluate_page import write_page  # noqa: PLC0415  # loads plots only when asked

        with written(options.report, "--report"):
            write_page(options.report, card, found)
    result["seconds"] = round(time.perf_counter() - began, 3)
    _show(console, card, found, result)
    if options.as_json:
        print(json.dumps(result), flush=True)
    if leaking:
        return Exit.FAILED
    return Exit.CONFIGURATION if differing else Exit.OK


def _evaluate(symbol: str, values: Any, card: ModelCard, options: EvaluateOptions) -> Evaluated:
    frame = read_bars(options.bars, (symbol,), None, None)
    try:
        model = read_model(values)
        table, _ = table_of(frame, drop_dead_tail=False)
        check_interval(table.bar_ms, card.interval)
        source = prove_table(lambda before_ms: table_before(frame, before_ms), table)
        scaler = check_scaler(table, model)
        leaks = (*source.leaks, *prove(table, pipeline_of(model)).leaks, *scaler.leaks)
    except (ModelRefused, FitRefused, ValueError) as refused:
        # Not 1, which says that a value knew its future.
        raise Refused(f"{symbol}: {refused}", Exit.CONFIGURATION) from refused
    trained = cut(table, int((table.open_ms < model.trained_to_ms).sum()))
    policy = PolicyOptions(round_trip_cost_bps=2 * options.cost_bps)
    year = YEAR_MS / table.bar_ms
    return Evaluated(
        symbol=symbol,
        model=model,
        trained=trained,
        leaks=leaks,
        differs=scaler.differs,
        walk=_walk(symbol, model, trained, card, policy, options),
        after=judge_after_training(model, table, policy, options.cost_bps, year),
        prices=dict(zip(table.open_ms.tolist(), table.close.tolist(), strict=True)),
        lag=lag(model) if isinstance(model, RegimeModel) else None,
    )


def _walk(
    symbol: str, model: AnyModel, trained: BarTable, card: ModelCard, policy: PolicyOptions, options: EvaluateOptions
) -> WalkOutcome:
    """Walk the model's way of fitting over the bars up to the end of its training."""
    if card.kind not in FITTERS:
        return WalkOutcome(symbol=symbol, refused=f"MODEL_KIND: a model of the kind {card.kind} is not walked forward")
    walk = WalkForwardOptions(
        folds=options.folds,
        train_share=0.5,
        purge=options.purge,
        embargo=options.embargo,
        cost_bps=options.cost_bps,
        bars_per_year=YEAR_MS / trained.bar_ms,
    )
    states = AUTO_STATES if model.count in AUTO_STATES else (model.count,)
    fit_options = FitOptions(
        candidates=states,
        seed=card.seed,
        covariance="full" if isinstance(model, RegimeModel) and model.full_covariance else "diag",
        starts=int(card.fits.get(symbol, {}).get("starts", FitOptions().starts)),
    )
    rows = trained.features()
    try:
        report = walk_forward(rows, trained.open_ms, trained.bar_ms, fit_options, policy, walk, FITTERS[card.kind])
    except FitRefused as refused:
        return WalkOutcome(symbol=symbol, refused=str(refused))
    single = single_gaussian_log_likelihood(rows, fit_options.features, walk)
    return WalkOutcome(symbol=symbol, report=report, likelihood_gain=report.held_out_log_likelihood - single)


# --- what is said -----------------------------------------------------------------------------------------------


def figures(one: Evaluated) -> dict[str, Any]:
    """Return one symbol's figures as JSON values."""
    walk, after = one.walk.report, one.after
    walked = None
    if walk is not None:
        walked = {
            "folds": len(walk.folds) - len(walk.refused),
            "folds_refused": list(walk.refused),
            **_performance(walk.strategy, walk.buy_and_hold, one.trained.bar_ms),
            "likelihood_gain": one.walk.likelihood_gain,
        }
    later = None
    if after is not None:
        later = {
            "from": int(after.open_ms[0]),
            "to": int(after.open_ms[-1]) + one.trained.bar_ms,
            **_performance(after.strategy, after.buy_and_hold, one.trained.bar_ms),
            "likelihood_gain": after.gain.nats_per_bar if after.gain else None,
            "likelihood_gain_se": after.gain.error if after.gain else None,
            "dwell_bars": realised_dwell(after.posteriors.argmax(axis=1)),
            "drift": _drift(after.drift) if after.drift else None,
        }
    leaks = [leak.column for leak in one.leaks]
    return {
        "leaks": leaks,
        "bars_differ": bool(one.differs),
        "walk_forward": walked,
        "after_training": later,
        "lag": _lag(one.lag) if one.lag else None,
    }


def _drift(found: DriftSince) -> dict[str, Any]:
    return {
        "since": found.since_ms,
        "highest": float(found.sums.max()),
        "threshold": found.threshold,
        "calibration_error": found.calibration_error,
    }


def _lag(found: Lag) -> dict[str, Any]:
    """Return how late the filter is on chains drawn from the model; a chain that never changed has no lag."""
    bars = found.bars if math.isfinite(found.bars) else None
    return {"bars": bars, "missed_frac": found.missed_frac, "agreement": found.agreement}


def trust_told(shown: Mapping[str, Any]) -> str:
    """Say in one line what is known of a symbol's model beside its money."""
    told = []
    if (late := shown["lag"]) is not None and late["bars"] is not None:
        missed = f"and misses {late['missed_frac']:.0%}"
        told.append(f"on chains of its own it notices a change after {late['bars']:.1f} bars {missed}")
    after = shown["after_training"]
    if after is not None:
        told.append(f"after training a regime lasted {after['dwell_bars']:.1f} bars")
    if after is not None and (drift := after["drift"]) is not None:
        at = "none" if drift["since"] is None else f"since {utc(drift['since']):%Y-%m-%d %H:%M} UTC"
        told.append(f"drift {at} (highest {drift['highest']:.0f}, alarm at {drift['threshold']:.0f})")
        told.append(f"forecast ranks off by {drift['calibration_error']:.3f}")
    return "; ".join(told) or "nothing can be said of this kind of model"


def _performance(ours: Performance, hold: Performance, bar_ms: int) -> dict[str, Any]:
    return {
        "bars": ours.bars,
        "sharpe": ours.sharpe,
        "sharpe_se": ours.sharpe_se,
        "total_return": ours.total_return,
        "hold_return": hold.total_return,
        "hold_sharpe": hold.sharpe,
        "max_drawdown": ours.max_drawdown,
        "turnover_per_day": ours.turnover * DAY_MS / bar_ms,
        "exposure": ours.exposure,
        "trades": ours.trades,
    }


def _refused(found: Sequence[Evaluated]) -> dict[str, str]:
    return {one.symbol: one.walk.refused for one in found if one.walk.refused}


def curves(one: Evaluated) -> Iterator[tuple[str, Curve, NDArray[np.float64]]]:
    """Yield a name, the curve and the posteriors of each way in which a symbol was judged."""
    walk, after = one.walk.report, one.after
    if walk is not None:
        at = one.trained.open_ms[walk.index]
        yield "walk-forward", _curve(at, walk), walk.posteriors
    if after is not None:
        yield AFTER_TRAINING, _curve(after.open_ms, after), after.posteriors


def _curve(open_ms: NDArray[np.int64], judged: WalkForwardReport | AfterTraining) -> Curve:
    return Curve(
        open_ms=open_ms,
        returns=judged.returns,
        hold_returns=judged.market_returns,
        positions=judged.positions,
    )


def _show(console: Console, card: ModelCard, found: Sequence[Evaluated], result: dict[str, Any]) -> None:
    title = f"{card.version} ({card.kind}), net of costs; each Sharpe ratio with its standard error"
    told = ("Sharpe", "return", "held", "deepest fall", "turnover a day", "trades", "nats gained")
    table = Table("symbol", "judged", "bars", *told, title=title)
    for one in found:
        for way in ("walk_forward", "after_training"):
            row = result["symbols"][one.symbol][way]
            if row is not None:
                table.add_row(one.symbol, way.replace("_", " "), *_cells(row))
    console.print(table)
    for one in found:
        for leak in one.leaks:
            console.print(f"[bold]LEAK[/bold] {one.symbol} {leak.column}: {leak.difference}")
        if one.differs:
            console.print(f"{one.symbol}: {one.differs}")
        console.print(f"{one.symbol}: {trust_told(result['symbols'][one.symbol])}")
        if result["symbols"][one.symbol]["after_training"] is None:
            console.print(f"{one.symbol}: the file ends with the training; nothing later to judge")
    for symbol, reason in result["refused"].items():
        console.print(f"{symbol} was not walked forward: {reason}")
    if result["registered"] and card.kind == H2:
        console.print(f"{result['registered']} is registered: POST /infer_h2 reads it; no engine trades two levels yet")
    elif result["registered"]:
        console.print(f"candidate {result['registered']} is registered; nhmm promote puts it through the gates")


def _cells(row: dict[str, Any]) -> list[str]:
    gain = row["likelihood_gain"]
    return [
        f"{row['bars']:,}",
        f"{row['sharpe']:.2f} ± {row['sharpe_se']:.2f}",
        f"{row['total_return']:+.2%}",
        f"{row['hold_return']:+.2%}",
        f"{row['max_drawdown']:.2%}",
        f"{row['turnover_per_day']:.2f}",
        f"{row['trades']:,}",
        "" if gain is None else f"{gain:+.3f}",
    ]
