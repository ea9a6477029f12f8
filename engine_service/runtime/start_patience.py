"""How long a start is waited for, and what is said of one that is given up."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Sequence
from typing import Any, Final

from engine_service.execution.core import EngineCore

#: A venue that is down for longer is the supervisor's matter: the process ends, and may be started again.
START_WITHIN_S: Final = 45.0
#: A start that waits for a limit to pass has all its time after that, but not for ever: a ban can last for days.
START_AT_MOST_S: Final = 300.0
#: What a venue would not say, but what may answer, or not answer, under a wrong address.
_OF_NO_VENUE: Final = ("VENUE_UNREACHABLE", "VENUE_ANSWER_UNREADABLE", "VENUE_UNKNOWN")


async def until_started(
    core: EngineCore,
    tasks: Sequence[Task[Any]],
    *,
    within_s: float = START_WITHIN_S,
    at_most_s: float = START_AT_MOST_S,
) -> bool:
    """Wait until one of the tasks is done; false where none is in time.

    The time is longer where the venue has said when it may be asked again: asking it from a new process in its place
    would only make that worse.
    """
    began_s = core.clock.monotonic_s()
    deadline_s, last_s = began_s + within_s, began_s + at_most_s
    while not any(task.done() for task in tasks):
        left_s = deadline_s - core.clock.monotonic_s()
        if left_s <= 0:
            return False
        await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if core.asked_again_at_s < last_s:
            deadline_s = max(deadline_s, min(core.asked_again_at_s + within_s, last_s))
    return True


def given_up(core: EngineCore, waited_s: float) -> str:
    """Say why a start is given up: whoever reads it has to know whether to look at the address or at the clock."""
    reasons = "; ".join(core.not_ready_because)
    left_s = core.asked_again_at_s - core.clock.monotonic_s()
    told = f"not ready after {waited_s:.0f} s: {reasons}"
    if left_s > 0:
        return f"{told}; start again in {left_s:.0f} s"
    answered = "VENUE_" in reasons and not any(code in reasons for code in _OF_NO_VENUE)
    return told if answered else f"{told}; is the venue's address right?"
