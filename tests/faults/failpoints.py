"""The engine with a bomb at a named place: ``python -m tests.faults.failpoints NAME:NTH [engine arguments]``.

The functions of the engine are wrapped from outside, so that no line of production code knows of failpoints. At the
``NTH`` pass of the place the process sends itself SIGKILL: no handler, no flush, no farewell.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from engine_service import main as engine_main


@dataclass(frozen=True, slots=True)
class Place:
    """``target`` is ``module:attribute`` or ``module:Class.method``; the bomb sits before or after the call.

    ``reach`` is how many passes an engine under load makes within seconds.
    """

    target: str
    when: Literal["before", "after"]
    reach: int = 14


_JOURNAL = "engine_service.storage.journal:SqliteJournal"
_SPOT = "engine_service.venues.binance.spot:BinanceSpot"

PLACES: dict[str, Place] = {
    # The intent: queued, not yet on disk; on disk, nobody told; told, not yet sent.
    "before-journal-commit": Place(f"{_JOURNAL}._write", "before"),
    "after-journal-commit": Place(f"{_JOURNAL}._write", "after"),
    "before-commit-is-told": Place(f"{_JOURNAL}._group_done", "before"),
    # The send: before the first byte; answered, and the answer not yet recorded; recorded.
    "before-send": Place(f"{_SPOT}.submit", "before"),
    "after-send": Place(f"{_SPOT}.submit", "after"),
    "before-outcome-recorded": Place("engine_service.execution.send:settle_sent", "before"),
    "after-outcome-recorded": Place("engine_service.execution.send:settle_sent", "after"),
    "before-answer-recorded": Place("engine_service.execution.submit:_answer", "before"),
    "after-answer-recorded": Place("engine_service.execution.submit:_answer", "after"),
    # A cancel on its way.
    "before-cancel": Place(f"{_SPOT}.cancel", "before"),
    "after-cancel": Place(f"{_SPOT}.cancel", "after"),
    # A report from the stream: heard, and applied.
    "before-report": Place("engine_service.execution.user_stream:apply_report", "before"),
    "after-report": Place("engine_service.execution.user_stream:apply_report", "after"),
    # The way back: doubts noted, a doubt read, the first comparison.
    "after-doubts-noted": Place("engine_service.execution.recover:put_in_doubt", "after", reach=1),
    "before-comparison": Place("engine_service.execution.recover:reconcile", "before", reach=1),
    "after-comparison": Place("engine_service.execution.recover:reconcile", "after", reach=1),
}


def arm(name: str, nth: int) -> None:
    """Wrap the place so that its ``nth`` pass is the last thing this process does.

    Raises:
        KeyError: no such failpoint. AttributeError, ModuleNotFoundError: the engine no longer has the place.
    """
    place = PLACES[name]
    module_name, _, path = place.target.partition(":")
    owner: Any = importlib.import_module(module_name)
    *parents, attribute = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, attribute, _wrapped(getattr(owner, attribute), place.when, itertools.count(1), nth))


def _wrapped(function: Callable[..., Any], when: str, passes: itertools.count[int], nth: int) -> Callable[..., Any]:
    def pass_by() -> None:
        if next(passes) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(function)
    def plain(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            pass_by()
        result = function(*arguments, **named)
        if when == "after":
            pass_by()
        return result

    @functools.wraps(function)
    async def awaiting(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            pass_by()
        result = await function(*arguments, **named)
        if when == "after":
            pass_by()
        return result

    return awaiting if inspect.iscoroutinefunction(function) else plain


def main() -> int:
    """Arm the failpoint and be the engine."""
    name, _, nth = sys.argv[1].partition(":")
    arm(name, int(nth))
    return engine_main.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
