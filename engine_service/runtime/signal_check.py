"""Signals that nobody can mean: a target that is no number, a probability of seven. They are dropped, never traded."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

from engine_service.domain import events as e
from engine_service.execution.core import EngineCore
from strategies.contracts import Bar, Signal

#: So many in a row are no accident: their strategy is switched off.
MOST_IN_A_ROW: Final = 3


def flaw_of(signal: Signal, bar: Bar) -> str:
    """Return why a signal cannot be meant, empty for a sound one."""
    if signal.symbol != bar.symbol:
        return "a signal about another symbol than its bar's"
    if not math.isfinite(signal.target) or abs(signal.target) > 1:
        return f"a target of {signal.target} is no share from -1 to 1"
    if not math.isfinite(signal.confidence) or not 0 <= signal.confidence <= 1:
        return f"a confidence of {signal.confidence} is no probability"
    return ""


class SignalCheck:
    """Drops what cannot be meant, says so, and counts by strategy how often that happened in a row."""

    def __init__(self, core: EngineCore) -> None:
        self._core = core
        self._in_a_row: Counter[str] = Counter()

    def failure(self, strategy: str, signal: Signal, bar: Bar) -> tuple[bool, str]:
        """Return whether to drop a signal, and why its strategy is to be switched off, empty where it goes on.

        Raises:
            Unavailable: the journal failed.
        """
        flaw = flaw_of(signal, bar)
        if not flaw:
            self._in_a_row[strategy] = 0
            return False, ""
        self._in_a_row[strategy] += 1
        detail, times = f"{bar.symbol}: {flaw}", self._in_a_row[strategy]
        if times <= MOST_IN_A_ROW:
            now = self._core.clock.now_ms()
            self._core.record(e.Anomaly(at_ms=now, kind="signal_dropped", subject=strategy, detail=detail))
        return True, detail if times >= MOST_IN_A_ROW else ""
