"""One order through every outcome a venue can give, against a venue that follows a script."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict, InvalidRequest, NotFound, Unavailable
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.execution.answers import SubmitStatus
from engine_service.execution.apply_report import apply_report
from engine_service.execution.core import Phase
from engine_service.execution.submit import submit
from engine_service.storage.port import Recorded
from engine_service.venues.reports import OutcomeUnknown, Rejected
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order, policy
from tests.fakes.venue import FakeVenue, Script, unknown

pytestmark = pytest.mark.anyio
D = Decimal


async def test_a_market_order_is_journaled_sent_filled_and_answered() -> None:
    core = make_core()
    result = await submit(core, market_order(), mark_of())
    assert result.status is SubmitStatus.CREATED
    assert result.order.status is OrderStatus.FILLED
    assert [fill.quantity for fill in result.fills] == [D("0.001")]
    kinds = [recorded.kind for recorded in core.journal.order_history(result.order.client_order_id)]
    assert kinds == ["OrderInitialized", "OrderSubmitted", "OrderAccepted", "OrderFilled"]
    assert core.state.portfolio.identity_error == 0


async def test_the_intent_is_recorded_before_the_venue_hears_of_it() -> None:
    core = make_core()
    seen: list[OrderStatus] = []

    async def look(venue: FakeVenue, order: Order) -> None:
        stored = core.journal.order(order.client_order_id)
        assert stored is not None
        seen.append(stored.status)

    fake(core).scripts.append(Script(during=look))
    await submit(core, market_order(), mark_of())
    assert seen == [OrderStatus.SUBMITTED]


async def test_quote_sized_orders_become_a_quantity_that_does_not_exceed_the_quote() -> None:
    core = make_core()
    request = market_order()
    request = type(request)(
        symbol="btcusdt.binance",
        market=request.market,
        side=request.side,
        type=request.type,
        quote_quantity=D("123.45"),
    )
    result = await submit(core, request, mark_of())
    assert result.order.symbol == "BTCUSDT.BINANCE"
    assert result.order.quantity == D("0.00246")
    assert result.order.filled_quote <= D("123.45")


async def test_a_refusal_by_the_venue_is_rejected_and_reserves_nothing() -> None:
    core = make_core()
    fake(core).scripts.append(Script(act=False, say=Rejected(code="VENUE_FILTER", reason="too small")))
    result = await submit(core, market_order(), mark_of())
    assert (result.status, result.order.status, result.code) == (
        SubmitStatus.REJECTED,
        OrderStatus.REJECTED,
        "VENUE_FILTER",
    )
    assert core.state.exposure.totals.worst == 0
    assert core.state.exposure.reserved["BINANCE|spot|USDT"] == 0


async def test_a_request_that_never_left_is_not_placed() -> None:
    core = make_core()
    refused = Rejected(code="VENUE_UNREACHABLE", reason="connection refused", not_sent=True)
    fake(core).scripts.append(Script(act=False, say=refused))
    result = await submit(core, market_order(), mark_of())
    assert result.status is SubmitStatus.NOT_PLACED
    assert result.order.status is OrderStatus.NOT_PLACED


async def test_an_unknown_outcome_is_in_doubt_and_then_found_by_reading_without_a_second_send() -> None:
    core = make_core()
    fake(core).scripts.append(Script(act=True, say=unknown()))
    result = await submit(core, market_order(), mark_of())
    assert result.status is SubmitStatus.IN_DOUBT
    await core.settle()
    order = core.state.order(result.order.client_order_id)
    assert order is not None
    assert order.status is OrderStatus.FILLED
    assert len(fake(core).submits) == 1
    assert core.state.portfolio.holding("BINANCE", order.market, "BTC") == D("0.001")


async def test_an_order_in_doubt_keeps_its_reservation() -> None:
    core = make_core()
    fake(core).down = True
    fake(core).scripts.append(Script(act=False, say=unknown()))
    result = await submit(core, market_order(), mark_of())
    assert core.state.exposure.totals.worst == D("50.00000")
    fake(core).down = False
    await core.settle()
    order = core.state.order(result.order.client_order_id)
    assert order is not None
    assert order.status is OrderStatus.NOT_PLACED
    assert core.state.exposure.totals.worst == 0


async def test_a_stream_report_that_overtakes_the_answer_is_booked_once() -> None:
    core = make_core()

    async def overtake(venue: FakeVenue, order: Order) -> None:
        record = venue.orders[order.client_order_id]
        apply_report(core, venue.report(order.client_order_id, with_fill=record.fills[0]))

    fake(core).scripts.append(Script(during=overtake))
    result = await submit(core, market_order(), mark_of())
    assert len(result.fills) == 1
    assert result.order.filled_quantity == D("0.001")


async def test_a_lost_answer_after_an_overtaking_report_leaves_no_doubt() -> None:
    core = make_core()

    async def overtake(venue: FakeVenue, order: Order) -> None:
        record = venue.orders[order.client_order_id]
        apply_report(core, venue.report(order.client_order_id, with_fill=record.fills[0]))

    fake(core).scripts.append(Script(during=overtake, say=unknown()))
    result = await submit(core, market_order(), mark_of())
    assert result.order.status is OrderStatus.FILLED
    assert result.status is SubmitStatus.CREATED


async def test_an_adapter_that_breaks_its_promise_leaves_the_order_in_doubt_and_is_reported() -> None:
    core = make_core()
    told: list[str] = []
    core.on_task_failure = lambda name, error: told.append(type(error).__name__)
    fake(core).scripts.append(Script(act=True, raises=RuntimeError("bug")))
    with pytest.raises(RuntimeError):
        await submit(core, market_order(), mark_of())
    await core.settle()
    assert told == ["RuntimeError"]
    (order,) = core.state.image.orders.values()
    assert order.status is OrderStatus.FILLED


async def test_a_slow_venue_is_answered_with_in_doubt_and_settles_by_itself() -> None:
    core = make_core()
    core.answer_deadline_s = 0.01

    async def wait(venue: FakeVenue, order: Order) -> None:
        await asyncio.sleep(0.05)

    fake(core).scripts.append(Script(during=wait))
    idem = mark_of()
    result = await submit(core, market_order(), idem)
    assert result.status is SubmitStatus.IN_DOUBT
    await core.settle()
    again = await submit(core, market_order(), idem)
    assert again.replayed
    assert again.status is SubmitStatus.IN_DOUBT
    order = core.state.order(result.order.client_order_id)
    assert order is not None
    assert order.status is OrderStatus.FILLED


async def test_the_same_key_gives_the_same_answer_and_one_order() -> None:
    core = make_core()
    idem = mark_of()
    first = await submit(core, market_order(), idem)
    second = await submit(core, market_order(), idem)
    assert second.replayed
    assert (second.order, second.fills) == (first.order, first.fills)
    assert len(fake(core).submits) == 1


async def test_sixty_four_identical_requests_at_once_make_one_order() -> None:
    core = make_core()
    idem = mark_of()
    results = await asyncio.gather(*(submit(core, market_order(), idem) for _ in range(64)))
    assert len({result.order.client_order_id for result in results}) == 1
    assert len(fake(core).submits) == 1


async def test_the_same_key_with_another_body_is_refused_and_places_nothing() -> None:
    core = make_core()
    await submit(core, market_order(), mark_of("same"))
    with pytest.raises(InvalidRequest) as refused:
        await submit(core, market_order("0.002"), mark_of("same", fingerprint="other"))
    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"
    assert len(fake(core).submits) == 1


async def test_a_denial_is_journaled_and_replayed_with_its_numbers() -> None:
    core = make_core(limits=policy(max_notional="10"))
    idem = mark_of()
    first = await submit(core, market_order(), idem)
    assert (first.status, first.code) == (SubmitStatus.DENIED, "NOTIONAL_TOO_LARGE")
    assert first.numbers == {"measured": "50", "limit": "10", "acceptable": "10"}
    core.gate.install(policy())
    second = await submit(core, market_order(), idem)
    assert (second.status, second.replayed, second.numbers) == (SubmitStatus.DENIED, True, first.numbers)
    assert fake(core).submits == []


async def test_after_the_time_to_live_a_key_answers_the_present_state_of_its_order() -> None:
    core = make_core()
    fake(core).scripts.append(Script(act=True, rest=True))
    idem = mark_of()
    first = await submit(core, market_order(), idem)
    assert first.order.status is OrderStatus.ACCEPTED
    fill = fake(core).fill(first.order.client_order_id, D("0.001"))
    apply_report(core, fake(core).report(first.order.client_order_id, with_fill=fill))
    assert (await submit(core, market_order(), idem)).order.status is OrderStatus.ACCEPTED
    fake(core).clock.advance(601_000)
    later = await submit(core, market_order(), idem)
    assert (later.replayed, later.order.status) == (True, OrderStatus.FILLED)


async def test_an_unusable_request_leaves_its_key_free() -> None:
    core = make_core()
    idem = mark_of()
    with pytest.raises(NotFound):
        await submit(core, market_order(symbol="NOPEUSDT.BINANCE"), idem)
    assert (await submit(core, market_order(), idem)).status is SubmitStatus.CREATED


async def test_an_unknown_venue_is_an_error_and_never_another_venue() -> None:
    core = make_core()
    with pytest.raises(InvalidRequest) as refused:
        await submit(core, market_order(symbol="BTCUSDT.KRAKEN"), mark_of())
    assert refused.value.code == "VENUE_UNKNOWN"


async def test_nothing_is_taken_before_the_engine_is_ready() -> None:
    core = make_core(ready=False)
    with pytest.raises(Unavailable) as refused:
        await submit(core, market_order(), mark_of())
    assert refused.value.code == "ENGINE_NOT_READY"


async def test_a_client_order_id_is_used_once() -> None:
    core = make_core()
    request = market_order()
    named = type(request)(
        symbol=request.symbol,
        market=request.market,
        side=request.side,
        type=request.type,
        quantity=request.quantity,
        client_order_id="mine-0001",
    )
    await submit(core, named, mark_of())
    with pytest.raises(Conflict):
        await submit(core, named, mark_of())


async def test_a_caller_that_goes_away_does_not_stop_its_order() -> None:
    core = make_core()
    task = asyncio.create_task(submit(core, market_order(), mark_of()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await core.settle()
    (order,) = core.state.image.orders.values()
    assert order.status is OrderStatus.FILLED


async def test_an_order_caught_by_a_halt_between_disk_and_wire_is_not_sent() -> None:
    core = make_core()
    task = asyncio.create_task(submit(core, limit_order("49000"), mark_of()))
    await asyncio.sleep(0)
    core.record(e.TradingHalted(at_ms=core.clock.now_ms(), reason="test", principal="tester"))
    result = await task
    assert (result.status, result.code) == (SubmitStatus.NOT_PLACED, "TRADING_HALTED")
    assert fake(core).submits == []


async def test_a_thousand_concurrent_orders_cannot_pass_a_cap_together() -> None:
    core = make_core(limits=policy(symbol_exposure_cap="2000"), cash=D("10000000"))
    for _ in range(1000):
        fake(core).scripts.append(Script(rest=True))
    results = await asyncio.gather(*(submit(core, market_order(), mark_of()) for _ in range(1000)))
    created = [result for result in results if result.status is SubmitStatus.CREATED]
    assert len(created) == 40
    assert {r.code for r in results if r.status is SubmitStatus.DENIED} == {"EXPOSURE_SYMBOL_CAP"}
    assert core.state.exposure.totals.worst == D("2000")


async def test_a_dead_journal_takes_no_orders_and_sends_nothing() -> None:
    core = make_core()
    core.phase = Phase.FAILED
    with pytest.raises(Unavailable):
        await submit(core, market_order(), mark_of())
    assert fake(core).submits == []


async def test_events_reach_the_bus_in_order_with_their_sequence() -> None:
    core = make_core()
    seen: list[Recorded] = []
    core.publish = seen.append
    await submit(core, market_order(), mark_of())
    assert [recorded.seq for recorded in seen] == sorted(recorded.seq for recorded in seen)
    assert isinstance(seen[-1].event, e.AnswerRecorded)


async def test_selling_back_leaves_no_cost_behind() -> None:
    core = make_core()
    await submit(core, market_order("0.003"), mark_of())
    fake(core).prices["BTCUSDT.BINANCE"] = D("50500")
    result = await submit(core, market_order("0.003", side=OrderSide.SELL), mark_of())
    assert result.status is SubmitStatus.CREATED
    books = core.state.portfolio
    assert books.holdings["BINANCE|spot|BTC"].cost == 0
    assert books.realised == D("1.5")
    assert books.identity_error == 0
    assert books.holding("BINANCE", result.order.market, "USDT") == fake(core).balances[(result.order.market, "USDT")]


async def test_a_venue_that_refuses_our_keys_is_left_alone() -> None:
    core = make_core()
    fake(core).scripts.append(Script(act=False, say=Rejected(code="VENUE_AUTH", reason="keys", stop_venue=True)))
    await submit(core, market_order(), mark_of())
    second = await submit(core, market_order(), mark_of())
    assert second.code == "VENUE_BREAKER_OPEN"


async def test_a_duplicate_answer_is_evidence_and_no_rejection() -> None:
    core = make_core()
    fake(core).scripts.append(Script(act=True, say=OutcomeUnknown(reason="duplicate", duplicate=True)))
    result = await submit(core, market_order(), mark_of())
    assert result.status is SubmitStatus.IN_DOUBT
    await core.settle()
    order = core.state.order(result.order.client_order_id)
    assert order is not None
    assert order.status is OrderStatus.FILLED
