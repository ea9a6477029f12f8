"""Pages whose figures are written by the command that measured them: a block between two marks, one line a row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmarks.row import Row

RELIABILITY: Final = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
SPEED: Final = "speed"
HEAD: Final = (
    "| row | against | ours | peer | unit | ratio | goal | measured |",
    "|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a row is measured against, and the ratio that is aimed at, empty where there is none."""

    against: str
    goal: str = ""


def write_rows(
    measured: Mapping[str, Row],
    aims: Mapping[str, Aim],
    machine: Sequence[tuple[str, str]],
    *,
    page: Path,
    block: str,
    notes: bool = False,
) -> None:
    """Put measured rows into a page's block, in the order of the aims; a row not measured now keeps its line and date.

    Raises:
        ValueError: the page has no such block.
    """
    kept = rows_of(page, block)
    for name, row in measured.items():
        aim = aims.get(name, Aim(row.note))
        against = f"{aim.against} ({row.note})" if notes and row.note and name in aims else aim.against
        figures = f"{short(row.ours)} | {short(row.peer)} | {row.unit} | {short(row.ratio)} | {aim.goal}"
        kept[name] = f"| `{name}` | {against} | {figures} | {datetime.now(UTC):%Y-%m-%d} |"
    order = [*(name for name in aims if name in kept), *sorted(kept.keys() - aims.keys())]
    foot = ", ".join(f"{name} {value}" for name, value in machine if name in {"machine", "python"})
    replace_block(page, block, [*HEAD, *(kept[name] for name in order), "", f"On: {foot}."])


def short(value: float) -> str:
    """Return a figure to three digits, thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rows_of(page: Path, block: str) -> dict[str, str]:
    """Return the lines of a block's table by the names of their rows.

    Raises:
        ValueError: the page has no such block.
    """
    lines = _found(page.read_text(encoding="utf-8"), block).group(0).splitlines()
    return {line.split("|")[1].strip(" `"): line for line in lines if line.startswith("| `")}


def replace_block(page: Path, block: str, lines: Sequence[str]) -> None:
    """Put lines between a block's two marks.

    Raises:
        ValueError: the page has no such block.
    """
    text = page.read_text(encoding="utf-8")
    found = _found(text, block)
    page.write_text(text[: found.start()] + "\n".join(lines) + "\n" + text[found.end() :], encoding="utf-8")


def _found(text: str, block: str) -> re.Match[str]:
    found = re.search(rf"(?<=<!-- {block} -->\n).*?(?=<!-- end of {block} -->)", text, re.DOTALL)
    if found is None:
        raise ValueError(f"the page has no block {block}")
    return found
