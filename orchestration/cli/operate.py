"""Commands that ask a running engine, or read what it left on disk."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.variables import unknown_variables
from orchestration.cli.layout import ENGINE_URL, ROOT, Exit, Home, Refused
from orchestration.cli.preflight import require_configuration

if TYPE_CHECKING:
    from engine_service.client.client import EngineClient

HomeOption = Annotated[Path | None, typer.Option("--home", help="Data folder (NHMM_HOME, else ./data).")]
EngineOption = Annotated[str, typer.Option("--engine-url", envvar="NHMM_ENGINE_URL", help="The engine's address.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on the last line.")]
ConfigOption = Annotated[Path, typer.Option("--config", envvar="NHMM_CONFIG", help="Folder of the files.")]
DEFAULT_CONFIG = ROOT / "config"
ENGINE_MODULE = ("-m", "engine_service.main")

risk_app = typer.Typer(help="Read and change the risk limits of a running engine.", no_args_is_help=True)
config_app = typer.Typer(help="Show and check the configuration files.", no_args_is_help=True)


def reconcile(home: HomeOption = None, engine_url: EngineOption = ENGINE_URL, as_json: JsonOption = False) -> None:
    """Compare engine and venue now; exit 1 when differences stay."""
    with engine_client(home, engine_url, "trade") as client:
        report = client.reconcile()
    if as_json:
        print(json.dumps(report))
    else:
        table = Table("what", "value", title="Reconciliation")
        for key, value in report.items():
            table.add_row(key, json.dumps(value) if isinstance(value, list | dict) else str(value))
        Console().print(table)
    if report.get("breaks"):
        raise typer.Exit(Exit.FAILED)


@risk_app.command("show")
def risk_show(home: HomeOption = None, engine_url: EngineOption = ENGINE_URL) -> None:
    """Print the limits in force and their version."""
    with engine_client(home, engine_url, "read") as client:
        _print_limits(client.get_risk_config())


@risk_app.command("set")
def risk_set(
    changes: Annotated[list[str], typer.Argument(help="KEY=VALUE pairs, for example order_rate_per_min=60.")],
    reason: Annotated[str, typer.Option(help="Why; goes into the journal.")] = "changed from the command line",
    home: HomeOption = None,
    engine_url: EngineOption = ENGINE_URL,
) -> None:
    """Change limits of the running engine; journaled with who and why."""
    wanted = dict(_pair(change) for change in changes)
    with engine_client(home, engine_url, "admin") as client:
        _print_limits(client.put_risk_config(wanted, reason=reason))


@config_app.command("show")
def config_show(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Print every configuration file."""
    if not config.is_dir():
        raise Refused(f"{config} is not a folder of configuration files", Exit.CONFIGURATION)
    for path in sorted(config.glob("*.yaml")):
        Console().rule(str(path))
        print(path.read_text(encoding="utf-8").rstrip())


@config_app.command("check")
def config_check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Validate every file and NHMM_ variable; exit 4 names the file, key, value and allowed range."""
    require_configuration(ENGINE_MODULE, {"NHMM_CONFIG": str(config.resolve())})
    for unknown in unknown_variables(os.environ):
        print(f"nhmm: warning: {unknown}", file=sys.stderr)
    print("configuration ok")


@config_app.command("scrape-token")
def config_scrape_token(home: HomeOption = None) -> None:
    """Write the engine's read token alone into a file (0600) that Prometheus can use."""
    place = Home.resolve(home)
    if not place.tokens.exists():
        print(f"nhmm: no engine has run on {place.path}; start one: nhmm up", file=sys.stderr)
        raise typer.Exit(Exit.NOT_RUNNING)
    token = json.loads(place.tokens.read_text(encoding="utf-8"))["read"]
    path = place.engine / "scrape-token"
    path.touch(mode=0o600)
    path.write_text(token, encoding="utf-8")
    print(path)


@contextmanager
def engine_client(given: Path | None, engine_url: str, scope: str) -> Iterator[EngineClient]:
    """Yield a client of the running engine, with the token of ``scope`` from the data folder.

    Raises:
        typer.Exit: with 3 where no engine answers or the token file is not there, with 1 where it refuses.
    """
    from engine_service.client.client import EngineClient  # noqa: PLC0415  # the engine's door, only when asked
    from engine_service.client.errors import EngineClientError, EngineUnreachable  # noqa: PLC0415

    tokens = Home.resolve(given).tokens
    if not tokens.exists():
        print(f"nhmm: no engine has run on {tokens.parent.parent}; start one: nhmm up", file=sys.stderr)
        raise typer.Exit(Exit.NOT_RUNNING)
    token = json.loads(tokens.read_text(encoding="utf-8"))[scope]
    client = EngineClient(engine_url, token)
    try:
        yield client
    except EngineUnreachable as error:
        print(f"nhmm: no engine answers at {engine_url}: {error}; start one: nhmm up", file=sys.stderr)
        raise typer.Exit(Exit.NOT_RUNNING) from error
    except EngineClientError as error:
        print(f"nhmm: the engine refused: {error}", file=sys.stderr)
        raise typer.Exit(Exit.FAILED) from error
    finally:
        client.close()


def _pair(change: str) -> tuple[str, object]:
    key, found, value = change.partition("=")
    if not found or not key.strip():
        raise typer.BadParameter(f"{change!r} is not KEY=VALUE")
    text = value.strip()
    return key.strip(), {"true": True, "false": False}.get(text.lower(), text)


def _print_limits(config: dict[str, object]) -> None:
    table = Table("limit", "value")
    for key, value in config.items():
        table.add_row(key, str(value))
    Console().print(table)
