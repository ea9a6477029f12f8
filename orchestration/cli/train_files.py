"""``nhmm train --bars``: a model from a file of recorded bars, written as a sealed folder, without Dagster."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from governance.model_card import ModelCard, content_version
from governance.model_folder import MODEL, write_model
from orchestration.cli.bar_files import check_interval, read_bars, table_of
from orchestration.cli.layout import Exit, Refused, written
from orchestration.cli.train_previous import NO_PREVIOUS, Previous, read_previous
from orchestration.cli.train_report import Trained, print_report, progress
from orchestration.environment import code_commit
from strategies.features import FEATURE_SCHEMA
from strategies.regime_policy import PolicyOptions
from strategies.regimes.bar_table import interval_of
from strategies.regimes.fit import FitReport
from strategies.regimes.model import GAUSSIAN_HMM, JUMP, MAX_REGIMES
from strategies.regimes.options import COVARIANCES, FitOptions, FitRefused
from strategies.regimes.training import KINDS, HierarchyOptions, train
from strategies.research.after_training import exposures_of

AUTO_STATES = (2, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What the person asked for. ``first_ms`` is inclusive, ``last_ms`` exclusive; ``states`` 0 means: choose.

    ``previous`` is the folder of a version whose order of regimes is kept.
    """

    bars: Path
    symbols: tuple[str, ...]
    first_ms: int | None
    last_ms: int | None
    out: Path
    kind: str
    states: int
    covariance: str
    starts: int
    previous: Path | None
    seed: int
    as_json: bool


def run(options: TrainOptions) -> int:
    """Train, write the folder and report; return the exit code.

    Raises:
        Refused: the file, a symbol or the folder does not allow it; nothing was written.
    """
    began = time.perf_counter()
    console = Console(stderr=True, highlight=False)
    if (options.out / MODEL).exists():
        raise Refused(f"{options.out} holds a model already; models are never overwritten", Exit.USAGE)
    frame = read_bars(options.bars, options.symbols, options.first_ms, options.last_ms)
    symbols = frame.get_column("symbol").unique(maintain_order=True).to_list()
    opens = frame.get_column("ts")
    span = (int(opens.min()), int(opens.max()))  # type: ignore[arg-type]  # never empty
    before = read_previous(options.previous, options.kind, symbols) if options.previous else NO_PREVIOUS
    with progress(console) as tell:
        fits = [
            _train_symbol(name, frame.filter(pl.col("symbol") == name), options, span, before) for name in tell(symbols)
        ]
    made = [fit for fit in fits if fit.model is not None]
    if not made:
        reasons = "; ".join(f"{fit.symbol}: {fit.refused}" for fit in fits)
        if options.as_json:
            print(json.dumps({"refused": {fit.symbol: fit.refused for fit in fits}}), flush=True)
        raise Refused(f"nothing was trained: {reasons}")
    card = _write(options, fits, made, before)
    result = _result(options, card, fits, made, before, time.perf_counter() - began)
    print_report(console, made, result)
    if options.as_json:
        print(json.dumps(result), flush=True)
    return Exit.OK


def parse_kind(text: str) -> str:
    """Return the kind of model asked for.

    Raises:
        Refused: there is no such kind.
    """
    if text not in KINDS:
        raise Refused(f"--kind {text}: one of {', '.join(KINDS)}", Exit.USAGE)
    return text


def parse_states(text: str) -> int:
    """Return the number of regimes asked for, 0 for ``auto``.

    Raises:
        Refused: it is neither ``auto`` nor 1 to 8.
    """
    if text == "auto":
        return 0
    if not text.isdecimal() or not 1 <= int(text) <= 8:
        raise Refused(f"--states {text}: auto, or a number from 1 to 8", Exit.USAGE)
    return int(text)


def parse_covariance(text: str | None, kind: str) -> str:
    """Return the form of the covariances asked for, ``diag`` where nothing was.

    Raises:
        Refused: there is no such form, or this kind of model does not have it.
    """
    if text is not None and text not in COVARIANCES:
        raise Refused(f"--covariance {text}: one of {', '.join(COVARIANCES)}", Exit.USAGE)
    if text == "full" and kind == JUMP:
        raise Refused(f"--covariance full: a {JUMP} model has variances alone; use --kind {GAUSSIAN_HMM}", Exit.USAGE)
    return text or "diag"


def parse_starts(count: int | None, kind: str) -> int:
    """Return the number of starts asked for, the fit's own where none was.

    Raises:
        Refused: the starts of this kind of model are fixed.
    """
    if count is not None and kind == JUMP:
        raise Refused(
            f"--starts {count}: the starts of a {JUMP} model are fixed; use --kind {GAUSSIAN_HMM}", Exit.USAGE
        )
    return count or FitOptions().starts


