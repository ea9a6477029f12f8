"""The research half from the command line: each command materialises the same assets that the schedules run."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestration.cli.dagster_run import follow
from orchestration.cli.layout import ENGINE_URL, ROOT, Home
from orchestration.cli.operate import EngineOption
from orchestration.cli.preflight import require_home, require_research_configuration
from orchestration.cli.processes import child_environment
from orchestration.cli.simulated import market_variables

HomeOption = Annotated[Path | None, typer.Option("--home", help="Data folder (NHMM_HOME, else ./data).")]
_DAY = "%Y-%m-%d"


def backfill(
    first: Annotated[str | None, typer.Option("--from", help="First day, YYYY-MM-DD (yesterday).")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day, YYYY-MM-DD (today).")] = None,
    home: HomeOption = None,
) -> None:
    """Fetch the bars that are missing, check them and compute their features."""
    today = datetime.now(UTC).date()
    start = _day(first, "--from") or (today - timedelta(days=1)).strftime(_DAY)
    end = _day(last, "--to") or today.strftime(_DAY)
    if start > end:
        raise typer.BadParameter(f"--from {start} lies after --to {end}")
    _materialise(home, "universe")
    _materialise(home, "bars,features", f"{start}...{end}")


def train(
    bars: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Train on this Parquet file of bars instead.")
    ] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="With --bars: symbol, again for more (all).")] = None,
    first: Annotated[str | None, typer.Option("--from", help="With --bars: first open, ISO time or ms.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="With --bars: end, exclusive, ISO time or ms.")] = None,
    out: Annotated[Path | None, typer.Option(help="With --bars: new folder for the model.")] = None,
    kind: Annotated[str, typer.Option(help="With --bars: gaussian_hmm, jump or h2.")] = "gaussian_hmm",
    states: Annotated[str, typer.Option(help="With --bars: number of regimes, or auto.")] = "auto",
    covariance: Annotated[
        str | None, typer.Option(help="With --bars: diag, or full: features move together within a regime (diag).")
    ] = None,
    starts: Annotated[
        int | None, typer.Option(min=1, max=50, help="With --bars: random starts of each fit (10); not for jump.")
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="With --bars: model folder whose order of regimes is kept."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="With --bars: seed of every random start.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="With --bars: the result as JSON on the last line.")] = False,
    home: HomeOption = None,
) -> None:
    """Fit the regime models on the stored features, or on a file of bars; the result is a candidate."""
    if bars is None:
        if symbol or first or last or out or as_json or covariance or starts or previous:
            raise typer.BadParameter(
                "--symbol, --from, --to, --out, --covariance, --starts, --previous and --json go with --bars"
            )
        _materialise(home, "training")
        return
    from orchestration.cli import bar_files, train_files  # noqa: PLC0415  # loads data frames only when asked

    if out is None:
        raise typer.BadParameter("--bars needs --out, a new folder for the model")
    raise typer.Exit(
        train_files.run(
            train_files.TrainOptions(
                bars=bars,
                symbols=tuple(symbol or ()),
                first_ms=bar_files.parse_time(first, "--from"),
                last_ms=bar_files.parse_time(last, "--to"),
                out=out,
                kind=train_files.parse_kind(kind),
                states=train_files.parse_states(states),
                covariance=train_files.parse_covariance(covariance, kind),
                starts=train_files.parse_starts(starts, kind),
                previous=previous,
                seed=seed,
                as_json=as_json,
            )
        )
    )


def evaluate(
    model: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="With --bars: folder made by nhmm train.")
    ] = None,
    bars: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Judge a folder on this Parquet file of bars instead."),
    ] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="With --bars: symbol, again for more (all).")] = None,
    folds: Annotated[int, typer.Option(min=1, max=50, help="With --bars: walk-forward folds.")] = 3,
    purge: Annotated[int, typer.Option(min=0, help="With --bars: bars before each fold that are not trained on.")] = 60,
    embargo: Annotated[int, typer.Option(min=0, help="With --bars: first bars of a fold that are not judged.")] = 20,
    cost_bps: Annotated[float, typer.Option(min=0, max=1000, help="With --bars: cost per unit of turnover.")] = 12.0,
    report: Annotated[Path | None, typer.Option(help="With --bars: HTML page to write.")] = None,
    register: Annotated[
        bool, typer.Option("--register", help="With --bars: make it a candidate in the data folder, for nhmm promote.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --bars: the result as JSON on the last line.")] = False,
    home: HomeOption = None,
) -> None:
    """Walk the candidate forward out of sample, against buy-and-hold, net of costs; or a folder on a file of bars."""
    if bars is None:
        if model or symbol or report or register or as_json:
            raise typer.BadParameter("--model, --symbol, --report, --register and --json go with --bars")
        _materialise(home, "evaluation")
        _report("evaluation", home)
        return
    from orchestration.cli import evaluate_files  # noqa: PLC0415  # loads data frames only when asked

    if model is None:
        raise typer.BadParameter("--bars needs --model, a folder made by nhmm train")
    raise typer.Exit(
        evaluate_files.run(
            evaluate_files.EvaluateOptions(
                model=model,
                bars=bars,
                symbols=tuple(symbol or ()),
                folds=folds,
                purge=purge,
                embargo=embargo,
                cost_bps=cost_bps,
                report=report,
                register=Home.resolve(home) if register else None,
                as_json=as_json,
            )
        )
    )


def promote(
    version: Annotated[str, typer.Option(help="An evaluated version (the one evaluated last).")] = "",
    approved_by: Annotated[str, typer.Option(help="Who approves, where the gates ask for a person; recorded.")] = "",
    home: HomeOption = None,
    engine_url: EngineOption = ENGINE_URL,
) -> None:
    """Put the candidate through the gates and, when it passes, hand it to the engine."""
    if version or approved_by:
        config = {"version": version, "approved_by": approved_by}
        _execute(home, "promotion_job", {"promotion": {"config": config}}, engine_url)
    else:
        _materialise(home, "promotion", engine_url=engine_url)
    _report("promotion", home)


def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    by: Annotated[str, typer.Option(help="Who; it is recorded.")] = "operator",
    home: HomeOption = None,
    engine_url: EngineOption = ENGINE_URL,
) -> None:
    """Make the previous champion the champion again, in the engine and in the registry."""
    _execute(home, "rollback_job", {"roll_back": {"config": {"by": by, "reason": reason}}}, engine_url)


def _report(what: str, given: Path | None) -> None:
    from orchestration.cli import research_report  # noqa: PLC0415  # loads data frames only when there is something

    research_report.print_newest(what, Home.resolve(given).warehouse)


def _day(text: str | None, option: str) -> str | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, _DAY).replace(tzinfo=UTC).strftime(_DAY)
    except ValueError:
        raise typer.BadParameter(f"{option} {text} is not a day written YYYY-MM-DD") from None


def _materialise(given: Path | None, selection: str, days: str | None = None, *, engine_url: str | None = None) -> None:
    """Materialise assets."""
    span = ["--partition-range", days] if days else []
    _dagster(given, ["asset", "materialize", "--select", selection, *span], engine_url)


def _execute(given: Path | None, job: str, ops: Mapping[str, Any], engine_url: str) -> None:
    """Execute a job with its configuration."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(json.dumps({"ops": ops}))  # every JSON document is YAML, which Dagster reads
        file.flush()
        _dagster(given, ["job", "execute", "-j", job, "--config", file.name], engine_url)


def _dagster(given: Path | None, words: list[str], engine_url: str | None = None) -> None:
    """Run Dagster's own command and tell what it does; ``engine_url`` is for those that speak to the engine.

    Raises:
        Refused: configuration or data folder do not allow it, or the job, an asset or one of its checks failed.
    """
    home = Home.resolve(given)
    given_here = market_variables(home) | ({"NHMM_ENGINE_URL": engine_url} if engine_url else {})
    require_research_configuration({**os.environ, **given_here})
    require_home(home)
    _prepare(home)
    environment = child_environment({"DAGSTER_HOME": str(home.dagster), "NHMM_HOME": str(home.path), **given_here})
    log = home.path / "logs" / f"{words[0]}-{words[1]}-{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
    follow([*words, "-m", "orchestration.definitions", "-d", str(ROOT)], environment, log)


def _prepare(home: Home) -> None:
    from orchestration.instance import write_instance_config  # noqa: PLC0415  # only where Dagster is about to run

    write_instance_config(home.path)
