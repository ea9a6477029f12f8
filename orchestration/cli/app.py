"""The ``nhmm`` command: one word for each thing a person does. Each command loads only what it needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestration.cli import audit, economics, lookahead, operate, regimes, replay, research, token
from orchestration.cli.backtest import backtest as backtest_command
from orchestration.cli.layout import (
    CODE_SERVER_PORT,
    DAGSTER_PORT,
    ENGINE_PORT,
    EXCHANGE_PORT,
    Exit,
    Home,
    Ports,
    Refused,
)
from orchestration.cli.processes import ProcessFailed, child_environment
from orchestration.cli.sweep import sweep as sweep_command

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    name="nhmm",
    help="Nautilus HMM: regimes, risk rails and real venues. Paper money unless you choose otherwise.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(audit.app, name="audit")
app.add_typer(operate.risk_app, name="risk")
app.add_typer(operate.config_app, name="config")
app.add_typer(token.app, name="token")


def _port(text: str) -> Any:
    """Return the option of one port."""
    return typer.Option(min=1, max=65535, help=text)


HomeOption = Annotated[Path | None, typer.Option("--home", help="Data folder (NHMM_HOME, else ./data).")]


@app.command()
def demo(
    seconds: Annotated[int, typer.Option(min=20, max=3600, help="How long it trades.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated market.")] = 7,
    bars: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Replay recorded bars.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on the last line.")] = False,
    home: HomeOption = None,
) -> None:
    """Run the main job end to end against the simulated exchange, then report."""
    from orchestration.cli import demo_run  # noqa: PLC0415  # loads plotting and HTTP only when asked

    options = demo_run.DemoOptions(seconds=seconds, seed=seed, bars=bars, keep=keep, as_json=as_json)
    raise typer.Exit(demo_run.run(options, Home.resolve(home)))


@app.command()
def up(
    venue: Annotated[
        str | None, typer.Option(help="binance, binance-futures or paper; none: the simulated exchange.")
    ] = None,
    venue_url: Annotated[str | None, typer.Option(help="Replaces every host of the venue.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated market.")] = 7,
    interval: Annotated[
        str | None, typer.Option(help="Bar length, e.g. 1m: that of the models. Simulated: 1s, else as configured.")
    ] = None,
    engine_port: Annotated[int, _port("The engine's port.")] = ENGINE_PORT,
    exchange_port: Annotated[int, _port("The simulated exchange's port.")] = EXCHANGE_PORT,
    web_port: Annotated[int, _port("Port of Dagster's web page.")] = DAGSTER_PORT,
    code_server_port: Annotated[int, _port("Port of Dagster's code server.")] = CODE_SERVER_PORT,
    home: HomeOption = None,
) -> None:
    """Run engine, Dagster and (without another venue) the simulated exchange until Ctrl-C."""
    from orchestration.cli import up as up_run  # noqa: PLC0415  # as above

    ports = Ports(exchange_port, engine_port, web_port, code_server_port)
    options = up_run.UpOptions(venue=venue, venue_url=venue_url, seed=seed, ports=ports, interval=interval)
    raise typer.Exit(up_run.run(options, Home.resolve(home)))


@app.command(context_settings=PASS_ON, add_help_option=False)
def engine(context: typer.Context) -> None:
    """Run the trading engine alone (all its options: nhmm engine --help)."""
    _become(["-m", "engine_service.main", *context.args])


@app.command(context_settings=PASS_ON, add_help_option=False)
def exporter(context: typer.Context) -> None:
    """Run the engine's read-only twin: the same /metrics from the journal on port 9103 (--home, --port)."""
    _become(["-m", "engine_service.main", "--role", "exporter", *context.args])


@app.command(context_settings=PASS_ON, add_help_option=False)
def exchange(context: typer.Context) -> None:
    """Run the simulated exchange alone (all its options: nhmm exchange --help)."""
    _become(["-m", "engine_service.exchange_sim", *context.args])


@app.command(context_settings=PASS_ON, add_help_option=False)
def ops(context: typer.Context) -> None:
    """Run the ops API alone: models, training, promotion (all its options: nhmm ops --help)."""
    _become(["-m", "governance.ops_api.main", *context.args])


@app.command()
def dagster(
    port: Annotated[int, _port("Port of the web page.")] = DAGSTER_PORT,
    code_server_port: Annotated[int, _port("Port of the code server.")] = CODE_SERVER_PORT,
    home: HomeOption = None,
) -> None:
    """Run Dagster's code server, web page and daemon until Ctrl-C."""
    from orchestration.cli import up as up_run  # noqa: PLC0415  # as above

    raise typer.Exit(up_run.run_dagster(Home.resolve(home), Ports(web=port, code_server=code_server_port)))


@app.command()
def doctor(home: HomeOption = None) -> None:
    """Check Python, ports, disk, clock and configuration; say what to do about each failure."""
    from orchestration.cli import doctor as checks  # noqa: PLC0415  # as above

    raise typer.Exit(checks.run(Home.resolve(home), (ENGINE_PORT, EXCHANGE_PORT, DAGSTER_PORT, CODE_SERVER_PORT)))


app.command()(backtest_command)
app.command()(sweep_command)
app.command()(research.backfill)
app.command()(research.train)
app.command()(regimes.regimes)
app.command()(lookahead.lookahead)
app.command()(economics.economics)
app.command()(research.evaluate)
app.command()(research.promote)
app.command()(research.rollback)
app.command()(operate.reconcile)
app.command()(replay.replay)


def _become(arguments: list[str]) -> None:
    """Replace this process, so that signals and exit codes are the child's own."""
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *arguments], child_environment())  # noqa: S606  # no shell wanted


def main() -> int:
    """Run the command line; return the exit code."""
    try:
        app(prog_name="nhmm")
    except Refused as refusal:
        print(f"nhmm: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except ProcessFailed as failure:
        print(f"nhmm: {failure}", file=sys.stderr)
        return Exit.FAILED
    return Exit.OK
