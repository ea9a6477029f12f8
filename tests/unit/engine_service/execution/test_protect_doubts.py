"""A pair that is taken back to be placed in another size: whatever becomes of the cancels, the entry is protected."""

from __future__ import annotations

import pytest

from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.cancel import cancel
from engine_service.execution.core import EngineCore
from engine_service.execution.protect import tend
from engine_service.execution.submit import submit
from engine_service.venues.reports import OutcomeUnknown, Rejected
from tests.fakes.engine import START_MS, limit_order, mark_of, market_order
from tests.fakes.venue import FakeVenue, Script, unknown
from tests.unit.engine_service.execution.test_protect import (
    D,
    ListVenue,
    core_with,
    end,
    entered,
    exits,
    fill,
    outcome,
    set_price,
    settle,
)

pytestmark = pytest.mark.anyio

GONE = OutcomeUnknown(reason="-2011 Unknown order sent.", answered=True)
WHOLE = [("stop_loss", D("0.002")), ("take_profit", D("0.002"))]


async def half_filled(venue: ListVenue) -> tuple[EngineCore, Order]:
    """Return an entry of which one half has traded and is protected."""
    core = core_with(venue)
    entry = await entered(core, limit_order("49999", "0.002"))
    fill(core, entry.client_order_id, "0.001", "49999")
    await settle(core, entry)
    assert venue.resting() == [("stop_loss", D("0.001")), ("take_profit", D("0.001"))]
    return core, entry


@pytest.mark.parametrize(
    "script",
    [
        Script(say=GONE),
        Script(say=unknown()),
        Script(act=False, say=unknown()),
        Script(act=False, say=Rejected(code="VENUE_RATE_LIMITED", reason="HTTP 429")),
    ],
    ids=["done and told as gone", "done, answer lost", "not done, answer lost", "refused"],
)
async def test_an_own_cancel_that_ended_in_doubt_is_nobodys_wish(script: Script) -> None:
    venue = ListVenue()
    core, entry = await half_filled(venue)
    venue.cancel_scripts.append(script)
    fill(core, entry.client_order_id, "0.001", "49999")
    await settle(core, entry)
    assert (outcome(core), venue.resting(), exits(core)) == ("", WHOLE, [])


async def test_a_callers_cancel_of_a_leg_that_ended_in_doubt_is_still_a_wish() -> None:
    venue = ListVenue()
    core, entry = await half_filled(venue)
    profit, stop = venue.lists[0]
    venue.cancel_scripts.append(Script(act=False, say=unknown()))
    await cancel(core, profit.client_order_id, principal="tester", reason="enough")
    await core.settle()
    end(core, stop.client_order_id, OrderStatus.CANCELED)
    await settle(core, entry)
    assert (outcome(core), len(venue.lists), venue.resting()) == ("canceled", 1, [])


async def test_a_callers_cancel_that_the_venue_refused_is_forgotten() -> None:
    venue = ListVenue()
    core, entry = await half_filled(venue)
    refusal = Rejected(code="VENUE_RATE_LIMITED", reason="HTTP 429")
    venue.cancel_scripts.append(Script(act=False, say=refusal))
    await cancel(core, venue.lists[0][0].client_order_id, principal="tester")
    fill(core, entry.client_order_id, "0.001", "49999")
    await settle(core, entry)
    assert (outcome(core), venue.resting()) == ("", WHOLE)


async def with_more_than_its_own(venue: ListVenue) -> tuple[EngineCore, Order]:
    """Return a protected entry on an account that holds as much again which is none of the bracket's business."""
    core = core_with(venue)
    await submit(core, market_order("0.003"), mark_of("other"))
    return core, await entered(core)


async def test_a_stop_that_has_triggered_is_not_closed_once_more_before_its_trade_is_told() -> None:
    venue = ListVenue()
    core, entry = await with_more_than_its_own(venue)
    await settle(core, entry)
    profit, stop = venue.lists[0]
    set_price(core, "49400")
    end(core, profit.client_order_id, OrderStatus.EXPIRED)
    end(core, stop.client_order_id, OrderStatus.TRIGGERED)
    for _ in range(4):
        assert await tend(core, entry.client_order_id, set())
    assert (venue.cancels, exits(core), len(venue.lists)) == ([], [], 1)


@pytest.mark.parametrize("is_down", [True, False])
async def test_what_a_leg_in_doubt_may_have_sold_is_not_sold_again_where_the_account_holds_more(is_down: bool) -> None:
    venue = ListVenue()
    venue.refusals = [OutcomeUnknown(reason="cut off")]
    core, entry = await with_more_than_its_own(venue)
    assert await tend(core, entry.client_order_id, set()) == 0
    venue.down = is_down
    set_price(core, "49400")
    for _ in range(4):
        assert await tend(core, entry.client_order_id, set()) is not None
    assert len(exits(core)) == (0 if is_down else 1)


@pytest.mark.parametrize("second", ["0.004", "0"], ids=["both legs traded", "one leg traded"])
async def test_a_futures_bracket_that_closed_more_than_it_opened_is_told(second: str) -> None:
    core = core_with(FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,)))
    await submit(core, market_order("0.05", market=Market.FUTURES), mark_of())
    entry = await entered(core, market_order("0.004", market=Market.FUTURES))
    await settle(core, entry)
    for leg, quantity in zip(core.state.working_orders(), ("0.004", second), strict=True):
        if D(quantity):
            fill(core, leg.client_order_id, quantity, "50000")
    await settle(core, entry)
    told = [recorded.event for recorded in core.journal.events_after(0, 10_000)]
    over = [event.detail for event in told if isinstance(event, e.Anomaly) and event.kind == "bracket_overclosed"]
    expected = ["0.004 of BTCUSDT.BINANCE more than it opened were closed: both legs traded"]
    assert (over, outcome(core) != "") == (expected if D(second) else [], True)
