"""A read-only twin of the trader: takes in its journal event by event and shows the same figures.

It holds no lease, no keys and no venue, and writes nothing. What only the trader's memory knows (ages of prices, the
state of its streams, breakers, stalls of its loop) is not in the journal and not shown.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import structlog

from engine_service.domain import events as e
from engine_service.domain.apply import apply
from engine_service.domain.clock import Clock
from engine_service.domain.order_status import OrderStatus
from engine_service.domain.state import EngineState
from engine_service.runtime.event_counters import EventCounters
from engine_service.runtime.metric_projection import TRADING_STATES
from engine_service.storage.reader import SqliteReader
from engine_service.storage.restore import begin
from observability.metrics import Metrics

#: So few at a time that a scrape is answered in between.
CHUNK = 200
LOOK_EVERY_S = 0.5

_log = structlog.get_logger(__name__)


class JournalTwin:
    """``run`` follows the journal for ever. ``caught_up`` is true once its end was reached."""

    def __init__(self, journal: Path, clock: Clock, build: Mapping[str, str]) -> None:
        self._path = journal
        self._clock = clock
        self._seen_at_ms: dict[str, int] = {}
        self._equity: e.EquityRecorded | None = None
        self.metrics = Metrics()
        self.build = build
        self.state = EngineState()
        self.seq = 0
        self.caught_up = False
        self._counters = EventCounters(self.metrics, self.state)
        self._set("nhmm_build_info", 1, build["version"], build["git_sha"])

    async def run(self) -> None:
        """Wait for the journal, take in all of it, and follow it.

        Raises:
            Undecodable: an event is of a kind or form that this version does not know.
            IllegalEvent: an event does not fit what came before it.
        """
        reader = await self._opened()
        try:
            self.state = begin(reader.reporting() or "USDT")
            self._counters = EventCounters(self.metrics, self.state)
            while True:
                at_the_end = self._take(reader) < CHUNK
                self.caught_up = self.caught_up or at_the_end
                await asyncio.sleep(LOOK_EVERY_S if at_the_end else 0)
        finally:
            reader.close()

    async def _opened(self) -> SqliteReader:
        while True:
            try:
                reader = SqliteReader(self._path)
                reader.newest_seq()
            except sqlite3.Error:
                # The trader has not made it yet.
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            _log.info("journal found", file=self._path.name)
            return reader

    def _take(self, reader: SqliteReader) -> int:
        """Take in the next events; return how many they were."""
        rows = reader.events_after(self.seq, CHUNK)
        for recorded in rows:
            event = recorded.event
            apply(self.state, event)
            self._counters.count(event)
            if isinstance(event, e.ReconciliationCompleted):
                self._seen_at_ms[event.venue] = event.at_ms
            if isinstance(event, e.EquityRecorded):
                self._equity = event
            self.seq = recorded.seq
        self._counters.flush()
        return len(rows)

    # --- gauges ----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Set every gauge that the journal knows."""
        self._account()
        self._orders()
        self._control()

    def _account(self) -> None:
        portfolio, exposure, seen = self.state.portfolio, self.state.exposure, self._equity
        if seen is not None:
            # Valued at the trader's marks, as of its last sample: the twin has no prices.
            self._set("nhmm_equity", float(seen.equity))
            self._set("nhmm_equity_peak", float(seen.peak))
            self._set("nhmm_unrealised_pnl", float(seen.unrealised_pnl))
        self._set("nhmm_equity_identity_error", float(portfolio.identity_error))
        self._set("nhmm_realised_pnl", float(portfolio.realised))
        for key, line in tuple(exposure.lines.items()):
            if line.at_risk:
                symbol = key.partition("|")[0]
                self._set("nhmm_position_quantity", float(line.quantity), symbol, line.market.value)

    def _orders(self) -> None:
        working = self.state.working_orders()
        for venue, market in tuple(self._counters.shown):
            mine = [order for order in working if order.venue == venue and order.market.value == market]
            self._set("nhmm_orders_open", len(mine), venue, market)
            doubtful = sum(order.status is OrderStatus.IN_DOUBT and order.venue == venue for order in working)
            self._set("nhmm_orders_unresolved", doubtful, venue)

    def _control(self) -> None:
        present = "HALTED" if self.state.halted else "READY" if self.caught_up else "RECOVERING"
        for name in TRADING_STATES:
            self._set("nhmm_trading_state", float(name == present), name)
        self._set("nhmm_ready", float(self.caught_up))
        self._set("nhmm_journal_sequence", self.seq)
        if self.state.image.risk_version:
            self._set("nhmm_risk_policy_version", self.state.image.risk_version)
        for venue, at_ms in tuple(self._seen_at_ms.items()):
            self._set("nhmm_reconcile_lag_seconds", (self._clock.now_ms() - at_ms) / 1000, venue)
        gauge = self.metrics.gauge("nhmm_model_info")
        gauge.clear()
        for strategy, model in tuple(self.state.image.models.items()):
            gauge.labels(strategy, model.version).set(1)

    def _set(self, name: str, value: float, *labels: str) -> None:
        gauge = self.metrics.gauge(name)
        (gauge.labels(*labels) if labels else gauge).set(value)
