"""``docs/reliability.md``: its figures are written by the run that made them, never by hand."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.page import RELIABILITY, replace_block, rows_of
from tests.faults.rows import Outcome, Row

HEAD = ("| row | what must not happen | size | tried | failed | seconds | date |", "|---|---|---|---|---|---|---|")
BLOCK = "figures"


def write(
    done: Sequence[tuple[Row, Outcome, float]], order: Sequence[str], *, quick: bool, page: Path = RELIABILITY
) -> None:
    """Put the rows of a run into the page; rows that were not run keep their line and its date.

    Raises:
        ValueError: the page has no block for figures.
    """
    kept = rows_of(page, BLOCK)
    for row, outcome, seconds in done:
        figures = f"{outcome.tried:,} | {outcome.failed} | {seconds:.0f} | {datetime.now(UTC):%Y-%m-%d}"
        kept[row.name] = f"| `{row.name}` | {row.what} | {'quick' if quick else 'full'} | {figures} |"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [*HEAD, *(kept[name] for name in order if name in kept), "", f"On {machine}."]
    replace_block(page, BLOCK, lines)
