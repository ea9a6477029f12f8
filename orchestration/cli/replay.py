"""``nhmm replay``: what the journal alone leads to, beside what ran live."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.cli.audit import HomeOption, JsonOption, run_engine_tool
from orchestration.cli.layout import Home


def replay(
    home: HomeOption = None,
    until: Annotated[int | None, typer.Option(min=1, help="Stop after this event.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Replay the journal from its first event: exit 0 equal to the live state, 1 different, 2 unreadable."""
    options = ["--home", str(Home.resolve(home).path)]
    options += [] if until is None else ["--until", str(until)]
    options += ["--json"] if as_json else []
    raise typer.Exit(run_engine_tool("engine_service.storage.replay", options))
