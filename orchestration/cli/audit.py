"""``nhmm audit``: prove that what an engine wrote is what it wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.layout import Home
from orchestration.cli.processes import child_environment

HomeOption = Annotated[Path | None, typer.Option("--home", help="Data folder (NHMM_HOME, else ./data).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on the last line.")]
KeyOption = Annotated[Path | None, typer.Option("--key", help="The journal's root key, where it is kept elsewhere.")]
CheckpointsOption = Annotated[
    Path | None,
    typer.Option("--checkpoints", help="The checkpoints, where they are kept elsewhere (NHMM_CHECKPOINT_FILE)."),
]

app = typer.Typer(help="Prove that the journal, its checkpoints and the audit log are whole.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """Prove that the journal, its checkpoints and the audit log are whole."""


@app.command("verify")
def verify(
    home: HomeOption = None,
    key: KeyOption = None,
    checkpoints: CheckpointsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every row, checkpoint and line: exit 0 clean, 1 corrupt (first bad sequence and kind), 2 unreadable."""
    options = ["--home", str(Home.resolve(home).path)]
    options += [] if key is None else ["--key", str(key)]
    options += [] if checkpoints is None else ["--checkpoints", str(checkpoints)]
    options += ["--json"] if as_json else []
    raise typer.Exit(run_engine_tool("engine_service.storage.verify", options))


def run_engine_tool(module: str, options: list[str]) -> int:
    """Run one of the engine's own tools as a process of its own and return its exit code."""
    command = [sys.executable, "-m", module, *options]
    return subprocess.run(command, env=child_environment(), check=False).returncode
