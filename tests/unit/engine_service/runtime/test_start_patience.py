"""A start is given up in time, has its time anew after a limit that the venue named, and the reason is true."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine_service.domain.clock import SystemClock
from engine_service.execution.core import EngineCore
from engine_service.runtime.start_patience import given_up, until_started
from tests.fakes.engine import make_core

pytestmark = pytest.mark.anyio
SECONDS = {"within_s": 0.1, "at_most_s": 0.6}


def a_core() -> EngineCore:
    core = make_core()
    core.clock = SystemClock()
    return core


@pytest.mark.parametrize(
    ("told_s", "starts_after_s", "in_time", "longest_s"),
    [
        (0.0, 0.02, True, 0.1),
        (0.0, 5.0, False, 0.3),
        (0.2, 0.25, True, 0.5),
        (0.2, 5.0, False, 0.55),
        (0.55, 5.0, False, 0.9),
        (30.0, 5.0, False, 0.3),
    ],
    ids=["at once", "never", "after the limit", "not even then", "at most so long", "banned for long"],
)
async def test_a_start_is_waited_for(told_s: float, starts_after_s: float, in_time: bool, longest_s: float) -> None:
    core = a_core()
    core.told_to_wait(told_s)
    began_s = time.monotonic()
    starting = asyncio.create_task(asyncio.sleep(starts_after_s))
    assert await until_started(core, (starting,), **SECONDS) is in_time
    took_s = time.monotonic() - began_s
    starting.cancel()
    assert took_s < longest_s
    assert in_time or took_s >= (min(told_s + 0.1, 0.6) if told_s < 0.6 else 0.1)


async def test_a_limit_is_told_as_one_and_not_as_a_wrong_address() -> None:
    core = a_core()
    core.not_ready_because = ["venue BINANCE: VENUE_RATE_LIMITED, not asked again before 12:00:43 UTC"]
    core.told_to_wait(7_200)
    assert given_up(core, 45.02) == (
        "not ready after 45 s: venue BINANCE: VENUE_RATE_LIMITED, not asked again before 12:00:43 UTC; "
        "start again in 7200 s"
    )


@pytest.mark.parametrize(
    "reason",
    [
        "recovering",
        "venue BINANCE: VENUE_UNREACHABLE: connection refused",
        "venue BINANCE: VENUE_ANSWER_UNREADABLE: no object",
        "venue BINANCE: VENUE_UNKNOWN: HTTP 502",
    ],
)
async def test_a_venue_that_does_not_answer_may_have_another_address(reason: str) -> None:
    core = a_core()
    core.not_ready_because = [reason]
    assert given_up(core, 45) == f"not ready after 45 s: {reason}; is the venue's address right?"


async def test_a_venue_that_has_said_why_has_the_right_address() -> None:
    core = a_core()
    core.not_ready_because = ["venue BINANCE: VENUE_UNAUTHORIZED: -2015 Invalid API-key."]
    assert given_up(core, 45) == f"not ready after 45 s: {core.not_ready_because[0]}"
