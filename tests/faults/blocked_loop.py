"""The engine with an event loop that hangs on request: ``python -m tests.faults.blocked_loop [engine arguments]``.

SIGUSR1 holds the main thread for ``BLOCK_S``, as a computation in the wrong place would.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from engine_service import main as engine_main

BLOCK_S = 2.0


def block(_number: int, _frame: FrameType | None) -> None:
    """Do nothing, and let nothing else be done."""
    time.sleep(BLOCK_S)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, block)
    sys.exit(engine_main.main(sys.argv[1:]))
