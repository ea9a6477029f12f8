"""The engine with clocks that jump: ``python -m tests.faults.stepped_clock [both:]MS,MS,... [engine arguments]``.

Each SIGUSR1 moves the wall clock by the next figure. With ``both:`` the monotonic clock moves, too, as it does on
machines whose sleep it counts; then asyncio's own loop runs, whose timers look at that clock.
"""

from __future__ import annotations

import itertools
import signal
import sys
import time

from engine_service import main as engine_main
from engine_service.domain.clock import SystemClock

BOTH = "both:"


def main() -> int:
    """Bend the clocks and be the engine."""
    figures = sys.argv[1]
    steps = itertools.cycle([int(step) for step in figures.removeprefix(BOTH).split(",")])
    offset_ms = 0

    def step(_number: int, _frame: object) -> None:
        nonlocal offset_ms
        offset_ms += next(steps)

    def bent(self: SystemClock) -> int:
        return time.time_ns() // 1_000_000 + offset_ms

    signal.signal(signal.SIGUSR1, step)
    setattr(SystemClock, "now_ms", bent)  # noqa: B010  # the point of this launcher, which the type forbids
    if figures.startswith(BOTH):
        straight = time.monotonic
        setattr(time, "monotonic", lambda: straight() + offset_ms / 1000)  # noqa: B010  # as above
        sys.modules["uvloop"] = None  # type: ignore[assignment]  # how Python says: not to be had
    return engine_main.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
