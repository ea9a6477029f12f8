"""Keeping a filled entry protected, look by look: parts, refusals, doubts, restarts, and never two pairs at once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.bracket import BracketPlan
from engine_service.domain.clock import ManualClock
from engine_service.domain.ids import Market
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution.apply_report import apply_report
from engine_service.execution.bracket import Figures
from engine_service.execution.cancel import cancel
from engine_service.execution.core import EngineCore, Phase
from engine_service.execution.protect import is_protected, protection, tend
from engine_service.execution.protect_legs import LATER_S, SOON_S
from engine_service.execution.submit import submit
from engine_service.storage.memory import MemoryJournal
from engine_service.venues.reports import Accepted, OutcomeUnknown, Rejected, SubmitOutcome
from tests.fakes.engine import (
    START_MS,
    fake,
    limit_order,
    make_core,
    mark_of,
    market_order,
    opening,
    refresh_marks,
    restart,
)
from tests.fakes.venue import FakeVenue, Script

pytestmark = pytest.mark.anyio
D = Decimal
BTC = "BTCUSDT.BINANCE"
PLAN = BracketPlan(take_profit_bps=D(100), stop_loss_bps=D(100))


class ListVenue(FakeVenue):
    """The scripted venue with order lists; ``refusals`` bend the next lists."""

    def __init__(self) -> None:
        super().__init__(ManualClock(START_MS))
        self.refusals: list[SubmitOutcome] = []
        self.lists: list[tuple[Order, Order]] = []

    async def submit_oco(
        self, take_profit: Order, stop_loss: Order, list_client_id: str
    ) -> tuple[SubmitOutcome, SubmitOutcome]:
        if self.refusals:
            said = self.refusals.pop(0)
            return said, said
        self.lists.append((take_profit, stop_loss))
        records = [self.place(order) for order in (take_profit, stop_loss)]
        first, second = (Accepted(venue_order_id=one.venue_order_id, status=one.status) for one in records)
        return first, second

    def resting(self) -> list[tuple[str, Decimal]]:
        """Legs that stand, by leg, with their sizes."""
        return sorted(
            (one.order.leg, one.order.quantity or D(0))
            for one in self.orders.values()
            if one.order.reduce_only and not one.status.is_terminal
        )


def core_with(venue: FakeVenue) -> EngineCore:
    return make_core(venue=venue)


async def entered(core: EngineCore, request: OrderRequest | None = None) -> Order:
    """Place an entry with a bracket; a market one fills at once."""
    found = await submit(core, replace(request or market_order("0.002"), bracket=PLAN), mark_of())
    return found.order


async def settle(core: EngineCore, entry: Order, told: set[str] | None = None) -> None:
    """Look until there is nothing to do, letting the clock run where a look asks for patience."""
    for _ in range(40):
        wait_s = await tend(core, entry.client_order_id, told if told is not None else set())
        if wait_s is None:
            return
        await core.sleep(wait_s)
    raise AssertionError("it never came to rest")


def figures(core: EngineCore, entry: Order) -> Figures:
    found = protection(core, core.state.order(entry.client_order_id) or entry)
    assert found is not None
    return found


def fill(core: EngineCore, cid: str, quantity: str, price: str) -> None:
    """Let the venue trade some of an order and tell of it."""
    done = fake(core).fill(cid, D(quantity), D(price))
    apply_report(core, fake(core).report(cid, with_fill=done))


def end(core: EngineCore, cid: str, status: OrderStatus) -> None:
    """Let the venue end an order and tell of it."""
    fake(core).orders[cid].status = status
    apply_report(core, fake(core).report(cid))


def set_price(core: EngineCore, price: str) -> None:
    fake(core).prices[BTC] = D(price)
    refresh_marks(core, fake(core))


def outcome(core: EngineCore) -> str:
    closed = [r.event for r in core.journal.events_after(0, 10_000) if isinstance(r.event, e.BracketClosed)]
    return closed[-1].outcome if closed else ""


def anomalies(core: EngineCore) -> list[str]:
    found = [r.event for r in core.journal.events_after(0, 10_000) if isinstance(r.event, e.Anomaly)]
    return [event.detail for event in found if event.kind == "bracket_unprotected"]


def exits(core: EngineCore) -> list[Order]:
    return [order for order in fake(core).submits if order.reduce_only]


async def test_looking_often_places_one_pair_and_reserves_the_asset_once() -> None:
    venue = ListVenue()
    core = core_with(venue)
    entry = await entered(core)
    for _ in range(5):
        await settle(core, entry)
    assert len(venue.lists) == 1
    assert venue.resting() == [("stop_loss", D("0.002")), ("take_profit", D("0.002"))]
    assert is_protected(core, entry)
    free = core.state.exposure.available(core.state.portfolio, "BINANCE", Market.SPOT, "BTC")
    assert free == 0


async def test_an_entry_that_fills_in_parts_is_protected_from_the_first_part_on() -> None:
    venue = ListVenue()
    core = core_with(venue)
    entry = await entered(core, limit_order("50000", "0.003"))
    await settle(core, entry)
    assert venue.resting() == []
    for part, whole in (("0.001", "0.001"), ("0.0005", "0.0015"), ("0.0015", "0.003")):
        fill(core, entry.client_order_id, part, "50000")
        await settle(core, entry)
        assert venue.resting() == [("stop_loss", D(whole)), ("take_profit", D(whole))]
    assert len(venue.lists) == 3


async def test_what_a_partly_filled_take_profit_leaves_is_protected_anew() -> None:
    venue = ListVenue()
    core = core_with(venue)
    entry = await entered(core)
    await settle(core, entry)
    profit, stop = venue.lists[0]
    fill(core, profit.client_order_id, "0.0005", "50500")
    end(core, stop.client_order_id, OrderStatus.EXPIRED)
    await settle(core, entry)
    assert venue.resting() == [("stop_loss", D("0.0015")), ("take_profit", D("0.0015"))]


async def test_a_filled_leg_closes_the_bracket_under_its_name() -> None:
    venue = ListVenue()
    core = core_with(venue)
    entry = await entered(core)
    await settle(core, entry)
    profit, stop = venue.lists[0]
    fill(core, profit.client_order_id, "0.002", "50500")
    end(core, stop.client_order_id, OrderStatus.EXPIRED)
    await settle(core, entry)
    assert (outcome(core), core.state.image.brackets) == ("take_profit", {})
    await settle(core, entry)
    assert len(venue.lists) == 1


async def test_without_lists_the_engine_watches_and_closes_at_the_level_once() -> None:
    core = core_with(FakeVenue(ManualClock(START_MS)))
    entry = await entered(core)
    await settle(core, entry)
    assert is_protected(core, entry)
    set_price(core, "49600")
    await settle(core, entry)
    assert exits(core) == []
    set_price(core, "49400")
    await settle(core, entry)
    await settle(core, entry)
    assert [order.quantity for order in exits(core)] == [D("0.002")]
    assert outcome(core) == "stop_loss"


async def test_an_exit_in_doubt_is_not_followed_by_another() -> None:
    core = core_with(FakeVenue(ManualClock(START_MS), markets=(Market.SPOT, Market.FUTURES)))
    entry = await entered(core, market_order("0.004", market=Market.FUTURES))
    refused = Rejected(code="VENUE_WOULD_TRIGGER", reason="passed")
    fake(core).scripts.append(Script(act=False, say=refused))
    fake(core).scripts.append(Script(act=False, say=refused))
    fake(core).scripts.append(Script(act=False, say=OutcomeUnknown(reason="cut off")))
    for _ in range(6):
        assert await tend(core, entry.client_order_id, set()) is not None
    assert len([order for order in exits(core) if order.type is OrderType.MARKET]) == 1


async def test_a_level_that_the_venue_itself_acts_on_is_left_to_it() -> None:
    venue = ListVenue()
    core = core_with(venue)
    entry = await entered(core)
    await settle(core, entry)
    set_price(core, "49000")
    await settle(core, entry)
    assert (exits(core), venue.cancels) == ([], [])


async def test_a_pair_in_doubt_is_not_sent_again_and_its_stop_is_kept_by_the_engine() -> None:
    venue = ListVenue()
    venue.refusals = [OutcomeUnknown(reason="cut off")]
    core = core_with(venue)
    entry = await entered(core)
    wait_s = await tend(core, entry.client_order_id, set())
    assert wait_s == 0
    for _ in range(3):
        assert await tend(core, entry.client_order_id, set())
    assert venue.lists == []
    set_price(core, "49400")
    await tend(core, entry.client_order_id, set())
    await tend(core, entry.client_order_id, set())
    assert [order.quantity for order in exits(core)] == [D("0.002")]


async def test_an_exit_that_waits_for_a_leg_that_may_have_traded_is_told_once() -> None:
    venue = ListVenue()
    venue.refusals = [OutcomeUnknown(reason="cut off")]
    core = core_with(venue)
    await submit(core, market_order("0.01"), mark_of())
    entry = await entered(core)
    told: set[str] = set()
    await tend(core, entry.client_order_id, told)
    venue.down = True
    set_price(core, "49400")
    for _ in range(4):
        assert await tend(core, entry.client_order_id, told) == SOON_S
    waiting = [detail for detail in anomalies(core) if "may have traded" in detail]
    assert (len(waiting), len(anomalies(core)), exits(core)) == (1, 2, [])


async def test_a_pair_that_was_not_sent_is_tried_again_ever_more_slowly() -> None:
    venue = ListVenue()
    refusal = Rejected(code="VENUE_UNREACHABLE", reason="no route", not_sent=True)
    venue.refusals = [refusal] * 4
    core = core_with(venue)
    entry = await entered(core)
    waits: list[float] = []
    while not venue.lists:
        wait_s = await tend(core, entry.client_order_id, set())
        assert wait_s is not None
        if wait_s:
            waits.append(wait_s)
        await core.sleep(wait_s)
    assert waits == sorted(waits)
    assert len(waits) == 4
    assert anomalies(core) == []
    assert exits(core) == []


async def test_a_pair_refused_for_good_is_closed_at_market_with_one_alert() -> None:
    venue = ListVenue()
    venue.refusals = [Rejected(code="VENUE_WOULD_TRIGGER", reason="passed")]
    core = core_with(venue)
    entry = await entered(core)
    told: set[str] = set()
    await settle(core, entry, told)
    assert [order.quantity for order in exits(core)] == [D("0.002")]
    assert outcome(core) == "unprotected"
    assert anomalies(core) == ["VENUE_WOULD_TRIGGER: passed"]


async def test_an_exit_that_a_rail_refuses_is_tried_again_and_told_once() -> None:
    venue = ListVenue()
    venue.refusals = [Rejected(code="VENUE_WOULD_TRIGGER", reason="passed")] * 9
    core = core_with(venue)
    entry = await entered(core, market_order("0.00011"))
    set_price(core, "40000")
    told: set[str] = set()
    for _ in range(5):
        assert await tend(core, entry.client_order_id, told) is not None
    assert exits(core) == []
    assert len(anomalies(core)) == 1
    set_price(core, "60000")
    await settle(core, entry, told)
    assert [order.quantity for order in exits(core)] == [D("0.00011")]


@pytest.mark.parametrize("market", list(Market))
async def test_an_exit_is_not_kept_back_by_our_own_orders_on_the_other_side(market: Market) -> None:
    """Two strategies in one symbol: one's resting purchase must not leave the other's stop undone."""
    venue = FakeVenue(ManualClock(START_MS), markets=(market,))
    core = core_with(venue)
    entry = await entered(core, replace(market_order("0.002", market=market), strategy="alpha"))
    resting = replace(limit_order("48000", "0.004", market=market), strategy="beta")
    other = (await submit(core, resting, mark_of())).order.client_order_id
    if market is Market.FUTURES:
        fake(core).scripts.append(Script(act=False, say=Rejected(code="VENUE_FILTER_FAILURE", reason="no")))
    set_price(core, "49000")
    await settle(core, entry)
    assert outcome(core) == "stop_loss"
    assert core.state.image.orders[other].status is OrderStatus.CANCELED
    assert fake(core).cancels.count(other) == 1


async def test_an_exit_kept_back_by_an_order_that_only_a_person_can_free_is_told_once() -> None:
    core = core_with(FakeVenue(ManualClock(START_MS)))
    entry = await entered(core, market_order("0.002"))
    other = (await submit(core, limit_order("48000", "0.004"), mark_of())).order.client_order_id
    await core.commit(e.OrderQuarantined(at_ms=core.clock.now_ms(), client_order_id=other, reason="odd"))
    set_price(core, "49000")
    before, told = anomalies(core), set[str]()
    waits = [await tend(core, entry.client_order_id, told) for _ in range(3)]
    assert waits == [LATER_S] * 3
    assert exits(core) == []
    assert anomalies(core) == [*before, "SELF_TRADE: it would trade with an own order"]


async def test_legs_for_more_than_is_held_by_now_are_sized_anew_and_nothing_is_closed() -> None:
    venue = FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,))
    core = core_with(venue)
    entry = await entered(core, market_order("0.004", market=Market.FUTURES))

    async def another_sells(venue: FakeVenue, order: Order) -> None:
        await submit(core, market_order("0.003", side=OrderSide.SELL, market=Market.FUTURES), mark_of())

    venue.scripts.append(Script(during=another_sells, rest=True))
    await settle(core, entry)
    stands = [(leg.leg, leg.status) for leg in figures(core, entry).legs]
    assert stands == [("take_profit", OrderStatus.ACCEPTED), ("stop_loss", OrderStatus.ACCEPTED)]
    assert [order.type for order in exits(core) if order.type is OrderType.MARKET] == []
    assert anomalies(core) == []


async def test_somebody_elses_cancel_of_a_leg_ends_the_bracket() -> None:
    venue = ListVenue()
    core = core_with(venue)
    entry = await entered(core)
    await settle(core, entry)
    profit, stop = venue.lists[0]
    await cancel(core, profit.client_order_id, principal="tester", reason="enough")
    end(core, stop.client_order_id, OrderStatus.CANCELED)
    await settle(core, entry)
    assert (outcome(core), len(venue.lists), exits(core)) == ("canceled", 1, [])


async def test_a_pair_that_the_venue_takes_away_is_placed_again() -> None:
    venue = ListVenue()
    core = core_with(venue)
    entry = await entered(core)
    await settle(core, entry)
    for leg in venue.lists[0]:
        end(core, leg.client_order_id, OrderStatus.CANCELED)
    await settle(core, entry)
    assert len(venue.lists) == 2
    assert venue.resting() == [("stop_loss", D("0.002")), ("take_profit", D("0.002"))]


@pytest.mark.parametrize("side", list(OrderSide))
async def test_linked_legs_reduce_only_and_the_other_goes_when_one_fills(side: OrderSide) -> None:
    core = core_with(FakeVenue(ManualClock(START_MS), markets=(Market.SPOT, Market.FUTURES)))
    entry = await entered(core, market_order("0.004", side=side, market=Market.FUTURES))
    await settle(core, entry)
    found = figures(core, entry)
    assert found.take_profit is not None
    assert found.stop_loss is not None
    above = found.take_profit.stop_price or D(0)
    below = found.stop_loss.stop_price or D(0)
    assert (above > 50000 > below) if side is OrderSide.BUY else (above < 50000 < below)
    assert all(leg.reduce_only and leg.side is side.opposite for leg in found.legs)
    fill(core, found.stop_loss.client_order_id, "0.004", str(below))
    await settle(core, entry)
    assert fake(core).cancels == [found.take_profit.client_order_id]
    assert outcome(core) == "stop_loss"


async def test_a_restart_between_fill_and_pair_places_the_pair() -> None:
    venue = ListVenue()
    journal = MemoryJournal()
    core = make_core(venue=venue, journal=journal)
    entry = await entered(core)
    assert core.state.image.brackets == {}
    again = restart(core, journal, journal.last_seq)
    again.phase = Phase.READY
    await settle(again, entry)
    assert venue.resting() == [("stop_loss", D("0.002")), ("take_profit", D("0.002"))]


async def test_a_restart_after_the_end_starts_nothing_again() -> None:
    venue = ListVenue()
    journal = MemoryJournal()
    core = make_core(venue=venue, journal=journal)
    entry = await entered(core)
    await settle(core, entry)
    profit, stop = venue.lists[0]
    fill(core, stop.client_order_id, "0.002", "49500")
    end(core, profit.client_order_id, OrderStatus.EXPIRED)
    await settle(core, entry)
    await entered(core, market_order("0.003"))
    again = restart(core, journal, journal.last_seq)
    again.phase = Phase.READY
    await settle(again, entry)
    assert len(venue.lists) == 1
    assert len(exits(again)) == 0
    ends = [r.event for r in journal.events_after(0, 10_000) if isinstance(r.event, e.BracketClosed)]
    assert [end.bracket_id for end in ends] == [entry.client_order_id]


async def test_fees_in_the_base_asset_are_left_out_of_what_is_sold() -> None:
    venue = ListVenue()
    venue.fee_asset = "BASE"
    core = core_with(venue)
    core.record(opening(core, Market.SPOT, "BTC", D(1), D(50000)))
    entry = await entered(core)
    await settle(core, entry)
    assert venue.resting() == [("stop_loss", D("0.00199")), ("take_profit", D("0.00199"))]
