"""The engine with a wall clock that jumps: ``python -m tests.faults.stepped_clock MS,MS,... [engine arguments]``.

Each SIGUSR1 moves the wall clock by the next figure. The monotonic clock goes on as it should.
"""

from __future__ import annotations

import itertools
import signal
import sys
import time

from engine_service import main as engine_main
from engine_service.domain.clock import SystemClock


def main() -> int:
    """Bend the clock and be the engine."""
    steps = itertools.cycle([int(step) for step in sys.argv[1].split(",")])
    offset_ms = 0

    def step(_number: int, _frame: object) -> None:
        nonlocal offset_ms
        offset_ms += next(steps)

    def bent(self: SystemClock) -> int:
        return time.time_ns() // 1_000_000 + offset_ms

    signal.signal(signal.SIGUSR1, step)
    setattr(SystemClock, "now_ms", bent)  # noqa: B010  # the point of this launcher, which the type forbids
    return engine_main.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
