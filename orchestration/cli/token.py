"""``nhmm token``: named callers of the engine, each with a token of its own that can expire and be revoked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.layout import Home
from orchestration.cli.operate import ENGINE_MODULE, HomeOption
from orchestration.cli.processes import child_environment

app = typer.Typer(help="Issue and revoke tokens of named callers.", no_args_is_help=True)


@app.command()
def issue(
    name: Annotated[str, typer.Argument(help="Who: a-z, 0-9 and -.")],
    scope: Annotated[str, typer.Option(help="read, trade, admin; cancel or metrics alone.")] = "read",
    days: Annotated[int, typer.Option(min=0, max=3650, help="How long it counts; 0 for ever.")] = 90,
    home: HomeOption = None,
) -> None:
    """Print a new token, once: only its digest is kept. A running engine knows it within a second."""
    _ask(Home.resolve(home).path, "--issue-token", name, "--scope", scope, "--days", str(days))


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Who is let in no more.")],
    home: HomeOption = None,
) -> None:
    """Let a caller in no more, also on connections that stand."""
    _ask(Home.resolve(home).path, "--revoke-token", name)


def _ask(home: Path, *words: str) -> None:
    # A token is revoked in a hurry, from wherever one stands: the engine's code is found from any folder.
    command = [sys.executable, *ENGINE_MODULE, "--home", str(home), *words]
    done = subprocess.run(command, env=child_environment(), check=False)
    raise typer.Exit(done.returncode)
