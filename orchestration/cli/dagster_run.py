"""One run of Dagster's own command as a person follows it: a line a step, what each said, and on failure the cause.

Everything Dagster writes goes to a file; what a person sees is told from it, so that a failure ends in one line with
a way out instead of a stack.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from orchestration.cli.layout import Exit, Refused

_LINE: Final = re.compile(r"^\S+ \S+ \S+ - dagster - (?P<level>[A-Z]+) - \S+ - (?P<run>[0-9a-f-]{36}) - (?P<rest>.*)$")
_STEP: Final = re.compile(r"^(?:\d+ - )?(?P<step>[^ ]+) - (?P<event>[A-Z_]{4,}) - (?P<words>.*)$")
_SAID: Final = re.compile(r"^(?P<step>[^ ]+) - (?P<words>.*)$")
#: The line that names an exception: its class with the package, and its words.
_CAUSE: Final = re.compile(r"^(?P<package>[A-Za-z_][\w.]*)\.(?P<kind>[A-Z]\w*): (?P<words>.*)$")
_FRAME: Final = "dagster._core.errors."
#: Of Dagster's own errors the one that says what happened.
_CHECK_FAILED: Final = "DagsterAssetCheckFailedError"
_UNTIMED: Final = "?"

#: What to do about a cause whose own words do not say it, and how the command then ends.
WAYS_OUT: Final[Mapping[str, tuple[str, Exit]]] = {
    "NothingToEvaluate": ("train a model first: nhmm train", Exit.FAILED),
    "NotEvaluated": ("evaluate the newest model first: nhmm evaluate", Exit.FAILED),
    "NothingTrained": ("see what each symbol lacks in the log; more days help: nhmm backfill --from DAY", Exit.FAILED),
    "NoChampion": ("only a champion with a predecessor can be rolled back: nhmm promote", Exit.FAILED),
    "ModelUntrusted": ("the model's files were changed: train it again: nhmm train", Exit.FAILED),
    "EngineNotStarted": ("", Exit.NOT_RUNNING),
    "AccessRefused": (
        "is it the engine of this data folder? --engine-url or NHMM_ENGINE_URL names another",
        Exit.FAILED,
    ),
    "EngineUnreachable": ("start the engine: nhmm up", Exit.NOT_RUNNING),
    _CHECK_FAILED: ("the asset's page, tab Checks, shows the rows; docs/runbooks/check-failed.md", Exit.FAILED),
    "ConnectError": ("is it running? nhmm up starts engine and exchange; nhmm doctor looks", Exit.NOT_RUNNING),
    "VenueUnavailable": ("is NHMM_VENUE_URL right, and the venue up? nhmm doctor looks", Exit.NOT_RUNNING),
}


@dataclass(slots=True)
class Follower:
    """Reads Dagster's lines and tells them on ``console``; keeps the first cause of a failure."""

    console: Console
    run_id: str = ""
    failed_step: str = ""
    cause: tuple[str, str] | None = None
    _began_s: dict[str, float] = field(default_factory=dict)

    def read(self, line: str) -> None:
        """Take one line of Dagster's log."""
        match = _LINE.match(line)
        if match is None:
            self._look_for_cause(line)
            return
        self.run_id = match["run"]
        event = _STEP.match(match["rest"])
        if event is not None:
            self._tell(event["step"], event["event"])
        elif match["level"] in ("INFO", "WARNING") and (said := _SAID.match(match["rest"])):
            self.console.print(f"  {said['step']}: {said['words']}", markup=False, highlight=False)

    def running(self) -> str:
        """Return the steps under way, for a progress line."""
        return ", ".join(self._began_s) or "starting"

    def _tell(self, step: str, event: str) -> None:
        if event == "STEP_START":
            self._began_s[step] = time.monotonic()
        elif event == "STEP_SUCCESS":
            self.console.print(f"✓ {step} {self._lasted(step)}", markup=False, highlight=False)
        elif event == "STEP_UP_FOR_RETRY":
            self.console.print(f"… {step} failed after {self._lasted(step)}, trying again", markup=False)
        elif event == "STEP_FAILURE":
            self.failed_step = self.failed_step or step
            self.console.print(f"✗ {step} {self._lasted(step)}", markup=False, highlight=False)

    def _lasted(self, step: str) -> str:
        began_s = self._began_s.pop(step, None)
        return _UNTIMED if began_s is None else f"{time.monotonic() - began_s:.1f} s"

    def _look_for_cause(self, line: str) -> None:
        found = _CAUSE.match(line.strip())
        if found is None:
            return
        if found["kind"] == _CHECK_FAILED or not line.strip().startswith(_FRAME):
            # Dagster prints the outermost first; the innermost is what happened.
            self.cause = (found["kind"], found["words"])


def follow(words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Run ``python -m dagster`` with these words and follow it to its end.

    Args:
        log: file that keeps everything Dagster writes.

    Raises:
        Refused: it failed; says the cause, the way out and where the log is.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # On the error channel: what a command prints for scripts stays alone on standard output.
    console = Console(stderr=True)
    follower = Follower(console)
    command = [sys.executable, "-m", "dagster", *words]
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as child,
        console.status("starting Dagster") as status,
    ):
        for line in child.stdout or ():
            kept.write(line)
            follower.read(line.rstrip("\n"))
            status.update(follower.running())
    if child.returncode != 0:
        raise failure(follower, log)


def failure(follower: Follower, log: Path) -> Refused:
    """Return what a failed run ends with: the cause, what to do about it, and where everything stands."""
    where = f"everything it said: {log}"
    if follower.cause is None:
        what = f"{follower.failed_step} failed" if follower.failed_step else "Dagster ended before a step began"
        return Refused(f"{what}; {where}")
    kind, words = follower.cause
    way_out, code = WAYS_OUT.get(kind, ("", Exit.FAILED))
    return Refused("; ".join(part for part in (f"{kind}: {words}", way_out, where) if part), code)
