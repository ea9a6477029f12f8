"""Every metric of the platform: name, unit, labels, meaning. Nothing is exported that is not declared here.

Names end in their unit (``_seconds``, ``_total`` for counters, ``_ratio`` for 0-1). Labels are bounded: venues,
allow-listed symbols, codes and strategy names; never an order id, a key or free text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

Kind = Literal["counter", "gauge", "histogram"]
_M = TypeVar("_M", bound=MetricWrapperBase)

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric: ``name`` as Prometheus shows it, ``labels`` in order, ``meaning`` in one sentence."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str


def _counter(name: str, meaning: str, *labels: str) -> MetricSpec:
    return MetricSpec(name, "counter", labels, meaning)


def _gauge(name: str, meaning: str, *labels: str) -> MetricSpec:
    return MetricSpec(name, "gauge", labels, meaning)


def _histogram(name: str, meaning: str, *labels: str) -> MetricSpec:
    return MetricSpec(name, "histogram", labels, meaning)


ENGINE_METRICS: Sequence[MetricSpec] = (
    # orders
    _counter("nhmm_orders_submitted_total", "Orders whose intent was made durable.", "venue", "market", "strategy"),
    _counter("nhmm_orders_accepted_total", "Orders the venue took.", "venue", "market"),
    _counter("nhmm_orders_rejected_total", "Orders the venue refused.", "venue", "market", "code"),
    _counter("nhmm_orders_denied_total", "Orders refused by a rail before anything was sent.", "code"),
    _counter("nhmm_orders_not_placed_total", "Orders proved never to have reached the venue.", "venue", "market"),
    _counter("nhmm_orders_in_doubt_total", "Times an order's outcome became unknown.", "venue", "market"),
    _gauge("nhmm_orders_unresolved", "Orders whose outcome is unknown now.", "venue"),
    _gauge("nhmm_orders_open", "Orders the venue may still trade.", "venue", "market"),
    _counter("nhmm_fills_total", "Fills booked.", "venue", "market", "side"),
    _counter("nhmm_fill_notional_total", "Traded value in the reporting currency.", "venue", "market"),
    _counter("nhmm_fees_total", "Fees paid in the reporting currency.", "venue", "market"),
    _histogram("nhmm_submit_to_ack_seconds", "From the send of an order to the venue's answer.", "venue"),
    _histogram("nhmm_journal_commit_seconds", "From the hand-over of events to their fsync."),
    _counter("nhmm_order_anomalies_total", "Reports that no order state allows; journaled, not applied.", "kind"),
    # portfolio
    _gauge("nhmm_equity", "Equity in the reporting currency."),
    _gauge("nhmm_equity_peak", "Highest equity seen; survives a restart."),
    _gauge("nhmm_equity_identity_error", "Equity change minus PnL, fees, funding and transfers; always 0."),
    _gauge("nhmm_realised_pnl", "Realised PnL in the reporting currency."),
    _gauge("nhmm_unrealised_pnl", "Unrealised PnL in the reporting currency."),
    _gauge("nhmm_exposure_gross", "Gross exposure in the reporting currency.", "venue"),
    _gauge("nhmm_exposure_net", "Net exposure in the reporting currency.", "venue"),
    _gauge("nhmm_position_quantity", "Signed position in base units.", "symbol", "market"),
    _gauge("nhmm_mark_age_seconds", "Age of the newest mark price.", "symbol", "market"),
    # risk and state
    _gauge("nhmm_trading_state", "1 for the present trading state.", "state"),
    _gauge("nhmm_breaker_open", "1 while a breaker is open.", "breaker"),
    _gauge("nhmm_venue_error_share_ratio", "Failed share of venue calls over the last minute.", "venue"),
    _gauge("nhmm_risk_policy_version", "Version of the risk limits in force."),
    # reconciliation
    _gauge("nhmm_reconcile_lag_seconds", "Time since the last complete comparison with the venue.", "venue"),
    _counter("nhmm_reconcile_runs_total", "Comparisons with the venue.", "venue", "outcome"),
    _gauge("nhmm_reconcile_breaks", "Differences still open after the last comparison.", "venue"),
    # strategies and models
    _counter("nhmm_bars_total", "Closed bars that reached the strategies.", "symbol"),
    _counter("nhmm_signals_total", "Signals by strategy.", "strategy", "symbol"),
    _gauge("nhmm_signal_confidence_ratio", "Confidence of the last signal.", "strategy", "symbol"),
    _histogram("nhmm_strategy_step_seconds", "CPU time of a strategy for a bar; `league`: a challenger.", "strategy"),
    _gauge("nhmm_regime_posterior_ratio", "Filtered probability of each regime.", "symbol", "regime"),
    _gauge("nhmm_model_info", "1 for the model version in force.", "strategy", "version"),
    # the process
    _gauge("nhmm_ready", "1 once snapshot, journal replay and first reconciliation are done."),
    _gauge("nhmm_journal_sequence", "Sequence number of the newest journaled event."),
    _gauge("nhmm_stream_connected", "1 while a venue stream is up.", "venue", "stream"),
    _counter("nhmm_stream_gaps_total", "Times a venue stream was lost.", "venue", "stream"),
    _counter("nhmm_task_failures_total", "Background tasks that ended by an error.", "task"),
    _counter("nhmm_bus_dropped_total", "Events dropped for a slow subscriber.", "subscriber"),
    _counter("nhmm_subscriber_failures_total", "Errors of isolated bus subscribers.", "subscriber"),
    _counter("nhmm_http_requests_total", "Requests answered.", "route", "status"),
    _gauge("nhmm_stream_clients", "Connected event stream clients."),
    _gauge("nhmm_loop_stall_seconds", "Longest event loop stall of the last interval."),
    _gauge("nhmm_log_dropped", "Log lines lost since the start: the log is full, or is not read."),
    _gauge("nhmm_build_info", "1; labels tell what runs.", "version", "git_sha"),
)


class Distribution(Histogram):
    """A histogram that takes many equal observations for the price of one."""

    def observe_many(self, amount: float, times: int) -> None:
        """Observe an amount so many times."""
        self._sum.inc(amount * times)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(times)


_CLASSES: dict[Kind, type[MetricWrapperBase]] = {"counter": Counter, "gauge": Gauge, "histogram": Distribution}


class Metrics:
    """The declared metrics, registered once in a registry of their own (never the global one)."""

    def __init__(self, specs: Sequence[MetricSpec] = ENGINE_METRICS) -> None:
        self.registry = CollectorRegistry()
        self._metrics = {spec.name: _register(spec, self.registry) for spec in specs}

    def counter(self, name: str) -> Counter:
        """Return a declared counter.

        Raises:
            KeyError: no such counter is declared.
        """
        return self._typed(name, Counter)

    def gauge(self, name: str) -> Gauge:
        """Return a declared gauge.

        Raises:
            KeyError: no such gauge is declared.
        """
        return self._typed(name, Gauge)

    def histogram(self, name: str) -> Distribution:
        """Return a declared histogram.

        Raises:
            KeyError: no such histogram is declared.
        """
        return self._typed(name, Distribution)

    def _typed(self, name: str, kind: type[_M]) -> _M:
        metric = self._metrics[name]
        if not isinstance(metric, kind):
            raise KeyError(f"{name} is declared as another kind of metric")
        return metric


def _register(spec: MetricSpec, registry: CollectorRegistry) -> MetricWrapperBase:
    name = spec.name.removesuffix("_total") if spec.kind == "counter" else spec.name
    if spec.kind == "histogram":
        return Distribution(name, spec.meaning, spec.labels, registry=registry, buckets=LATENCY_BUCKETS_S)
    return _CLASSES[spec.kind](name, spec.meaning, spec.labels, registry=registry)
