"""How often one caller may read. A page that asks in a loop takes the loop's time from orders, and is told to wait.

Orders have paces of their own among the rails; halting, cancelling and the open routes are never held up here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from engine_service.api.grants import OWN
from engine_service.domain.errors import InvalidRequest

READS_PER_MIN: Final = 600
#: The engine's own tokens are shared by the programs of this machine; a named caller is one.
SHARED_BY: Final = 100


class ReadPace:
    """A bucket for each caller: ``per_min`` reads at once, and as many again within a minute."""

    def __init__(self, per_min: int = READS_PER_MIN, now_s: Callable[[], float] = time.monotonic) -> None:
        """``now_s`` is monotonic."""
        self._per_min = per_min
        self._now_s = now_s
        #: Reads used and not yet given back, and when that was so, by caller.
        self._used: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> None:
        """Count a read.

        Raises:
            InvalidRequest: ``RATE_LIMITED``, with the seconds after which one more is free.
        """
        now_s, most = self._now_s(), self._per_min * (SHARED_BY if caller in OWN else 1)
        used, seen_s = self._used.get(caller, (0.0, now_s))
        used = max(0.0, used - (now_s - seen_s) * most / 60)
        if used + 1 > most:
            self._used[caller] = used, now_s
            wait_s = math.ceil((used + 1 - most) * 60 / most)
            raise InvalidRequest("RATE_LIMITED", f"At most {most} reads a minute.", retry_after_s=max(1, wait_s))
        self._used[caller] = used + 1, now_s
