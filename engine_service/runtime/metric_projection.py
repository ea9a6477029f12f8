"""The engine's figures: counters follow the journal's events, gauges are read from the state every second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from engine_service.domain import events as e
from engine_service.domain.order_status import OrderStatus
from engine_service.runtime.engine import Engine
from engine_service.runtime.event_counters import EventCounters
from engine_service.storage.port import Recorded
from observability.log_writer import dropped
from observability.metrics import Metrics

REFRESH_S = 1.0
TRADING_STATES = ("BOOT", "RECOVERING", "READY", "HALTED", "FAILED")


class MetricProjection:
    """``on_batch`` is a bus handler; ``run`` a supervised task."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._metrics = engine.metrics
        self._counters = EventCounters(engine.metrics, engine.core.state)
        build = engine.build
        self._metrics.gauge("nhmm_build_info").labels(build["version"], build["git_sha"]).set(1)

    def on_batch(self, batch: Sequence[Recorded]) -> None:
        """Count what was committed together, and how long it took to the disk."""
        counters, now_ms = self._counters, self._engine.core.clock.now_ms()
        for recorded in batch:
            event = recorded.event
            if type(event) is e.OrderInitialized or not isinstance(event, e.OrderEvent):
                # An order's facts commit together or after one another; its first one stands for the hand-over.
                counters.observe("nhmm_journal_commit_seconds", max(0, now_ms - event.at_ms) / 1000)
            counters.count(event)
        counters.flush()

    # --- gauges ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Refresh every gauge once a second, and measure how late the loop let us."""
        loop = asyncio.get_running_loop()
        while True:
            planned = loop.time() + REFRESH_S
            await asyncio.sleep(REFRESH_S)
            self._metrics.gauge("nhmm_loop_stall_seconds").set(max(0.0, loop.time() - planned))
            self._metrics.gauge("nhmm_log_dropped").set(dropped())
            self.refresh()

    def refresh(self) -> None:
        """Read every gauge from the state now."""
        self._account()
        self._control()
        self._market()
        self._models()

    def _account(self) -> None:
        core = self._engine.core
        portfolio, exposure = core.state.portfolio, core.state.exposure
        self._set("nhmm_equity", float(exposure.equity))
        seen = core.state.image.equity
        self._set("nhmm_equity_peak", float(max(seen.peak, exposure.equity)) if seen else float(exposure.equity))
        self._set("nhmm_equity_identity_error", float(portfolio.identity_error))
        self._set("nhmm_realised_pnl", float(portfolio.realised))
        self._set("nhmm_unrealised_pnl", float(exposure.equity - portfolio.book_value))
        gross: dict[str, float] = dict.fromkeys(core.venues, 0.0)
        net: dict[str, float] = dict.fromkeys(core.venues, 0.0)
        for key, line in exposure.lines.items():
            if not line.at_risk:
                continue
            gross[line.venue] = gross.get(line.venue, 0.0) + abs(float(line.value))
            net[line.venue] = net.get(line.venue, 0.0) + float(line.value)
            self._set("nhmm_position_quantity", float(line.quantity), key.partition("|")[0], line.market.value)
        for venue, value in gross.items():
            self._set("nhmm_exposure_gross", value, venue)
            self._set("nhmm_exposure_net", net[venue], venue)
        self._orders()

    def _orders(self) -> None:
        working = self._engine.core.state.working_orders()
        for venue, market in self._counters.shown:
            mine = [order for order in working if order.venue == venue and order.market.value == market]
            self._set("nhmm_orders_open", len(mine), venue, market)
        for venue in self._engine.core.venues:
            doubtful = sum(order.status is OrderStatus.IN_DOUBT and order.venue == venue for order in working)
            self._set("nhmm_orders_unresolved", doubtful, venue)

    def _control(self) -> None:
        core = self._engine.core
        now_s = core.clock.monotonic_s()
        present = "HALTED" if core.ready and core.state.halted else core.phase.value
        for state in TRADING_STATES:
            self._set("nhmm_trading_state", float(state == present), state)
        self._set("nhmm_ready", float(core.ready))
        pace, policy = core.gate.pace, core.gate.policy
        for venue in core.venues:
            breaker = pace.venue(venue)
            self._set("nhmm_breaker_open", float(breaker.state(now_s, policy).value == "OPEN"), f"venue:{venue}")
            self._set("nhmm_venue_error_share_ratio", breaker.error_share(now_s), venue)
            done = core.reconciled_at_ms.get(venue)
            if done is not None:
                self._set("nhmm_reconcile_lag_seconds", (core.clock.now_ms() - done) / 1000, venue)
        self._set("nhmm_breaker_open", float(pace.equity.is_open(now_s, policy)), "equity")
        self._set("nhmm_risk_policy_version", policy.version)
        self._set("nhmm_journal_sequence", core.journal.last_seq)
        self._set("nhmm_stream_clients", self._engine.bus.client_count)

    def _market(self) -> None:
        core = self._engine.core
        now_s = core.clock.monotonic_s()
        for symbol in self._engine.feed.symbols:
            mark = core.marks.get(symbol, self._engine.market)
            if mark is not None:
                self._set("nhmm_mark_age_seconds", now_s - mark.at_s, symbol, mark.market.value)

    def _models(self) -> None:
        gauge = self._metrics.gauge("nhmm_model_info")
        gauge.clear()
        for strategy, model in self._engine.core.state.image.models.items():
            gauge.labels(strategy, model.version).set(1)
        for symbol, tape in self._engine.tape.newest().items():
            for regime, share in enumerate(tape.posterior):
                self._set("nhmm_regime_posterior_ratio", share, symbol, str(regime))

    def _set(self, name: str, value: float, *labels: str) -> None:
        gauge = self._metrics.gauge(name)
        (gauge.labels(*labels) if labels else gauge).set(value)


def bus_failure_counter(metrics: Metrics) -> Callable[[str], None]:
    """Return what the bus calls when a subscriber failed."""
    return lambda name: metrics.counter("nhmm_subscriber_failures_total").labels(name).inc()


def bus_drop_counter(metrics: Metrics) -> Callable[[str], None]:
    """Return what the bus calls when a slow client was dropped; clients share one label."""
    return lambda _name: metrics.counter("nhmm_bus_dropped_total").labels("stream").inc()
