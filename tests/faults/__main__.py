"""Break the engine in every way we know, and count: ``python -m tests.faults [--quick] [--only ROW ...] [--seed N]``.

Prints the table and ends with one JSON line, ``{row: {"tried": n, "failed": n}}``. Exit 1 when any trial failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults import page
from tests.faults.registry import ROWS
from tests.faults.rows import CannotRun, Options, Outcome, Row

SHOWN_PER_ROW = 10
LENGTH = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows asked for; return the exit code."""
    flags = _parse(arguments)
    rows = [row for row in ROWS if not flags.only or row.name in flags.only]
    console = Console(stderr=flags.json, highlight=False, width=160)
    done: list[tuple[Row, Outcome, float]] = []
    with ExitStack() as stack:
        folder = flags.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nhmm-faults-")))
        for row in rows:
            console.print(f"{row.name}: {row.what} ...", markup=False)
            options = Options(folder=folder / row.name, quick=flags.quick, seed=flags.seed)
            options.folder.mkdir(parents=True, exist_ok=True)
            began = time.monotonic()
            try:
                outcome = row.run(options)
            except CannotRun as reason:
                outcome = Outcome(tried=0, notes=f"not run: {reason}")
            done.append((row, outcome, time.monotonic() - began))
            _tell(console, row, outcome, flags.seed)
    console.print(_table(done, quick=flags.quick))
    if flags.write:
        page.write(done, [row.name for row in ROWS], quick=flags.quick)
    figures = {row.name: {"tried": outcome.tried, "failed": outcome.failed} for row, outcome, _ in done}
    print(json.dumps(figures), flush=True)
    return int(any(outcome.failed for _, outcome, _ in done))


def _tell(console: Console, row: Row, outcome: Outcome, seed: int) -> None:
    for failure in outcome.failures[:SHOWN_PER_ROW]:
        console.print(f"  FAILED {failure.subject}: {failure.detail[:LENGTH]}", markup=False)
    if outcome.failed:
        again = f"python -m tests.faults --only {row.name} --seed {seed}"
        console.print(f"  {outcome.failed} of {outcome.tried} failed; again: {again}", markup=False)


def _table(done: Sequence[tuple[Row, Outcome, float]], *, quick: bool) -> Table:
    table = Table(title=f"torture ({'quick' if quick else 'full'})", caption="failed: 0 is a pass")
    table.add_column("row")
    table.add_column("what")
    for name in ("tried", "failed", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("notes")
    for row, outcome, seconds in done:
        table.add_row(row.name, row.what, str(outcome.tried), str(outcome.failed), f"{seconds:.0f}", outcome.notes)
    return table


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Break the engine in every way we know, and count what broke."
    )
    parser.add_argument("--quick", action="store_true", help="the short column, about half an hour on two cores")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=[row.name for row in ROWS], help="these rows")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same things (1)")
    parser.add_argument("--json", action="store_true", help="nothing but the JSON line on standard output")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/reliability.md")
    parser.add_argument("--folder", type=Path, help="where homes and logs stay (a temporary folder)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
