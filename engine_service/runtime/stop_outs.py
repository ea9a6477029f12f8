"""Counts stop-outs by symbol and lets one rest that had too many; the quarantine is journaled, the count is not."""

from __future__ import annotations

from collections import deque

import structlog

from engine_service.domain.ids import Market
from engine_service.execution.core import EngineCore
from engine_service.execution.user_stream import restrict_after_stop_out

KEPT = 1_000

_log = structlog.get_logger(__name__)


class StopOuts:
    """The times of stop-outs, over strategies' and orders' brackets alike."""

    def __init__(self, core: EngineCore) -> None:
        self._core = core
        self._times: dict[str, deque[int]] = {}

    def note(self, symbol: str, market: Market) -> None:
        """Count one."""
        times = self._times.setdefault(symbol, deque(maxlen=KEPT))
        times.append(self._core.clock.now_ms())
        if restrict_after_stop_out(self._core, symbol, market, list(times)):
            _log.warning("symbol quarantined after stop-outs", symbol=symbol, stop_outs=len(times))
            times.clear()
