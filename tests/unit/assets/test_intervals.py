"""The grid of bars: what is missing, what is there, and where a series breaks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assets.intervals import (
    DAY_MS,
    Span,
    closed_part,
    day_of,
    day_span,
    joined,
    missing,
    present,
    to_ms,
    utc,
)

STEP = 60_000
DAY = day_span("2026-03-01")


def opens(*minutes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([DAY.start_ms + minute * STEP for minute in minutes], dtype=np.int64)


def span(first: int, last: int) -> Span:
    return Span(DAY.start_ms + first * STEP, DAY.start_ms + last * STEP)


def test_gaps_at_the_start_in_the_middle_and_at_the_end_are_found() -> None:
    assert missing(opens(2, 3, 6), span(0, 9), STEP) == [span(0, 2), span(4, 6), span(7, 9)]


def test_nothing_is_missing_of_a_full_span_and_everything_of_an_empty_one() -> None:
    assert missing(opens(*range(5)), span(0, 5), STEP) == []
    assert missing(opens(), span(0, 5), STEP) == [span(0, 5)]
    assert missing(opens(), span(5, 5), STEP) == []


def test_known_absent_bars_are_not_missed_again() -> None:
    assert missing(opens(4), span(0, 6), STEP, [span(0, 4)]) == [span(5, 6)]
    assert missing(opens(), span(2, 4), STEP, [span(0, 9)]) == []


@given(st.sets(st.integers(0, 59)))
def test_present_and_missing_share_the_span_without_overlap(minutes: set[int]) -> None:
    stored = opens(*minutes)
    parts = sorted([*present(stored, span(0, 60), STEP), *missing(stored, span(0, 60), STEP)])
    assert sum(part.bars(STEP) for part in parts) == 60
    assert sum(part.bars(STEP) for part in present(stored, span(0, 60), STEP)) == len(minutes)
    assert all(left.end_ms == right.start_ms for left, right in pairwise(parts))


def test_only_closed_bars_count() -> None:
    assert closed_part(DAY, STEP, DAY.start_ms + 90_000) == span(0, 1)
    assert closed_part(DAY, STEP, DAY.start_ms - 1).bars(STEP) == 0
    assert closed_part(DAY, STEP, DAY.end_ms + 1) == DAY


def test_near_gaps_become_one_request() -> None:
    assert joined([span(0, 1), span(5, 6), span(50, 51)], STEP, 10) == [span(0, 6), span(50, 51)]


@given(st.integers(0, 4_000_000_000_000))
def test_times_survive_the_way_to_datetime_and_back(at_ms: int) -> None:
    assert to_ms(utc(at_ms)) == at_ms
    assert day_span(day_of(at_ms)).start_ms == at_ms // DAY_MS * DAY_MS
