"""Cancelling an order that the venue may or may not have; and what a cancel tells of the venue's health."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine_service.domain import events as e
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.cancel import CancelStatus, cancel, cancel_all
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.risk.breakers import BreakerState
from engine_service.venues.reports import NotFoundReport, OutcomeUnknown, Rejected
from tests.fakes.engine import fake, limit_order, make_core, mark_of
from tests.fakes.venue import FakeVenue, Script, unknown

pytestmark = pytest.mark.anyio
D = Decimal
NO_SUCH_ORDER = OutcomeUnknown(reason="-2011 Unknown order sent.", answered=True)


async def doubtful(core: EngineCore, *, placed: bool) -> Order:
    """Return an order whose answer was lost; reads of one that was placed are stale for a while."""
    fake(core).scripts.append(Script(act=placed, rest=True, say=unknown()))
    fake(core).query_answers.extend([NotFoundReport(endpoint="order")] * (5 if placed else 0))
    return (await submit(core, limit_order("49000"), mark_of())).order


def order_of(core: EngineCore, cid: str) -> Order:
    order = core.state.order(cid)
    assert order is not None
    return order


def wishes(core: EngineCore, cid: str) -> int:
    return sum(isinstance(found.event, e.OrderCancelRequested) for found in core.journal.order_history(cid))


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_the_wish_is_written_first_then_the_venue_is_asked_by_the_orders_own_id() -> None:
    core = make_core()
    order = await doubtful(core, placed=True)
    seen: list[int] = []

    async def look(venue: FakeVenue, sent: Order) -> None:
        seen.append(wishes(core, sent.client_order_id))

    fake(core).cancel_scripts.append(Script(during=look))
    result = await cancel(core, order.client_order_id, principal="tester")
    assert (result.status, result.order.status) == (CancelStatus.PENDING, OrderStatus.IN_DOUBT)
    await core.settle()
    assert seen == [1]
    assert fake(core).cancels == [order.client_order_id]
    assert order_of(core, order.client_order_id).status is OrderStatus.CANCELED
    assert core.state.exposure.totals.worst == 0


async def test_an_unknown_order_is_no_proof_and_one_that_lands_later_is_cancelled_then() -> None:
    core = make_core()
    venue = fake(core)
    order = await doubtful(core, placed=False)
    venue.cancel_scripts.append(Script(act=False, say=NO_SUCH_ORDER))
    await cancel(core, order.client_order_id, principal="tester")
    while venue.venue_time_ms() <= order.sent_at_ms + 12_000:
        await turns(1)
        assert order_of(core, order.client_order_id).status is OrderStatus.IN_DOUBT
    assert venue.cancels == [order.client_order_id]
    venue.place(order, Script(rest=True))
    await core.settle()
    assert order_of(core, order.client_order_id).status is OrderStatus.CANCELED
    assert venue.cancels == [order.client_order_id] * 2


async def test_one_that_was_never_placed_ends_by_the_fence_and_not_by_the_refused_cancel() -> None:
    core = make_core()
    order = await doubtful(core, placed=False)
    fake(core).cancel_scripts.append(Script(act=False, say=Rejected(code="VENUE_ORDER_UNKNOWN", reason="unknown")))
    await cancel(core, order.client_order_id, principal="tester")
    await core.settle()
    assert order_of(core, order.client_order_id).status is OrderStatus.NOT_PLACED
    assert fake(core).venue_time_ms() > order.fence_at_ms + 2_000


async def test_wishing_again_during_a_doubt_does_not_ask_again() -> None:
    core = make_core()
    order = await doubtful(core, placed=False)
    fake(core).cancel_scripts.append(Script(act=False, say=unknown()))
    for _ in range(3):
        assert (await cancel(core, order.client_order_id, principal="tester")).status is CancelStatus.PENDING
        await turns(5)
    assert fake(core).cancels == [order.client_order_id]
    assert wishes(core, order.client_order_id) == 3


async def test_a_fill_that_was_faster_than_the_cancel_is_booked() -> None:
    core = make_core()
    order = await doubtful(core, placed=True)

    async def fill_first(venue: FakeVenue, sent: Order) -> None:
        venue.fill(sent.client_order_id, D("0.001"))

    fake(core).cancel_scripts.append(Script(act=False, say=NO_SUCH_ORDER, during=fill_first))
    await cancel(core, order.client_order_id, principal="tester")
    await core.settle()
    settled = order_of(core, order.client_order_id)
    assert (settled.status, settled.filled_quantity) == (OrderStatus.FILLED, D("0.001"))


async def test_cancelling_everything_reaches_orders_in_doubt_too() -> None:
    core = make_core()
    order = await doubtful(core, placed=True)
    (found,) = await cancel_all(core, principal="tester")
    await core.settle()
    assert found.status is CancelStatus.PENDING
    assert order_of(core, order.client_order_id).status is OrderStatus.CANCELED


async def test_no_such_order_is_an_answer_and_does_not_open_the_breaker() -> None:
    core = make_core()
    for number in range(30):
        made = await submit(core, limit_order("49000", f"0.001{number:02}"), mark_of())
        fake(core).fill(made.order.client_order_id, made.order.quantity or D(0))
        fake(core).cancel_scripts.append(Script(act=False, say=NO_SUCH_ORDER))
        await cancel(core, made.order.client_order_id, principal="tester")
    breaker = core.gate.pace.venue("BINANCE")
    assert breaker.errors == 0
    assert breaker.state(core.clock.monotonic_s(), core.gate.policy) is BreakerState.CLOSED


async def test_cancels_that_nobody_answers_open_the_breaker() -> None:
    core = make_core()
    made = [await submit(core, limit_order("49000", f"0.001{number:02}"), mark_of()) for number in range(3)]
    for one in made:
        fake(core).cancel_scripts.append(Script(act=True, say=unknown()))
        await cancel(core, one.order.client_order_id, principal="tester")
    assert core.gate.pace.venue("BINANCE").errors == 3


async def test_a_venue_that_refuses_our_credentials_at_a_cancel_is_left_alone() -> None:
    core = make_core()
    made = await submit(core, limit_order("49000"), mark_of())
    refused = Rejected(code="VENUE_UNAUTHORIZED", reason="-2015", stop_venue=True)
    fake(core).cancel_scripts.append(Script(act=False, say=refused))
    await cancel(core, made.order.client_order_id, principal="tester")
    breaker = core.gate.pace.venue("BINANCE")
    assert breaker.state(core.clock.monotonic_s(), core.gate.policy) is BreakerState.OPEN


async def test_an_order_put_aside_for_a_person_is_cancelled_at_the_venue_when_the_person_says_so() -> None:
    core = make_core()
    made = (await submit(core, limit_order("49000"), mark_of())).order
    await core.commit(e.OrderQuarantined(at_ms=core.clock.now_ms(), client_order_id=made.client_order_id, reason="odd"))
    for asked in (1, 2):
        result = await cancel(core, made.client_order_id, principal="tester")
        await core.settle()
        assert result.status is CancelStatus.PENDING
        assert fake(core).cancels == [made.client_order_id] * asked
        fake(core).cancel_scripts.append(Script(act=False, say=NO_SUCH_ORDER))
    assert fake(core).orders[made.client_order_id].status is OrderStatus.CANCELED
    # What became of it here is still the person's to say.
    assert order_of(core, made.client_order_id).status is OrderStatus.QUARANTINED
