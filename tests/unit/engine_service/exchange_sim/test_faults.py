from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.faults import CLEAR, Fault, FaultKind, Faults

ORDER = ("/api/v3/order", "POST", {"symbol": "BTCUSDT"}, Market.SPOT, "demo")


def test_without_faults_every_request_and_report_goes_its_way() -> None:
    faults = Faults()
    assert faults.before_request(*ORDER) == CLEAR
    assert faults.reports("executionReport", Market.SPOT, "demo") == (0,)


def test_a_counted_fault_strikes_that_often_and_is_gone() -> None:
    faults = Faults()
    faults.add(Fault(FaultKind.DROP_AFTER, count=2))
    assert [faults.before_request(*ORDER).drop_after for _ in range(3)] == [True, True, False]
    assert faults.listed() == ()


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"path": "/api/v3/order"}, True),
        ({"path": "/api/*"}, True),
        ({"path": "/fapi/*"}, False),
        ({"method": "post"}, True),
        ({"method": "DELETE"}, False),
        ({"symbol": "BTCUSDT"}, True),
        ({"symbol": "ETHUSDT"}, False),
        ({"market": "futures"}, False),
        ({"account": "other"}, False),
    ],
)
def test_a_fault_strikes_only_what_it_matches(fields: dict[str, Any], fits: bool) -> None:
    faults = Faults()
    faults.add(replace(Fault(FaultKind.DROP_BEFORE), **fields))
    assert faults.before_request(*ORDER).drop_before is fits


def test_chance_is_repeatable_by_seed() -> None:
    def struck(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add(Fault(FaultKind.DROP_BEFORE, probability=0.5))
        return [faults.before_request(*ORDER).drop_before for _ in range(40)]

    assert struck(3) == struck(3) != struck(4)
    assert 5 < sum(struck(3)) < 35


def test_faults_of_several_kinds_add_up_to_one_plan() -> None:
    faults = Faults()
    faults.add(Fault(FaultKind.DELAY, delay_ms=10))
    faults.add(Fault(FaultKind.DELAY_ANSWER, delay_ms=20))
    faults.add(Fault(FaultKind.ERROR_AFTER))
    plan = faults.before_request(*ORDER)
    assert (plan.delay_ms, plan.delay_answer_ms) == (10, 20)
    assert plan.answer_after is not None
    assert (plan.answer_after.http_status, plan.answer_before) == (503, None)


def test_a_ban_answers_418_with_retry_after() -> None:
    faults = Faults()
    faults.add(Fault(FaultKind.RATE_LIMIT, http_status=418, retry_after_s=7))
    answer = faults.before_request(*ORDER).answer_before
    assert answer is not None
    assert (answer.http_status, answer.code, answer.retry_after_s) == (418, -1003, 7)


def test_reports_are_doubled_withheld_or_overtaken() -> None:
    faults = Faults()
    doubled = faults.add(Fault(FaultKind.DUPLICATE, event="executionReport"))
    assert faults.reports("executionReport", Market.SPOT, "demo") == (0, 0)
    assert faults.reports("outboundAccountPosition", Market.SPOT, "demo") == (0,)
    assert faults.remove(doubled.fault_id)
    late = faults.add(Fault(FaultKind.REORDER, delay_ms=100))
    delays = {faults.reports("executionReport", Market.SPOT, "demo")[0] for _ in range(50)}
    assert delays <= set(range(101))
    assert len(delays) > 10
    faults.remove(late.fault_id)
    faults.add(Fault(FaultKind.WITHHOLD, count=1))
    assert faults.reports("executionReport", Market.SPOT, "demo") == ()
    assert faults.reports("executionReport", Market.SPOT, "demo") == (0,)


def test_disconnect_strikes_once_and_at_once() -> None:
    faults, told = Faults(), []
    faults.on_disconnect(lambda market, stream: told.append((market, stream)))
    faults.add(Fault(FaultKind.DISCONNECT, market="spot", stream="user"))
    assert told == [("spot", "user")]
    assert faults.listed() == ()


def test_skews_of_the_clock_add_up_and_end() -> None:
    faults = Faults()
    faults.add(Fault(FaultKind.CLOCK_SKEW, skew_ms=5000))
    faults.add(Fault(FaultKind.CLOCK_SKEW, skew_ms=-2000))
    assert faults.clock_skew_ms == 3000
    assert faults.clear() == 2
    assert faults.clock_skew_ms == 0
