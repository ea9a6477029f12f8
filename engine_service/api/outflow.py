"""What was sent on a connection and not taken in yet: who has more to send waits, who reads nothing is found."""

from __future__ import annotations

import asyncio
import math
import time
from asyncio import Future
from typing import Final

#: For so long somebody may take in nothing of what is sent.
READ_WITHIN_S: Final = 30.0


class Outflow:
    """``is_full``: so much of what was sent is waiting that nothing more is to be sent now."""

    def __init__(self) -> None:
        self.is_full = False
        self._unread = 0
        self._deadline_s = math.inf
        self._drained: Future[None] | None = None

    def fill(self, unread: int) -> None:
        """Note that the buffers are full; ``unread`` bytes are in them."""
        self.is_full = True
        self._unread = unread
        self._deadline_s = time.monotonic() + READ_WITHIN_S

    def empty(self) -> None:
        """Let those go on who wait for room."""
        self.is_full = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def is_stuck(self, unread: int, now_s: float) -> bool:
        """Tell whether nothing was taken in for too long; ``now_s`` is monotonic time."""
        before, self._unread = self._unread, unread
        if unread < before:
            self._deadline_s = now_s + READ_WITHIN_S
            return False
        return now_s > self._deadline_s

    async def drained(self) -> None:
        """Wait until the caller has read enough of what was sent."""
        while self.is_full:
            if self._drained is None or self._drained.done():
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)
