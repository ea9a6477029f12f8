"""The figures as text. Writing it takes the time of several orders, so a flood of scrapes gets that of a moment ago."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

#: Texts written per second in a flood, and at once after a calm.
PER_S: Final = 2.0
AT_ONCE: Final = 20.0


class FiguresText:
    """Prometheus' text format of a registry: fresh but in a flood, in which it is half a second old at most."""

    def __init__(
        self,
        registry: CollectorRegistry,
        before: Callable[[], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``before`` brings the registry up to date; ``now_s`` is monotonic."""
        self._registry = registry
        self._before = before
        self._now_s = now_s
        self._seen_s = now_s()
        self._left = AT_ONCE
        self._text = b""

    def text(self) -> bytes:
        """Return the text."""
        now_s = self._now_s()
        self._left = min(AT_ONCE, self._left + (now_s - self._seen_s) * PER_S)
        self._seen_s = now_s
        if self._left >= 1:
            self._left -= 1
            self._before()
            self._text = generate_latest(self._registry)
        return self._text
