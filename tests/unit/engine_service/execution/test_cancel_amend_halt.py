"""Cancelling, changing and stopping: races with fills, refusals, doubts, and what a halt leaves possible."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine_service.domain.clock import ManualClock
from engine_service.domain.errors import Conflict, InvalidRequest, NotFound, Refused
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.execution.amend import amend
from engine_service.execution.amend_result import AmendStatus, replacement_id
from engine_service.execution.answers import SubmitStatus
from engine_service.execution.apply_report import apply_report
from engine_service.execution.cancel import CancelStatus, cancel, cancel_all
from engine_service.execution.core import EngineCore
from engine_service.execution.halt import flatten, halt, resume
from engine_service.execution.submit import submit
from engine_service.venues.reports import Accepted, ReadFailed, Rejected
from tests.fakes.engine import (
    START_MS,
    fake,
    limit_order,
    make_core,
    mark_of,
    market_order,
    open_journal,
    opening,
    policy,
)
from tests.fakes.venue import FakeVenue, Script, unknown

pytestmark = pytest.mark.anyio
D = Decimal


async def resting(core: EngineCore, price: str = "49000", quantity: str = "0.002") -> str:
    return (await submit(core, limit_order(price, quantity), mark_of())).order.client_order_id


def status_of(core: EngineCore, cid: str) -> OrderStatus:
    order = core.state.order(cid)
    assert order is not None
    return order.status


async def test_a_cancel_is_on_disk_before_it_is_asked_and_frees_the_reservation() -> None:
    core = make_core()
    cid = await resting(core)
    seen: list[OrderStatus] = []

    async def look(venue: FakeVenue, order: Order) -> None:
        stored = core.journal.order(order.client_order_id)
        assert stored is not None
        seen.append(stored.status)

    fake(core).cancel_scripts.append(Script(during=look))
    result = await cancel(core, cid, principal="tester")
    assert result.status is CancelStatus.CANCELED
    assert seen == [OrderStatus.PENDING_CANCEL]
    assert core.state.exposure.totals.worst == 0


async def test_a_fill_that_wins_the_race_is_told_as_filled() -> None:
    core = make_core()
    cid = await resting(core)

    async def fill_first(venue: FakeVenue, order: Order) -> None:
        venue.fill(order.client_order_id, D("0.002"))

    refusal = Rejected(code="VENUE_ORDER_UNKNOWN", reason="unknown order")
    fake(core).cancel_scripts.append(Script(act=False, say=refusal, during=fill_first))
    await cancel(core, cid, principal="tester")
    await core.settle()
    assert status_of(core, cid) is OrderStatus.FILLED
    assert core.state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == D("0.002")


async def test_a_partial_fill_before_the_cancel_is_kept() -> None:
    core = make_core()
    cid = await resting(core)

    async def fill_some(venue: FakeVenue, order: Order) -> None:
        venue.fill(order.client_order_id, D("0.0005"))

    fake(core).cancel_scripts.append(Script(during=fill_some))
    await cancel(core, cid, principal="tester")
    await core.settle()
    order = core.state.order(cid)
    assert order is not None
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELED, D("0.0005"))


async def test_a_refused_cancel_of_a_working_order_leaves_it_working() -> None:
    core = make_core()
    cid = await resting(core)
    fake(core).cancel_scripts.append(Script(act=False, say=Rejected(code="VENUE_BUSY", reason="no")))
    result = await cancel(core, cid, principal="tester")
    assert result.status is CancelStatus.REFUSED
    assert status_of(core, cid) is OrderStatus.ACCEPTED


async def test_an_unknown_cancel_that_was_done_ends_as_canceled() -> None:
    core = make_core()
    cid = await resting(core)
    fake(core).cancel_scripts.append(Script(act=True, say=unknown()))
    await cancel(core, cid, principal="tester")
    await core.settle()
    assert status_of(core, cid) is OrderStatus.CANCELED
    assert len(fake(core).cancels) == 1


async def test_an_unknown_cancel_that_was_not_done_is_sent_again_and_not_in_a_storm() -> None:
    core = make_core()
    cid = await resting(core)
    fake(core).cancel_scripts.append(Script(act=False, say=unknown()))
    asked_ms = core.clock.now_ms()
    await cancel(core, cid, principal="tester")
    await core.settle()
    assert status_of(core, cid) is OrderStatus.CANCELED
    assert fake(core).cancels == [cid, cid]
    assert core.clock.now_ms() - asked_ms >= 2_000


async def test_finished_and_unknown_orders_cannot_be_cancelled() -> None:
    core = make_core()
    cid = (await submit(core, market_order(), mark_of())).order.client_order_id
    with pytest.raises(Conflict) as refused:
        await cancel(core, cid, principal="tester")
    assert (refused.value.code, refused.value.numbers) == ("ORDER_TERMINAL", {"status": "FILLED"})
    with pytest.raises(NotFound):
        await cancel(core, "nobody", principal="tester")


async def test_cancel_all_takes_only_what_matches() -> None:
    core = make_core()
    bitcoin = await resting(core)
    ether = (await submit(core, limit_order("2450", "0.01", symbol="ETHUSDT.BINANCE"), mark_of())).order
    results = await cancel_all(core, principal="tester", symbol="BTCUSDT.BINANCE")
    assert [result.order.client_order_id for result in results] == [bitcoin]
    assert status_of(core, ether.client_order_id) is OrderStatus.ACCEPTED


async def test_shrinking_keeps_the_order_and_frees_what_is_no_longer_needed() -> None:
    core = make_core()
    cid = await resting(core)
    result = await amend(core, cid, quantity=D("0.001"), principal="tester", mark=mark_of("k1"))
    assert (result.status, result.order.quantity, result.replaced) == (AmendStatus.UPDATED, D("0.001"), None)
    assert core.state.exposure.totals.worst == D("49")


async def test_another_price_replaces_the_order_under_an_id_of_its_own() -> None:
    core = make_core()
    cid = await resting(core)
    result = await amend(core, cid, limit_price=D("49500"), principal="tester", mark=mark_of("k1"))
    await core.settle()
    assert result.status is AmendStatus.UPDATED
    assert result.order.client_order_id != cid
    assert status_of(core, cid) is OrderStatus.CANCELED
    assert status_of(core, result.order.client_order_id) is OrderStatus.ACCEPTED
    assert core.state.exposure.totals.worst == D("99")


async def test_a_refused_change_leaves_the_order_as_it_was() -> None:
    core = make_core()
    cid = await resting(core)
    fake(core).scripts.append(Script(act=False, say=Rejected(code="VENUE_FILTER", reason="no")))
    result = await amend(core, cid, limit_price=D("49500"), principal="tester", mark=mark_of("k1"))
    assert (result.status, result.order.status) == (AmendStatus.REFUSED, OrderStatus.ACCEPTED)
    assert result.order.limit_price == D("49000")


async def test_a_change_that_was_done_is_told_so_whatever_was_refused_before() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,)))
    placed = await submit(core, limit_order("49900", "0.004", market=Market.FUTURES), mark_of())
    cid = placed.order.client_order_id
    fake(core).scripts.append(Script(act=False, say=Rejected(code="VENUE_FILTER_FAILURE", reason="no")))
    refused = await amend(core, cid, limit_price=D(49_800), principal="tester", mark=mark_of("the-first-change"))
    assert refused.status is AmendStatus.REFUSED
    done = await amend(core, cid, limit_price=D(49_850), principal="tester", mark=mark_of("the-second-change"))
    assert (done.status, done.order.limit_price) == (AmendStatus.UPDATED, D(49_850))


@pytest.mark.parametrize("canceled", [False, True])
@pytest.mark.parametrize("done", [False, True])
async def test_what_became_of_a_change_holds_also_where_a_cancel_overtook_it(canceled: bool, done: bool) -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,)))
    placed = await submit(core, limit_order("49900", "0.004", market=Market.FUTURES), mark_of())
    cid = placed.order.client_order_id
    if not canceled:
        refusal = Rejected(code="VENUE_RATE_LIMITED", reason="later")
        fake(core).cancel_scripts.append(Script(act=False, say=refusal))

    async def cancels(venue: FakeVenue, order: Order) -> None:
        await cancel(core, cid, principal="tester")

    refused = Rejected(code="VENUE_FILTER_FAILURE", reason="no")
    fake(core).scripts.append(Script(during=cancels) if done else Script(act=False, say=refused, during=cancels))
    result = await amend(
        core, cid, limit_price=D(49_800), quantity=D("0.006"), principal="tester", mark=mark_of("overtaken-1")
    )
    size = D("0.006") if done else D("0.004")
    assert result.order.quantity == size
    assert result.order.status is (OrderStatus.CANCELED if canceled else OrderStatus.ACCEPTED)
    assert (result.order.pending_quantity, result.order.pending_limit_price) == (None, None)
    assert core.state.exposure.totals.worst == (D(0) if canceled else size * D(49_900))


@pytest.mark.parametrize("told", ["its trades", "its trades and its end"])
async def test_a_size_below_what_had_traded_by_then_ends_the_order_and_is_not_its_size(told: str) -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,)))
    placed = await submit(core, limit_order("49900", "0.004", market=Market.FUTURES), mark_of())
    cid = placed.order.client_order_id

    async def trades(venue: FakeVenue, order: Order) -> None:
        venue.fill(cid, D("0.003"))
        apply_report(core, venue.report(cid, with_fill=venue.orders[cid].fills[-1]))
        venue.orders[cid].status = OrderStatus.CANCELED
        if told == "its trades and its end":
            apply_report(core, venue.report(cid))

    fake(core).scripts.append(Script(during=trades))
    await amend(core, cid, quantity=D("0.002"), principal="tester", mark=mark_of("below-what-traded"))
    await core.settle()
    order = core.state.order(cid)
    assert order is not None
    assert (order.status, order.filled_quantity, order.overfill) == (OrderStatus.CANCELED, D("0.003"), False)
    assert order.quantity is not None
    assert order.quantity > order.filled_quantity


async def test_a_change_that_came_too_late_is_not_told_as_done() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,)))
    placed = await submit(core, limit_order("49900", "0.004", market=Market.FUTURES), mark_of())
    cid = placed.order.client_order_id

    async def fills(venue: FakeVenue, order: Order) -> None:
        venue.fill(cid, D("0.004"))
        apply_report(core, venue.report(cid, with_fill=venue.orders[cid].fills[-1]))

    gone = Rejected(code="VENUE_UNKNOWN_ORDER", reason="no such order")
    fake(core).scripts.append(Script(act=False, say=gone, during=fills))
    late = await amend(core, cid, limit_price=D(49_800), principal="tester", mark=mark_of("the-late-change"))
    assert (late.status, late.order.status, late.order.limit_price) == (
        AmendStatus.REFUSED,
        OrderStatus.FILLED,
        D(49_900),
    )


@pytest.mark.parametrize("told", ["by the answer", "by the stream", "filled at once"])
async def test_a_replacement_has_the_size_that_the_old_order_left(told: str) -> None:
    core = make_core()
    cid, left = await resting(core), D("0.0008")
    new_id = replacement_id(core, core.state.image.orders[cid], "tester", "the-key")
    status = OrderStatus.FILLED if told == "filled at once" else OrderStatus.ACCEPTED
    known = None if told == "by the stream" else left
    executed = left if told == "filled at once" else D(0)
    said = Accepted(venue_order_id="77", status=status, quantity=known, executed_quantity=executed)

    async def traded(venue: FakeVenue, order: Order) -> None:
        venue.fill(cid, D("0.0012"))
        venue.orders[cid].status = OrderStatus.CANCELED
        record = venue.place(replace(order, client_order_id=new_id, quantity=left, limit_price=D(49_500)))
        record.venue_order_id = "77"
        if told == "filled at once":
            venue.fill(new_id, left)

    fake(core).scripts.append(Script(act=False, say=said, during=traded))
    result = await amend(core, cid, limit_price=D(49_500), principal="tester", mark=mark_of("the-key"))
    if told == "by the stream":
        apply_report(core, fake(core).report(new_id))
    await core.settle()
    new = core.state.order(new_id)
    assert new is not None
    assert (result.status, new.quantity, new.status) == (AmendStatus.UPDATED, left, status)
    assert core.state.exposure.reserved["BINANCE|spot|USDT"] == (D(0) if executed else left * D(49_500))
    assert "Anomaly" not in {row.kind for row in core.journal.events_after(0, 1_000)}


async def test_an_unknown_change_leaves_both_orders_in_doubt_until_each_is_read() -> None:
    core = make_core()
    cid = await resting(core)
    fake(core).scripts.append(Script(act=True, say=unknown()))
    result = await amend(core, cid, limit_price=D("49500"), principal="tester", mark=mark_of("k1"))
    await core.settle()
    assert status_of(core, cid) is OrderStatus.CANCELED
    (new,) = [o for o in core.state.open_orders.values() if o.client_order_id != cid]
    assert (new.status, new.limit_price) == (OrderStatus.ACCEPTED, D("49500"))
    assert result.status in {AmendStatus.PENDING, AmendStatus.UPDATED}


async def test_a_change_cannot_slip_past_a_rail() -> None:
    core = make_core(limits=policy(symbol_exposure_cap="100"))
    cid = await resting(core)
    with pytest.raises(Refused) as refused:
        await amend(core, cid, quantity=D("0.003"), principal="tester", mark=mark_of("k1"))
    assert refused.value.code == "EXPOSURE_SYMBOL_CAP"
    assert status_of(core, cid) is OrderStatus.ACCEPTED
    assert core.state.exposure.totals.worst == D("98")


async def test_a_change_of_nothing_is_refused() -> None:
    core = make_core()
    cid = await resting(core)
    with pytest.raises(InvalidRequest):
        await amend(core, cid, limit_price=D("49000.001"), principal="tester", mark=mark_of("k1"))


async def test_a_halt_takes_effect_before_it_is_answered_cancels_orders_and_keeps_protection() -> None:
    core = make_core()
    core.record(opening(core, Market.SPOT, "BTC", D("0.01"), D("50000")))
    fake(core).deposit("BTC", D("0.01"))
    cid = await resting(core)
    stop = limit_order("51000", "0.001", side=OrderSide.SELL)
    protection = type(stop)(
        symbol=stop.symbol,
        market=stop.market,
        side=stop.side,
        type=stop.type,
        quantity=stop.quantity,
        limit_price=stop.limit_price,
        reduce_only=True,
    )
    kept = (await submit(core, protection, mark_of())).order.client_order_id
    work = halt(core, reason="drill", principal="me")
    result = await work
    assert core.state.halted
    assert [r.order.client_order_id for r in result.canceled] == [cid]
    assert status_of(core, kept) is OrderStatus.ACCEPTED
    refused = await submit(core, market_order(), mark_of())
    assert refused.code == "TRADING_HALTED"
    reducing = market_order("0.001", side=OrderSide.SELL, reduce_only=True)
    fake(core).prices["BTCUSDT.BINANCE"] = D("50000")
    assert (await submit(core, reducing, mark_of())).status is SubmitStatus.CREATED


async def test_only_a_reason_lifts_a_halt() -> None:
    core = make_core()
    await halt(core, reason="", principal="me")
    with pytest.raises(InvalidRequest):
        await resume(core, reason=" ", principal="me")
    await resume(core, reason="checked", principal="me")
    assert not core.state.halted
    with pytest.raises(Conflict):
        await resume(core, reason="again", principal="me")


async def test_flatten_closes_everything_while_halted_and_once_per_key() -> None:
    core = make_core(venue=FakeVenue(fake(make_core()).clock, markets=(Market.SPOT, Market.FUTURES)))
    await submit(core, market_order("0.002"), mark_of())
    await submit(core, market_order("0.003", market=Market.FUTURES, side=OrderSide.SELL), mark_of())
    await resting(core)
    await halt(core, reason="drill", principal="me")
    idem = mark_of()
    result = await flatten(core, idem=idem, principal="me")
    assert [r.status for r in result.orders] == [SubmitStatus.CREATED] * 2
    assert core.state.portfolio.position("BTCUSDT.BINANCE") == 0
    assert core.state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == 0
    sends = len(fake(core).submits)
    await flatten(core, idem=idem, principal="me")
    assert len(fake(core).submits) == sends
    assert core.state.portfolio.identity_error == 0


async def test_a_halt_is_kept() -> None:
    assert (await halt(make_core(), reason="now", principal="me")).kept


async def test_flatten_closes_what_an_order_in_doubt_holds_back() -> None:
    core = make_core()
    await submit(core, market_order("0.002"), mark_of())
    fake(core).scripts.append(Script(act=False, say=unknown()))
    doubtful = await submit(core, limit_order("51000", "0.002", side=OrderSide.SELL), mark_of())
    assert status_of(core, doubtful.order.client_order_id) is OrderStatus.IN_DOUBT
    result = await flatten(core, idem=mark_of(), principal="me")
    assert [found.status for found in result.orders] == [SubmitStatus.CREATED]
    assert result.left == {"BTCUSDT.BINANCE": "ORDER_IN_DOUBT"}
    assert core.state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == 0
    # What may still be at the venue goes on counting.
    assert core.state.exposure.reserved["BINANCE|spot|BTC"] == D("0.002")


async def test_flatten_says_that_a_position_may_still_come() -> None:
    core = make_core()
    core.answer_deadline_s = 0.01
    fake(core).scripts.append(Script(say=unknown()))
    fake(core).query_answers.extend([ReadFailed(reason="HTTP 503")] * 10_000)
    await submit(core, market_order("0.002"), mark_of())
    result = await flatten(core, idem=mark_of(), principal="me")
    assert (result.orders, result.left) == ((), {"BTCUSDT.BINANCE": "ORDER_IN_DOUBT"})
    fake(core).query_answers.clear()
    await core.settle()
    assert (await flatten(core, idem=mark_of(), principal="me")).left == {}
    assert core.state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == 0


async def test_flatten_names_what_it_could_not_close_and_why() -> None:
    core = make_core()
    await submit(core, market_order("0.002"), mark_of())
    fake(core).scripts.append(Script(act=False, say=Rejected(code="VENUE_INSUFFICIENT_FUNDS", reason="not enough")))
    result = await flatten(core, idem=mark_of(), principal="me")
    assert result.left == {"BTCUSDT.BINANCE": "VENUE_INSUFFICIENT_FUNDS"}


async def test_a_report_that_contradicts_an_order_puts_it_aside() -> None:
    core = make_core()
    cid = await resting(core)
    report = fake(core).report(cid)
    wrong = type(report)(
        symbol=report.symbol,
        market=report.market,
        client_order_id=cid,
        venue_order_id="another",
        side=report.side,
        type=report.type,
        status=report.status,
        quantity=report.quantity,
        executed_quantity=report.executed_quantity,
    )
    apply_report(core, wrong)
    assert status_of(core, cid) is OrderStatus.QUARANTINED
    assert core.state.restriction("BTCUSDT.BINANCE", Market.SPOT, core.clock.now_ms()) is not None
    assert core.state.exposure.totals.worst == D("98")


async def test_a_word_that_comes_twice_or_late_changes_nothing() -> None:
    core = make_core()
    cid = await resting(core)
    early = fake(core).report(cid)
    fill = fake(core).fill(cid, D("0.002"))
    late = fake(core).report(cid, with_fill=fill)
    told_again = fake(core).report(cid, with_fill=replace(fill))
    for report in (late, told_again, early, late, early):
        apply_report(core, report)
    order = core.state.order(cid)
    assert order is not None
    assert (order.status, order.filled_quantity) == (OrderStatus.FILLED, D("0.002"))
    assert core.state.image.counts.get("Anomaly", 0) == 0


async def test_more_filled_than_ordered_is_booked_flagged_and_stops_the_symbol() -> None:
    core = make_core()
    cid = await resting(core, quantity="0.001")
    for quantity in ("0.001", "0.0001"):
        fill = fake(core).fill(cid, D(quantity))
        apply_report(core, fake(core).report(cid, with_fill=fill))
    order = core.state.order(cid)
    assert order is not None
    assert (order.status, order.overfill, order.filled_quantity) == (OrderStatus.FILLED, True, D("0.0011"))
    assert core.state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == D("0.0011")
    assert core.state.restriction("BTCUSDT.BINANCE", Market.SPOT, core.clock.now_ms()) is not None


async def test_trades_that_the_venue_counted_but_did_not_name_are_fetched() -> None:
    core = make_core()
    cid = await resting(core)
    fake(core).fill(cid, D("0.002"))
    apply_report(core, fake(core).report(cid))
    assert status_of(core, cid) is OrderStatus.ACCEPTED
    await core.settle()
    assert status_of(core, cid) is OrderStatus.FILLED


async def test_a_cancel_that_the_stream_told_first_is_answered_once_it_is_on_the_disk(tmp_path: Path) -> None:
    core = make_core(journal=open_journal(tmp_path))
    cid = await resting(core)

    async def tell(venue: FakeVenue, order: Order) -> None:
        venue.orders[cid].status = OrderStatus.CANCELED
        apply_report(core, venue.report(cid))

    fake(core).cancel_scripts.append(Script(during=tell))
    result = await cancel(core, cid, principal="tester")
    stored = core.journal.order(cid)
    assert stored is not None
    assert (result.status, stored.status) == (CancelStatus.CANCELED, OrderStatus.CANCELED)
    core.journal.close()
