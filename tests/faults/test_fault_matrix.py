"""A few faults of the matrix, and the page that lists them all."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT
from tests.faults.fault_matrix import SCENARIOS, played
from tests.faults.page import HEAD, write
from tests.faults.registry import ROWS
from tests.faults.rows import Options, Outcome

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
LINE = re.compile(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
SAMPLE = ("disk full", "an event altered", "second engine", "connections refused")


@pytest.mark.slow
def test_a_sample_of_the_faults_ends_as_it_must(tmp_path: Path) -> None:
    chosen = [scenario for scenario in SCENARIOS if scenario.name in SAMPLE]
    assert len(chosen) == len(SAMPLE)
    outcome = asyncio.run(played(Options(folder=tmp_path, seed=5), chosen))
    assert (outcome.tried, outcome.failures) == (len(SAMPLE), [])


def test_the_page_lists_every_row_of_the_matrix_once_and_every_scenario_where_it_belongs() -> None:
    covered = {int(number): text for number, text in LINE.findall(PAGE)}
    assert list(covered) == list(range(1, 71))
    for scenario in SCENARIOS:
        for number in scenario.rows:
            assert f"“{scenario.name}”" in covered[number], scenario.name


def test_everything_that_the_page_names_exists() -> None:
    scenarios = {scenario.name for scenario in SCENARIOS}
    rows = {row.name for row in ROWS}
    tests = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    for _, text in LINE.findall(PAGE):
        for name in re.findall(r"“([^”]+)”", text):
            assert name in scenarios
        for name in re.findall(r"`([a-z_]+)`", text):
            assert name in rows
        for name in re.findall(r"`([a-z_]+\.py)`", text):
            assert name in tests


def test_figures_are_written_where_they_stand_and_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\n<!-- end of figures -->\nafter\n", encoding="utf-8")
    order = [row.name for row in ROWS]
    write([(ROWS[1], Outcome(tried=50), 3.2)], order, quick=True, page=page)
    write([(ROWS[0], Outcome(tried=200), 9.9)], order, quick=False, page=page)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert lines[2:4] == list(HEAD)
    assert "| full | 200 | 0 | 10 |" in lines[4]
    assert f"`{ROWS[1].name}`" in lines[5]