def _train_symbol(
    symbol: str, frame: pl.DataFrame, options: TrainOptions, span: tuple[int, int], before: Previous
) -> Trained:
    candidates = (options.states,) if options.states else AUTO_STATES
    fit_options = FitOptions(
        candidates=candidates, seed=options.seed, covariance=options.covariance, starts=options.starts
    )
    hierarchy = HierarchyOptions()
    if options.states:
        macro = tuple(count for count in hierarchy.macro if count * options.states <= MAX_REGIMES) or (2,)
        hierarchy = HierarchyOptions(macro=macro, micro=tuple(range(1, options.states + 1)))
    counts: dict[str, int] = {}
    try:
        table, counts = table_of(frame, drop_dead_tail=True)
        counts |= _beside_the_others(frame, span, table.bar_ms)
        if before.interval:
            check_interval(table.bar_ms, before.interval)
        model, report = train(options.kind, table, fit_options, before.model(symbol), hierarchy)
    except FitRefused as refused:
        odd = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return Trained(symbol=symbol, counts=counts, refused=f"{refused} ({odd})" if odd else str(refused))
    counts["warm_up"] = report.dropped_rows
    return Trained(symbol=symbol, table=table, counts=counts, model=model, report=report)


def _beside_the_others(frame: pl.DataFrame, span: tuple[int, int], bar_ms: int) -> dict[str, int]:
    """Return how many bars later a symbol begins than the first of the file, and how many earlier it ends."""
    times = frame.get_column("ts")
    return {
        "listed_late": (int(times.min()) - span[0]) // bar_ms,  # type: ignore[arg-type]  # never empty
        "ended_early": (span[1] - int(times.max())) // bar_ms,  # type: ignore[arg-type]  # as above
    }


def _write(options: TrainOptions, fits: list[Trained], made: list[Trained], before: Previous) -> ModelCard:
    models = {fit.symbol: fit.model.to_dict() for fit in made if fit.model}
    bar_ms = {fit.table.bar_ms for fit in made if fit.table}
    if len(bar_ms) != 1:
        raise Refused("BARS_INTERVAL: the symbols' bars differ in length; train them apart", Exit.USAGE)
    created = datetime.now(UTC).isoformat()
    card = ModelCard(
        version=content_version(models),
        kind=options.kind,
        created_at=created,
        interval=interval_of(bar_ms.pop()),
        feature_schema=FEATURE_SCHEMA,
        symbols=tuple(sorted(models)),
        training_from_ms=min(fit.model.trained_from_ms for fit in made if fit.model),
        training_to_ms=max(fit.model.trained_to_ms for fit in made if fit.model),
        bars=sum(fit.model.bars for fit in made if fit.model),
        data_hash=_file_hash(options.bars),
        code_commit=code_commit(),
        seed=options.seed,
        run_id="",
        parent=before.version,
        fits={fit.symbol: figures(fit.report) | _started(options) for fit in made if fit.report},
        dropped={fit.symbol: fit.refused for fit in fits if fit.refused},
        bars_dropped={fit.symbol: {name: n for name, n in (fit.counts or {}).items() if n} for fit in fits},
    )
    bundle = {
        "version": card.version,
        "kind": options.kind,
        "interval": card.interval,
        "feature_schema": FEATURE_SCHEMA,
        "created_at": created,
        "symbols": models,
    }
    with written(options.out / MODEL, "--out"):
        write_model(options.out, bundle, card)
    return card


def figures(report: FitReport) -> dict[str, float]:
    """Return a fit's figures for the model card; what is not a number is left out."""
    found = {
        "converged": float(report.converged),
        "iterations": float(report.iterations),
        "log_likelihood": report.log_likelihood,
        "bic": report.bic,
        "refit_agreement": report.refit_agreement,
        "min_occupancy": min(report.occupancy),
        "min_dwell": min(report.dwell_bars),
        "regimes": float(len(report.occupancy)),
        "gaps": float(report.gaps),
        **report.extra,
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _started(options: TrainOptions) -> dict[str, float]:
    """Return how many starts a fit had, for whoever fits it again to judge it."""
    return {} if options.kind == JUMP else {"starts": float(options.starts)}


def tried(report: FitReport | None) -> list[dict[str, float | None]]:
    """Return one row per number of regimes that was tried, as JSON values; what was not measured is empty."""
    rows = report.tried if report is not None else ()
    return [{name: value if math.isfinite(value) else None for name, value in row.items()} for row in rows]


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _result(
    options: TrainOptions,
    card: ModelCard,
    fits: list[Trained],
    made: list[Trained],
    before: Previous,
    seconds: float,
) -> dict[str, Any]:
    return {
        "version": card.version,
        "previous": before.version,
        "kind": card.kind,
        "interval": card.interval,
        "symbols": {
            fit.symbol: {
                "states": fit.model.count,
                "labels": list(fit.model.labels),
                "keeps_order": before.model(fit.symbol) is not None,
                "bars": fit.model.bars,
                "from": _iso(fit.model.trained_from_ms),
                "to": _iso(fit.model.trained_to_ms),
                **card.fits[fit.symbol],
                "exposures": exposures_of(fit.model, PolicyOptions()).tolist(),
                "tried": tried(fit.report),
                "dropped": dict(card.bars_dropped[fit.symbol]),
            }
            for fit in made
            if fit.model
        },
        "refused": {fit.symbol: fit.refused for fit in fits if fit.refused},
        "out": str(options.out),
        "seconds": round(seconds, 3),
    }


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
