"""Pages of figures: what was measured is put in, what was not keeps its line, and nothing beside the block moves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.benchmarks.page import RELIABILITY, SPEED, Aim, replace_block, rows_of, write_rows
from tests.benchmarks.row import Row

AIMS = {"quick": Aim("a peer", ">= 2"), "slow": Aim("what is promised", "<= 1")}
MACHINE = (("machine", "M 1"), ("load before", "9"), ("python", "3"))
PAGE = "before\n<!-- speed -->\n<!-- end of speed -->\nafter\n"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def test_rows_stand_in_the_order_of_the_aims_whenever_they_were_measured(page: Path) -> None:
    write_rows({"slow": Row(3.0, 4.0, "s")}, AIMS, MACHINE, page=page, block=SPEED)
    older = rows_of(page, SPEED)["slow"]
    write_rows({"quick": Row(4000.0, 1000.0, "1/s", "64 at once")}, AIMS, MACHINE, page=page, block=SPEED, notes=True)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    assert rows_of(page, SPEED) == {
        "quick": f"| `quick` | a peer (64 at once) | 4,000 | 1,000 | 1/s | 4 | >= 2 | {day} |",
        "slow": older,
    }
    assert list(rows_of(page, SPEED)) == ["quick", "slow"]
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- speed -->\n| row |")
    assert text.endswith("\n\nOn: machine M 1, python 3.\n<!-- end of speed -->\nafter\n")


def test_a_page_without_the_block_is_left_alone(page: Path) -> None:
    with pytest.raises(ValueError, match="no block other"):
        replace_block(page, "other", ["x"])
    assert page.read_text(encoding="utf-8") == PAGE


def test_the_page_of_the_product_has_the_block() -> None:
    assert rows_of(RELIABILITY, SPEED) is not None
