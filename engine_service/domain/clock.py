"""Time as a port: the engine asks a clock, so that tests, replay and the backtest can say what time it is."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for every deadline."""

    def now_ms(self) -> int:
        """Return UTC epoch milliseconds."""

    def monotonic_s(self) -> float:
        """Return seconds that never jump; only differences mean anything."""


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to: for the backtest, replay and tests."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._monotonic_s = 0.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, milliseconds: int) -> None:
        """Move both clocks forward.

        Raises:
            ValueError: ``milliseconds`` is negative.
        """
        if milliseconds < 0:
            raise ValueError("time does not run backwards here")
        self._now_ms += milliseconds
        self._monotonic_s += milliseconds / 1000

    def set_ms(self, now_ms: int) -> None:
        """Go to a wall time; the monotonic clock follows only forwards."""
        if now_ms > self._now_ms:
            self._monotonic_s += (now_ms - self._now_ms) / 1000
        self._now_ms = now_ms
