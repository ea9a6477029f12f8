"""``docs/reliability.md``: its figures are written by the run that made them, never by hand."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.rows import Outcome, Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
HEAD = ("| row | what must not happen | size | tried | failed | seconds | date |", "|---|---|---|---|---|---|---|")
_BLOCK = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)


def write(done: Sequence[tuple[Row, Outcome, float]], order: Sequence[str], *, quick: bool, page: Path = PAGE) -> None:
    """Put the rows of a run into the page; rows that were not run keep their line and its date.

    Raises:
        ValueError: the page has no block for figures.
    """
    text = page.read_text(encoding="utf-8")
    block = _BLOCK.search(text)
    if block is None:
        raise ValueError(f"{page} has no block for figures")
    kept = {line.split("|")[1].strip(" `"): line for line in block.group(0).splitlines() if line.startswith("| `")}
    for row, outcome, seconds in done:
        figures = f"{outcome.tried:,} | {outcome.failed} | {seconds:.0f} | {datetime.now(UTC):%Y-%m-%d}"
        kept[row.name] = f"| `{row.name}` | {row.what} | {'quick' if quick else 'full'} | {figures} |"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [*HEAD, *(kept[name] for name in order if name in kept), "", f"On {machine}."]
    page.write_text(_BLOCK.sub(lambda _: "\n".join(lines) + "\n", text, count=1), encoding="utf-8")
