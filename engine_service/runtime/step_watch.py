"""How long a strategy thinks about one bar: its steps run between orders, and a slow one holds up every one of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from engine_service.domain import events as e
from engine_service.execution.core import EngineCore

#: So many slow steps among the last of one strategy and symbol are no accident.
MOST_SLOW: Final = 3
OF_STEPS: Final = 20


class StepWatch:
    """Times steps, says which were slow, and which strategy is to be stood down for it."""

    def __init__(
        self,
        core: EngineCore,
        observe: Callable[[str, float], None],
        now_s: Callable[[], float] = time.thread_time,
    ) -> None:
        """``observe`` takes the label and the seconds of each step; ``now_s`` is this thread's own time.

        A step only reckons, so that is what it took. By the wall a machine that is busy, or was asleep, would stand
        down strategies that are quick.
        """
        self._core = core
        self._observe = observe
        self._steps: dict[tuple[str, str], deque[bool]] = {}
        self.now_s = now_s

    def failure(self, name: str, symbol: str, began_s: float, limit_s: float, label: str = "") -> str:
        """Take in a step that ends now; return why its strategy is to be stood down, empty where it goes on.

        ``began_s`` is what ``now_s`` said before it. ``label`` stands in the metric in place of the name, where there
        are many names.

        Raises:
            Unavailable: the journal failed.
        """
        took_s = self.now_s() - began_s
        self._observe(label or name, took_s)
        steps = self._steps.setdefault((name, symbol), deque(maxlen=OF_STEPS))
        steps.append(took_s > limit_s)
        if not steps[-1]:
            return ""
        told = f"{symbol}: a step took {took_s:.3g} s, allowed are {limit_s:.3g} s"
        now = self._core.clock.now_ms()
        self._core.record(e.Anomaly(at_ms=now, kind="strategy_slow", subject=name, detail=told))
        if sum(steps) < MOST_SLOW:
            return ""
        steps.clear()
        return f"{told}; {MOST_SLOW} of its last {OF_STEPS} steps were too slow"
