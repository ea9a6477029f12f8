"""Situations that seeded schedules brought to light, each as small as it can be told."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.amend import amend
from engine_service.execution.cancel import cancel
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile import reconcile
from engine_service.execution.recover import start_up
from engine_service.execution.resolve import ACK_WAIT_S
from engine_service.execution.submit import submit
from engine_service.execution.user_stream import take
from engine_service.venues.reports import Accepted, BalanceReport, QueryOutcome, Rejected
from tests.fakes.engine import fake, limit_order, make_core, mark_of, restart
from tests.fakes.venue import FakeVenue, Script, unknown

pytestmark = pytest.mark.anyio
D = Decimal


def futures_core() -> EngineCore:
    return make_core(venue=FakeVenue(fake(make_core()).clock, markets=(Market.FUTURES,)))


async def resting(core: EngineCore, quantity: str = "0.010") -> str:
    request = limit_order("49000", quantity, market=next(iter(fake(core).markets)))
    return (await submit(core, request, mark_of())).order.client_order_id


async def turn() -> None:
    """Let every other task run once."""
    await asyncio.sleep(0)


def order_of(core: EngineCore, cid: str) -> Order:
    order = core.state.order(cid)
    assert order is not None
    return order


async def test_a_change_in_doubt_is_not_called_undone_before_its_fence() -> None:
    core = futures_core()
    cid = await resting(core)
    fake(core).clock.advance(60_000)  # the fence of the send is long past
    fake(core).scripts.append(Script(act=False, say=unknown()))
    asked_ms = core.clock.now_ms()
    await amend(core, cid, quantity=D("0.008"), principal="tester", mark=mark_of("a1"))
    await core.settle()
    rejected = [r for r in core.journal.order_history(cid) if isinstance(r.event, e.OrderUpdateRejected)]
    assert [r.event.at_ms > asked_ms + 18_000 for r in rejected] == [True]


async def test_a_change_that_arrives_late_is_seen_and_not_refused() -> None:
    core = futures_core()
    cid = await resting(core)
    fake(core).scripts.append(Script(act=False, say=unknown()))
    work = asyncio.ensure_future(amend(core, cid, quantity=D("0.008"), principal="tester", mark=mark_of("a1")))
    asked_ms = core.clock.now_ms()
    while core.clock.now_ms() < asked_ms + 9_000:
        await turn()
    record = fake(core).orders[cid]
    record.order = replace(record.order, quantity=D("0.008"))
    await work
    await core.settle()
    assert (order_of(core, cid).quantity, order_of(core, cid).status) == (D("0.008"), OrderStatus.ACCEPTED)


async def test_an_order_made_smaller_and_filled_before_the_answer_is_complete() -> None:
    core = futures_core()
    cid = await resting(core)
    record = core.record
    record(e.OrderPendingUpdate(at_ms=1, client_order_id=cid, quantity=D("0.008")))
    fill = fake(core).fill(cid, D("0.008"))
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    record(e.OrderUpdated(at_ms=2, client_order_id=cid, quantity=D("0.008")))
    assert order_of(core, cid).status is OrderStatus.FILLED


async def test_an_order_the_venue_calls_filled_at_less_is_filled_and_the_difference_recorded() -> None:
    core = futures_core()
    cid = await resting(core)
    fill = fake(core).fill(cid, D("0.008"))
    fake(core).orders[cid].status = OrderStatus.FILLED
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    assert (order_of(core, cid).status, order_of(core, cid).quantity) == (OrderStatus.FILLED, D("0.008"))
    assert core.state.image.counts["Anomaly"] == 1


async def test_a_gateways_word_about_a_change_is_no_proof_of_it() -> None:
    core = futures_core()
    cid = await resting(core)
    gateway = Accepted(venue_order_id=order_of(core, cid).venue_order_id, status=OrderStatus.PENDING_ACK)
    fake(core).scripts.append(Script(act=False, say=gateway))
    await amend(core, cid, quantity=D("0.008"), principal="tester", mark=mark_of("a1"))
    await core.settle()
    assert order_of(core, cid).quantity == D("0.010")


async def test_a_cancel_asked_for_while_the_order_is_on_its_way_is_carried_out() -> None:
    core = make_core()
    released = asyncio.Event()

    async def meanwhile(venue: FakeVenue, order: Order) -> None:
        core.spawn("cancel-early", _cancelled(core, order.client_order_id))
        await released.wait()

    fake(core).scripts.append(Script(during=meanwhile))
    asking = asyncio.ensure_future(submit(core, limit_order("49000"), mark_of()))
    while not any(order.cancel_requested for order in core.state.open_orders.values()):
        await turn()
    released.set()
    cid = (await asking).order.client_order_id
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.CANCELED


async def _cancelled(core: EngineCore, cid: str) -> None:
    await cancel(core, cid, principal="tester")


async def test_a_wish_to_cancel_survives_a_crash() -> None:
    core = make_core()
    cid = await resting(core)
    core.record(e.OrderCancelRequested(at_ms=1, client_order_id=cid))
    core.tasks.clear()
    again = restart(core, core.journal, core.journal.last_seq)
    await start_up(again, epoch=2, version="test")
    await again.settle()
    assert order_of(again, cid).status is OrderStatus.CANCELED


async def test_an_order_proved_absent_is_asked_for_by_every_comparison() -> None:
    core = make_core()
    fake(core).scripts.append(Script(act=False, say=unknown()))
    cid = (await submit(core, limit_order("49000"), mark_of())).order.client_order_id
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.NOT_PLACED
    fake(core).place(order_of(core, cid))
    fake(core).orders[cid].status = OrderStatus.CANCELED  # it came and went, and never traded
    await reconcile(core)
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.CANCELED
    assert core.state.image.tombstones == {}


async def test_a_wall_clock_that_is_set_back_does_not_hide_an_order_from_the_comparison() -> None:
    core = make_core()
    cid = await resting(core)
    fake(core).orders[cid].status = OrderStatus.EXPIRED
    fake(core).clock.set_ms(core.clock.now_ms() - 3_600_000)
    await reconcile(core)
    assert order_of(core, cid).status is OrderStatus.EXPIRED


async def test_an_order_changed_behind_our_back_is_taken_as_the_venue_has_it() -> None:
    core = make_core()
    cid = await resting(core)
    record = fake(core).orders[cid]
    record.order = replace(record.order, limit_price=D("48500"))
    await reconcile(core)
    assert order_of(core, cid).limit_price == D("49000")  # it may be about to change: let it rest first
    fake(core).clock.advance(6_000)
    await reconcile(core)
    assert order_of(core, cid).limit_price == D("48500")


async def test_a_transfer_told_twice_is_booked_once() -> None:
    core = make_core()
    told = BalanceReport(
        venue="BINANCE", market=Market.SPOT, at_ms=7, transfer_asset="USDT", transfer_amount=D(5), kind="transfer"
    )
    for _ in range(2):
        take(core, "BINANCE", told)
    assert core.state.portfolio.transfers == D(5)


async def growing(core: EngineCore) -> str:
    """An order of 0.010 of which a change to 0.012 was sent and never answered."""
    cid = await resting(core)
    core.record(e.OrderPendingUpdate(at_ms=1, client_order_id=cid, quantity=D("0.012")))
    return cid


async def test_more_than_the_old_size_is_no_overfill_while_a_larger_one_may_be_in_force() -> None:
    core = futures_core()
    cid = await growing(core)
    record = fake(core).orders[cid]
    record.order = replace(record.order, quantity=D("0.012"))
    take(core, "BINANCE", fake(core).report(cid, with_fill=fake(core).fill(cid, D("0.011"))))
    order = order_of(core, cid)
    assert (order.overfill, order.quantity, order.status) == (False, D("0.012"), OrderStatus.PENDING_UPDATE)
    assert core.state.image.restrictions == {}


async def test_more_than_the_larger_size_is_an_overfill() -> None:
    core = futures_core()
    cid = await growing(core)
    take(core, "BINANCE", fake(core).report(cid, with_fill=fake(core).fill(cid, D("0.013"))))
    assert order_of(core, cid).overfill
    assert [held.code for held in core.state.image.restrictions.values()] == ["OVERFILL"]


async def test_an_order_filled_at_its_old_size_ends_by_the_venues_word_while_a_larger_one_is_in_doubt() -> None:
    core = futures_core()
    cid = await growing(core)
    fill = fake(core).fill(cid, D("0.010"))
    assert fake(core).orders[cid].status is OrderStatus.FILLED
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    order = order_of(core, cid)
    assert (order.status, order.quantity, order.reserved_value) == (OrderStatus.FILLED, D("0.010"), D(0))
    assert core.state.image.counts.get("Anomaly", 0) == 0


async def test_an_order_canceled_after_it_traded_its_old_size_is_canceled() -> None:
    core = futures_core()
    cid = await growing(core)
    fill = fake(core).fill(cid, D("0.010"))
    fake(core).orders[cid].status = OrderStatus.CANCELED  # of 0.012, as the venue has it
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    assert order_of(core, cid).status is OrderStatus.CANCELED


async def test_an_order_that_came_after_one_read_and_ended_before_the_other_is_not_called_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core()
    venue = fake(core)
    look_among_the_open = venue.query_open_order

    async def comes_and_ends(order: Order) -> QueryOutcome:
        if order.client_order_id not in venue.orders:
            venue.place(order, Script(rest=True)).status = OrderStatus.EXPIRED
        return await look_among_the_open(order)

    monkeypatch.setattr(venue, "query_open_order", comes_and_ends)
    venue.scripts.append(Script(act=False, say=unknown()))
    cid = (await submit(core, limit_order("49000"), mark_of())).order.client_order_id
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.EXPIRED
    assert "OrderNotPlaced" not in [recorded.kind for recorded in core.journal.order_history(cid)]


async def test_a_wish_to_cancel_that_could_not_be_sent_is_found_out_and_asked_again() -> None:
    core = make_core()
    venue = fake(core)

    async def slow(venue: FakeVenue, order: Order) -> None:
        await core.sleep(2 * ACK_WAIT_S)

    async def ended(venue: FakeVenue, order: Order) -> None:
        # And no word of it comes.
        venue.orders[order.client_order_id].status = OrderStatus.EXPIRED

    gateway = Accepted(venue_order_id="1", status=OrderStatus.PENDING_ACK)
    unsent = Rejected(code="VENUE_UNREACHABLE", reason="connection refused", not_sent=True)
    venue.scripts.append(Script(say=gateway))
    venue.cancel_scripts.append(Script(act=False, say=unknown(), during=slow))
    venue.cancel_scripts.append(Script(act=False, say=unsent, during=ended))
    cid = (await submit(core, limit_order("49000"), mark_of())).order.client_order_id
    await cancel(core, cid, principal="tester")
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.EXPIRED


async def test_an_order_whose_cancel_could_not_be_sent_is_still_waited_for() -> None:
    core = make_core()
    venue = fake(core)

    async def slow(venue: FakeVenue, order: Order) -> None:
        await core.sleep(2 * ACK_WAIT_S)
        venue.orders[order.client_order_id].status = OrderStatus.EXPIRED

    gateway = Accepted(venue_order_id="1", status=OrderStatus.PENDING_ACK)
    unsent = Rejected(code="VENUE_UNREACHABLE", reason="connection refused", not_sent=True)
    venue.scripts.append(Script(say=gateway))
    venue.cancel_scripts.append(Script(act=False, say=unsent, during=slow))
    asking = asyncio.ensure_future(submit(core, limit_order("49000"), mark_of()))
    while not any(order.status is OrderStatus.PENDING_ACK for order in core.state.open_orders.values()):
        await turn()
    (cid,) = core.state.open_orders
    await cancel(core, cid, principal="tester")
    await asking
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.EXPIRED
