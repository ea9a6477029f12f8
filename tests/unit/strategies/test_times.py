"""Times as people read them are times that options take."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration.cli.bar_files import parse_time
from strategies.times import lasting, told


@given(st.integers(0, 4_000_000_000_000))
@example(516_867)
def test_what_is_told_can_be_typed(at_ms: int) -> None:
    assert parse_time(told(at_ms), "--from") == at_ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [(900, "900 ms"), (5_400_000, "90 minutes"), (10_800_000_000, "125 days"), (179_000, "2.98 minutes")],
)
def test_lengths_are_told_in_the_largest_unit_of_which_there_are_two(ms: int, text: str) -> None:
    assert lasting(ms) == text
