"""The counters that follow from journal events alone: the trader counts as it commits, its twin as it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

from engine_service.domain import events as e
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.state import EngineState
from observability.metrics import Distribution, Metrics

Place = tuple[str, str]


class EventCounters:
    """``state`` has taken in every event that is counted; ``shown`` are the (venue, market) pairs that had orders.

    What is counted is added up here and shown by ``flush``: a lock per figure and batch instead of one per event.
    """

    def __init__(self, metrics: Metrics, state: EngineState) -> None:
        self._metrics = metrics
        self._state = state
        self.shown: set[Place] = set()
        self._submitted_at: dict[str, int] = {}
        self._counts: dict[tuple[str, ...], float] = {}
        self._observed: dict[tuple[str, str, float], int] = {}
        self._counters: dict[tuple[str, ...], Counter] = {}
        self._distributions: dict[tuple[str, str], Distribution] = {}
        self._handlers: dict[type[e.Event], Callable[[Any], None]] = {
            e.OrderInitialized: self._initialized,
            e.OrderSubmitted: self._submitted,
            e.OrderAccepted: self._accepted,
            e.OrderRejected: self._rejected,
            e.OrderDenied: self._denied,
            e.OrderNotPlaced: self._not_placed,
            e.OrderInDoubt: self._in_doubt,
            e.OrderFilled: self._filled,
            e.Anomaly: self._anomaly,
            e.SignalEmitted: self._signal,
            e.ReconciliationCompleted: self._reconciled,
        }

    def count(self, event: e.Event) -> None:
        """Count one event."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def observe(self, name: str, seconds: float, venue: str = "") -> None:
        """Add an observation to a declared histogram, with the venue as its label where it has one."""
        key = (name, venue, seconds)
        self._observed[key] = self._observed.get(key, 0) + 1

    def flush(self) -> None:
        """Show what was counted and observed since the last time."""
        counts, self._counts = self._counts, {}
        for key, by in counts.items():
            counter = self._counters.get(key)
            if counter is None:
                counter = self._counters[key] = self._metrics.counter(key[0]).labels(*key[1:])
            counter.inc(by)
        observed, self._observed = self._observed, {}
        for (name, venue, seconds), times in observed.items():
            self._distribution(name, venue).observe_many(seconds, times)

    def _distribution(self, name: str, venue: str) -> Distribution:
        found = self._distributions.get((name, venue))
        if found is None:
            declared = self._metrics.histogram(name)
            found = self._distributions[name, venue] = declared.labels(venue) if venue else declared
        return found

    def _initialized(self, event: e.OrderInitialized) -> None:
        self.shown.add(_place(event.order))

    def _submitted(self, event: e.OrderSubmitted) -> None:
        order = self._state.order(event.client_order_id)
        if order is not None:
            self._submitted_at[order.client_order_id] = event.at_ms
            self._count("nhmm_orders_submitted_total", *_place(order), order.strategy)

    def _accepted(self, event: e.OrderAccepted) -> None:
        order = self._state.order(event.client_order_id)
        if order is not None:
            venue, market = _place(order)
            self._count("nhmm_orders_accepted_total", venue, market)
            self._acknowledged(order.client_order_id, venue, event.at_ms)

    def _rejected(self, event: e.OrderRejected) -> None:
        order = self._state.order(event.client_order_id)
        if order is not None:
            venue, market = _place(order)
            self._count("nhmm_orders_rejected_total", venue, market, event.code)
            self._acknowledged(order.client_order_id, venue, event.at_ms)

    def _denied(self, event: e.OrderDenied) -> None:
        self._count("nhmm_orders_denied_total", event.code)

    def _not_placed(self, event: e.OrderNotPlaced) -> None:
        self._unanswered("nhmm_orders_not_placed_total", event)

    def _in_doubt(self, event: e.OrderInDoubt) -> None:
        self._unanswered("nhmm_orders_in_doubt_total", event)

    def _unanswered(self, name: str, event: e.OrderEvent) -> None:
        order = self._state.order(event.client_order_id)
        if order is not None:
            self._count(name, *_place(order))
            self._submitted_at.pop(order.client_order_id, None)

    def _filled(self, event: e.OrderFilled) -> None:
        fill = event.fill
        venue, market = fill.venue, fill.market.value
        self._count("nhmm_fills_total", venue, market, fill.side.value)
        self._count("nhmm_fill_notional_total", venue, market, by=float(fill.notional * event.quote_rate))
        self._count("nhmm_fees_total", venue, market, by=float(max(ZERO, fill.fee * event.fee_rate)))
        self._acknowledged(event.client_order_id, venue, event.at_ms)

    def _anomaly(self, event: e.Anomaly) -> None:
        self._count("nhmm_order_anomalies_total", event.kind)

    def _signal(self, event: e.SignalEmitted) -> None:
        self._count("nhmm_signals_total", event.strategy, event.symbol)
        gauge = self._metrics.gauge("nhmm_signal_confidence_ratio")
        gauge.labels(event.strategy, event.symbol).set(abs(event.confidence))

    def _reconciled(self, event: e.ReconciliationCompleted) -> None:
        self._count("nhmm_reconcile_runs_total", event.venue, "breaks" if event.open_breaks else "clean")
        self._metrics.gauge("nhmm_reconcile_breaks").labels(event.venue).set(len(event.open_breaks))

    def _count(self, *name_and_labels: str, by: float = 1.0) -> None:
        self._counts[name_and_labels] = self._counts.get(name_and_labels, 0.0) + by

    def _acknowledged(self, client_order_id: str, venue: str, at_ms: int) -> None:
        began = self._submitted_at.pop(client_order_id, None)
        if began is not None:
            self.observe("nhmm_submit_to_ack_seconds", (at_ms - began) / 1000, venue)


def _place(order: Order) -> Place:
    return order.venue, order.market.value
