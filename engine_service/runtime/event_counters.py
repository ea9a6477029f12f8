"""The counters that follow from journal events alone: the trader counts as it commits, its twin as it reads."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter

from engine_service.domain import events as e
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.state import EngineState
from observability.metrics import Metrics


class EventCounters:
    """``state`` has taken in every event that is counted; ``shown`` are the (venue, market) pairs that had orders."""

    def __init__(self, metrics: Metrics, state: EngineState) -> None:
        self._metrics = metrics
        self._state = state
        self.shown: set[tuple[str, str]] = set()
        self._submitted_at: dict[str, int] = {}
        self._children: dict[tuple[str, ...], Counter] = {}
        self._handlers: dict[type[e.Event], Callable[[e.Event], None]] = {
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

    def _initialized(self, event: e.Event) -> None:
        if isinstance(event, e.OrderInitialized):
            self.shown.add((event.order.venue, event.order.market.value))

    def _submitted(self, event: e.Event) -> None:
        order = self._order(event)
        if order is not None:
            self._submitted_at[order.client_order_id] = event.at_ms
            self._count("nhmm_orders_submitted_total", order.venue, order.market.value, order.strategy)

    def _accepted(self, event: e.Event) -> None:
        order = self._order(event)
        if order is not None:
            self._count("nhmm_orders_accepted_total", order.venue, order.market.value)
            self._acknowledged(order.client_order_id, order.venue, event.at_ms)

    def _rejected(self, event: e.Event) -> None:
        order = self._order(event)
        if order is not None and isinstance(event, e.OrderRejected):
            self._count("nhmm_orders_rejected_total", order.venue, order.market.value, event.code)
            self._acknowledged(order.client_order_id, order.venue, event.at_ms)

    def _denied(self, event: e.Event) -> None:
        if isinstance(event, e.OrderDenied):
            self._count("nhmm_orders_denied_total", event.code)

    def _not_placed(self, event: e.Event) -> None:
        order = self._order(event)
        if order is not None:
            self._count("nhmm_orders_not_placed_total", order.venue, order.market.value)
            self._submitted_at.pop(order.client_order_id, None)

    def _in_doubt(self, event: e.Event) -> None:
        order = self._order(event)
        if order is not None:
            self._count("nhmm_orders_in_doubt_total", order.venue, order.market.value)
            self._submitted_at.pop(order.client_order_id, None)

    def _filled(self, event: e.Event) -> None:
        if not isinstance(event, e.OrderFilled):
            return
        fill = event.fill
        self._count("nhmm_fills_total", fill.venue, fill.market.value, fill.side.value)
        value = float(fill.notional * event.quote_rate)
        self._count("nhmm_fill_notional_total", fill.venue, fill.market.value, by=value)
        fee = float(max(ZERO, fill.fee * event.fee_rate))
        self._count("nhmm_fees_total", fill.venue, fill.market.value, by=fee)
        self._acknowledged(event.client_order_id, fill.venue, event.at_ms)

    def _anomaly(self, event: e.Event) -> None:
        if isinstance(event, e.Anomaly):
            self._count("nhmm_order_anomalies_total", event.kind)

    def _signal(self, event: e.Event) -> None:
        if isinstance(event, e.SignalEmitted):
            self._count("nhmm_signals_total", event.strategy, event.symbol)
            gauge = self._metrics.gauge("nhmm_signal_confidence_ratio")
            gauge.labels(event.strategy, event.symbol).set(abs(event.confidence))

    def _reconciled(self, event: e.Event) -> None:
        if isinstance(event, e.ReconciliationCompleted):
            outcome = "breaks" if event.open_breaks else "clean"
            self._count("nhmm_reconcile_runs_total", event.venue, outcome)
            self._metrics.gauge("nhmm_reconcile_breaks").labels(event.venue).set(len(event.open_breaks))

    def _order(self, event: e.Event) -> Order | None:
        return self._state.order(event.client_order_id) if isinstance(event, e.OrderEvent) else None

    def _count(self, name: str, *labels: str, by: float = 1.0) -> None:
        # Kept by name and labels: finding the child again costs more than counting.
        child = self._children.get((name, *labels))
        if child is None:
            child = self._children[(name, *labels)] = self._metrics.counter(name).labels(*labels)
        child.inc(by)

    def _acknowledged(self, client_order_id: str, venue: str, at_ms: int) -> None:
        began = self._submitted_at.pop(client_order_id, None)
        if began is not None:
            self._metrics.histogram("nhmm_submit_to_ack_seconds").labels(venue).observe((at_ms - began) / 1000)
