"""A change in place that is asked for again under its key, and one whose end a cancel kept from view."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.errors import InvalidRequest
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderStatus
from engine_service.execution.amend import amend
from engine_service.execution.amend_result import AmendStatus
from engine_service.execution.cancel import CancelStatus, cancel
from engine_service.execution.core import EngineCore
from engine_service.execution.recover import put_in_doubt
from engine_service.execution.submit import submit
from engine_service.storage.codec import decode, encode
from engine_service.venues.reports import Accepted, OutcomeUnknown, Rejected
from tests.fakes.engine import START_MS, fake, limit_order, make_core, mark_of
from tests.fakes.venue import FakeVenue, Script

pytestmark = pytest.mark.anyio
D = Decimal
MARKETS = (Market.SPOT, Market.FUTURES)
LOST = OutcomeUnknown(reason="no answer")
LATER = Rejected(code="VENUE_RATE_LIMITED", reason="later")


def a_core() -> EngineCore:
    return make_core(venue=FakeVenue(ManualClock(START_MS), markets=MARKETS))


async def resting(core: EngineCore, market: Market = Market.FUTURES) -> str:
    return (await submit(core, limit_order("49900", "0.004", market=market), mark_of())).order.client_order_id


def order_of(core: EngineCore, cid: str) -> Order:
    return core.state.order(cid) or core.state.image.orders[cid]


@pytest.mark.parametrize("market", MARKETS)
async def test_a_change_in_place_that_is_asked_again_is_answered_again(market: Market) -> None:
    core = a_core()
    cid = await resting(core, market)
    first = await amend(core, cid, quantity=D("0.002"), principal="tester", mark=mark_of("shrink-it"))
    again = await amend(core, cid, quantity=D("0.002"), principal="tester", mark=mark_of("shrink-it"))
    assert (first.status, again.status) == (AmendStatus.UPDATED, AmendStatus.UPDATED)
    assert (again.order.client_order_id, again.order.quantity) == (cid, D("0.002"))


async def test_what_became_of_a_change_is_told_whatever_came_after_it() -> None:
    core = a_core()
    cid = await resting(core)
    await amend(core, cid, limit_price=D(49_800), principal="tester", mark=mark_of("the-first-change"))
    fake(core).scripts.append(Script(act=False, say=Rejected(code="VENUE_FILTER_FAILURE", reason="no")))
    await amend(core, cid, limit_price=D(49_700), principal="tester", mark=mark_of("the-second-change"))
    await amend(core, cid, limit_price=D(49_600), principal="tester", mark=mark_of("the-third-change"))
    await cancel(core, cid, principal="tester")
    told = [
        (await amend(core, cid, limit_price=D(price), principal="tester", mark=mark_of(key))).status.value
        for price, key in ((49_800, "the-first-change"), (49_700, "the-second-change"), (49_600, "the-third-change"))
    ]
    assert told == ["updated", "refused", "updated"]


async def test_a_change_that_was_never_written_down_leaves_its_key_free() -> None:
    core = a_core()
    cid = await resting(core)
    with pytest.raises(InvalidRequest, match="NOTHING_TO_CHANGE"):
        await amend(core, cid, limit_price=D(49_900), principal="tester", mark=mark_of("one-change"))
    await amend(core, cid, limit_price=D(49_800), principal="tester", mark=mark_of("another-change"))
    done = await amend(core, cid, limit_price=D(49_900), principal="tester", mark=mark_of("one-change"))
    assert (done.status, done.order.limit_price) == (AmendStatus.UPDATED, D(49_900))


async def test_a_change_of_an_older_journal_reads_and_writes_as_before() -> None:
    old = e.OrderPendingUpdate(at_ms=1, client_order_id="c", quantity=D(1))
    assert b"idempotency" not in encode(old)
    assert decode(e.OrderPendingUpdate, encode(old)) == old


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("cancel_first", [False, True], ids=["change ends first", "cancel ends first"])
async def test_a_change_that_ends_unknown_under_a_refused_cancel_is_settled(done: bool, cancel_first: bool) -> None:
    core = a_core()
    cid = await resting(core)
    core.answer_deadline_s = 0.02
    change_ends, cancel_ends = asyncio.Event(), asyncio.Event()

    async def change(venue: FakeVenue, order: Order) -> None:
        await change_ends.wait()

    async def refuse(venue: FakeVenue, order: Order) -> None:
        await cancel_ends.wait()

    fake(core).scripts.append(Script(act=done, say=LOST, during=change))
    fake(core).cancel_scripts.append(Script(act=False, say=LATER, during=refuse))
    await amend(core, cid, limit_price=D(49_800), quantity=D("0.006"), principal="tester", mark=mark_of("one-change"))
    await cancel(core, cid, principal="tester")
    for ends in (cancel_ends, change_ends) if cancel_first else (change_ends, cancel_ends):
        ends.set()
        await asyncio.sleep(0.02)
    fake(core).clock.advance(60_000)
    await core.settle()
    doubts = [row.event for row in core.journal.order_history(cid) if isinstance(row.event, e.OrderInDoubt)]
    assert [event.doubt for event in doubts] == [Doubt.REPLACE]
    order = order_of(core, cid)
    assert (order.status, order.has_pending_change) == (OrderStatus.ACCEPTED, False)
    assert (order.limit_price, order.quantity) == ((D(49_800), D("0.006")) if done else (D(49_900), D("0.004")))
    assert core.state.exposure.totals.worst == order.unit_value * (order.quantity or D(0))


async def test_a_replacement_that_ends_unknown_under_a_refused_cancel_is_settled() -> None:
    core = a_core()
    cid = await resting(core, Market.SPOT)

    async def cancels(venue: FakeVenue, order: Order) -> None:
        found = await cancel(core, cid, principal="tester")
        assert found.status is CancelStatus.REFUSED

    fake(core).scripts.append(Script(act=False, say=LOST, during=cancels))
    fake(core).cancel_scripts.append(Script(act=False, say=LATER))
    await amend(core, cid, limit_price=D(49_800), principal="tester", mark=mark_of("one-change"))
    fake(core).clock.advance(60_000)
    await core.settle()
    order = order_of(core, cid)
    assert (order.status, order.has_pending_change, order.limit_price) == (OrderStatus.ACCEPTED, False, D(49_900))


async def test_a_start_settles_a_change_that_was_left_behind() -> None:
    core = a_core()
    cid = await resting(core)
    await core.commit(
        e.OrderPendingUpdate(at_ms=1, client_order_id=cid, limit_price=D(49_800)),
        e.OrderPendingCancel(at_ms=2, client_order_id=cid),
        e.OrderCancelRejected(at_ms=3, client_order_id=cid, code="X", reason="no"),
    )
    assert await put_in_doubt(core) == [cid]
    assert (order_of(core, cid).doubt, order_of(core, cid).resting_status) == (Doubt.REPLACE, OrderStatus.ACCEPTED)


async def test_an_order_in_whose_place_the_venue_took_none_is_told_as_canceled() -> None:
    core = a_core()
    cid = await resting(core, Market.SPOT)

    async def only_the_cancel(venue: FakeVenue, order: Order) -> None:
        venue.orders[cid].status = OrderStatus.CANCELED

    why = "-2010 Order would immediately match and take."
    said = Accepted(venue_order_id="v", status=OrderStatus.CANCELED, refused=why)
    fake(core).scripts.append(Script(act=False, say=said, during=only_the_cancel))
    for _ in range(2):
        result = await amend(core, cid, limit_price=D(49_950), principal="tester", mark=mark_of("move-it-up"))
        assert (result.status, result.order.client_order_id, result.replaced) == (AmendStatus.CANCELED, cid, None)
        await core.settle()
    assert order_of(core, cid).status is OrderStatus.CANCELED
    assert why in order_of(core, cid).reason
