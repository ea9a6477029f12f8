"""Counters say what the journal says, and only once they are shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine_service.domain import events as e
from engine_service.execution.submit import submit
from engine_service.runtime.engine import Engine
from engine_service.runtime.event_counters import EventCounters
from engine_service.runtime.metric_projection import MetricProjection
from observability.metrics import Metrics
from tests.fakes.engine import limit_order, make_core, mark_of, market_order, policy

pytestmark = pytest.mark.anyio


def shown(metrics: Metrics, name: str, **labels: str) -> float:
    value = metrics.registry.get_sample_value(name, labels)
    return 0.0 if value is None else value


async def test_the_figures_are_those_of_the_journal() -> None:
    core = make_core(limits=policy(max_notional="5000"))
    metrics = Metrics()
    build = {"version": "1", "git_sha": "test"}
    projection = MetricProjection(cast(Engine, SimpleNamespace(core=core, metrics=metrics, build=build)))
    core.journal.on_commit(projection.on_batch)
    for _ in range(4):
        await submit(core, market_order(), mark_of())
    await submit(core, limit_order("49000"), mark_of())
    await submit(core, market_order("9"), mark_of())
    await core.settle()
    facts = [recorded.event for recorded in core.journal.events_after(0, 1_000)]
    fills = [fact for fact in facts if isinstance(fact, e.OrderFilled)]
    place: dict[str, Any] = {"venue": "BINANCE", "market": "spot"}
    assert shown(metrics, "nhmm_orders_submitted_total", **place, strategy="manual") == 5
    assert shown(metrics, "nhmm_orders_accepted_total", **place) == 5
    assert shown(metrics, "nhmm_fills_total", **place, side="BUY") == len(fills) == 4
    traded = sum(float(fact.fill.notional * fact.quote_rate) for fact in fills)
    assert shown(metrics, "nhmm_fill_notional_total", **place) == pytest.approx(traded)
    (denied,) = [fact for fact in facts if isinstance(fact, e.OrderDenied)]
    assert shown(metrics, "nhmm_orders_denied_total", code=denied.code) == 1
    assert shown(metrics, "nhmm_submit_to_ack_seconds_count", venue="BINANCE") == 5
    handed_over = [
        fact
        for fact in core.journal.events_after(0, 1_000)
        if isinstance(fact.event, e.OrderInitialized) or not isinstance(fact.event, e.OrderEvent)
    ]
    # What was recorded before the projection listened is not counted.
    before = sum(isinstance(row.event, e.BalanceAdjusted | e.ReconciliationCompleted) for row in handed_over)
    assert shown(metrics, "nhmm_journal_commit_seconds_count") == len(handed_over) - before


async def test_what_is_counted_twice_is_shown_twice_and_shown_once() -> None:
    metrics = Metrics()
    counters = EventCounters(metrics, make_core().state)
    anomaly = e.Anomaly(at_ms=1, kind="odd", subject="x", detail="")
    counters.count(anomaly)
    counters.count(anomaly)
    assert shown(metrics, "nhmm_order_anomalies_total", kind="odd") == 0
    counters.flush()
    counters.flush()
    assert shown(metrics, "nhmm_order_anomalies_total", kind="odd") == 2


@pytest.mark.parametrize("amount", [0.0, 0.001, 0.0011, 0.3, 5.0, 77.0])
def test_many_equal_observations_are_so_many_single_ones(amount: float) -> None:
    together, singly = Metrics(), Metrics()
    together.histogram("nhmm_submit_to_ack_seconds").labels("PAPER").observe_many(amount, 3)
    for _ in range(3):
        singly.histogram("nhmm_submit_to_ack_seconds").labels("PAPER").observe(amount)

    def samples(metrics: Metrics) -> dict[tuple[str, str], float]:
        (family,) = [each for each in metrics.registry.collect() if each.name == "nhmm_submit_to_ack_seconds"]
        kept = [sample for sample in family.samples if not sample.name.endswith("_created")]
        return {(sample.name, sample.labels.get("le", "")): sample.value for sample in kept}

    assert samples(together) == pytest.approx(samples(singly))
