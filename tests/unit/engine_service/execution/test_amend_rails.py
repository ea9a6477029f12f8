"""A change of a working order is an order too: no rail, halt or repeat is got round by it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict, Refused, VenueRefused
from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.amend import amend
from engine_service.execution.amend_result import AmendStatus
from engine_service.execution.cancel import cancel
from engine_service.execution.core import EngineCore
from engine_service.execution.halt import halt
from engine_service.execution.reconcile import reconcile
from engine_service.execution.submit import submit
from engine_service.risk.breakers import BreakerState
from engine_service.storage.memory import MemoryJournal
from engine_service.storage.port import Recorded
from engine_service.venues.port import AmendRequest
from engine_service.venues.reports import Rejected, SubmitOutcome
from tests.fakes.engine import fake, limit_order, make_core, mark_of, policy
from tests.fakes.venue import FakeVenue, Script

pytestmark = pytest.mark.anyio
D = Decimal
BOTH = (Market.SPOT, Market.FUTURES)


def futures_core(**limits: object) -> EngineCore:
    return make_core(venue=FakeVenue(fake(make_core()).clock, markets=BOTH), limits=policy(**limits))


async def resting(core: EngineCore, quantity: str = "0.003") -> str:
    order = limit_order("49000", quantity, market=Market.FUTURES)
    return (await submit(core, order, mark_of())).order.client_order_id


@pytest.mark.parametrize(
    ("limits", "change", "code"),
    [
        ({"max_notional": "400"}, {"quantity": D("0.5")}, "NOTIONAL_TOO_LARGE"),
        ({"symbol_exposure_cap": "200"}, {"quantity": D("0.005")}, "EXPOSURE_SYMBOL_CAP"),
        ({"price_band_bps": "500"}, {"limit_price": D("60000")}, "PRICE_BAND"),
        ({"price_band_bps": "500"}, {"limit_price": D("60000"), "quantity": D("0.002")}, "PRICE_BAND"),
    ],
)
async def test_a_change_in_place_is_judged_as_the_order_it_would_make(
    limits: dict[str, object], change: dict[str, Decimal], code: str
) -> None:
    core = futures_core(**limits)
    cid = await resting(core)
    reserved = core.state.exposure.totals.worst
    with pytest.raises(Refused) as refused:
        await amend(core, cid, principal="tester", mark=mark_of("key-1"), **change)
    assert refused.value.code == code
    order = core.state.order(cid)
    assert order is not None
    assert (order.status, order.quantity, order.limit_price) == (OrderStatus.ACCEPTED, D("0.003"), D("49000"))
    assert core.state.exposure.totals.worst == reserved
    assert fake(core).orders[cid].order.quantity == D("0.003")


async def test_a_change_in_place_within_every_limit_is_made() -> None:
    core = futures_core(max_notional="400")
    cid = await resting(core)
    result = await amend(
        core, cid, quantity=D("0.005"), limit_price=D("49100"), principal="tester", mark=mark_of("key-1")
    )
    assert (result.status, result.order.quantity) == (AmendStatus.UPDATED, D("0.005"))


async def test_while_halted_an_order_may_shrink_and_may_not_grow() -> None:
    core = futures_core()
    cid = await resting(core)
    await halt(core, reason="drill", principal="me", cancel_orders=False)
    with pytest.raises(Refused) as refused:
        await amend(core, cid, quantity=D("0.004"), principal="tester", mark=mark_of("key-1"))
    assert refused.value.code == "TRADING_HALTED"


@pytest.mark.parametrize("market", BOTH)
async def test_a_change_that_was_written_down_before_a_halt_is_not_sent_after_it(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = futures_core()
    cid = (await submit(core, limit_order("49000", "0.003", market=market), mark_of())).order.client_order_id
    sent: list[AmendRequest] = []

    async def amend_at_venue(request: AmendRequest) -> SubmitOutcome:
        sent.append(request)
        raise AssertionError

    def halt_in_between(batch: Sequence[Recorded]) -> None:
        if any(isinstance(row.event, e.OrderPendingUpdate) for row in batch):
            core.record(e.TradingHalted(at_ms=core.clock.now_ms(), reason="drill", principal="me"))

    monkeypatch.setattr(fake(core), "amend", amend_at_venue)
    core.journal.on_commit(halt_in_between)
    result = await amend(core, cid, quantity=D("0.004"), principal="tester", mark=mark_of("key-1"))
    await core.settle()
    assert (sent, result.status) == ([], AmendStatus.REFUSED)
    order = core.state.order(cid)
    assert order is not None
    assert (order.status, order.quantity) == (OrderStatus.ACCEPTED, D("0.003"))


class MortalJournal(MemoryJournal):
    """Works until it is told that the disk is full."""

    full = False

    @property
    def failed(self) -> bool:
        return self.full


async def test_a_halt_without_a_journal_takes_orders_off_the_market_all_the_same() -> None:
    journal = MortalJournal()
    core = make_core(journal=journal)
    cid = (await submit(core, limit_order("49000", "0.002"), mark_of())).order.client_order_id
    journal.full = True
    await halt(core, reason="the disk is full", principal="me")
    assert fake(core).cancels == [cid]


async def test_a_change_asked_again_is_made_once() -> None:
    core = make_core()
    cid = (await submit(core, limit_order("49000", "0.002"), mark_of())).order.client_order_id
    first = await amend(
        core, cid, limit_price=D("49500"), quantity=D("0.003"), principal="tester", mark=mark_of("one-change")
    )
    await core.settle()
    again = await amend(
        core, cid, limit_price=D("49500"), quantity=D("0.003"), principal="tester", mark=mark_of("one-change")
    )
    assert again.order.client_order_id == first.order.client_order_id
    assert sum(order.is_open for order in core.state.open_orders.values()) == 1


async def test_a_venue_that_refuses_our_credentials_at_a_change_is_left_alone() -> None:
    core = futures_core()
    cid = await resting(core)
    refused = Rejected(code="VENUE_UNAUTHORIZED", reason="-2015", stop_venue=True)
    fake(core).scripts.append(Script(act=False, say=refused))
    result = await amend(core, cid, limit_price=D("49100"), principal="tester", mark=mark_of("key-1"))
    assert result.status is AmendStatus.REFUSED
    breaker = core.gate.pace.venue("BINANCE")
    assert breaker.state(core.clock.monotonic_s(), core.gate.policy) is BreakerState.OPEN


async def test_while_a_change_is_on_its_way_another_one_is_refused_whatever_the_order_does_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core()
    core.answer_deadline_s = 0.01
    venue = fake(core)
    cid = (await submit(core, limit_order("49000", "0.002"), mark_of())).order.client_order_id
    arrives, change = asyncio.Event(), venue.amend

    async def late(request: AmendRequest) -> SubmitOutcome:
        await arrives.wait()
        return await change(request)

    monkeypatch.setattr(venue, "amend", late)
    first = await amend(core, cid, limit_price=D("49500"), principal="tester", mark=mark_of("first"))
    assert first.status is AmendStatus.PENDING
    # A cancel that never left puts the order back to work, and the change is still on its way.
    venue.cancel_scripts.append(Script(act=False, say=Rejected(code="VENUE_UNREACHABLE", reason="", not_sent=True)))
    await cancel(core, cid, principal="tester")
    with pytest.raises(Conflict, match="ORDER_BUSY"):
        await amend(core, cid, limit_price=D("49600"), principal="tester", mark=mark_of("second"))
    arrives.set()
    await core.settle()
    venue.clock.advance(6_000)
    await reconcile(core)
    (working,) = core.state.open_orders.values()
    assert (working.status, working.limit_price) == (OrderStatus.ACCEPTED, D("49500"))


async def test_a_higher_price_of_an_order_that_is_changed_in_place_counts_against_the_caps() -> None:
    """Each change was judged at its own price, and all the others at what they had once cost."""
    core, cids = futures_core(symbol_exposure_cap="985"), []
    for _ in range(2):
        placed = await submit(core, limit_order("48000", "0.010", market=Market.FUTURES), mark_of())
        cids.append(placed.order.client_order_id)
    await amend(core, cids[0], limit_price=D(49_500), principal="tester", mark=mark_of("the-first-rise"))
    assert core.state.exposure.totals.worst == D("0.010") * D(49_500) + D("0.010") * D(48_000)
    with pytest.raises(Refused) as refused:
        await amend(core, cids[1], limit_price=D(49_600), principal="tester", mark=mark_of("the-second-rise"))
    assert refused.value.code == "EXPOSURE_SYMBOL_CAP"


@pytest.mark.parametrize("market", BOTH)
async def test_a_post_only_order_that_would_take_at_its_new_price_stays_as_it_is(market: Market) -> None:
    core = futures_core()
    order = replace(limit_order("49000", "0.003", market=market), post_only=True)
    cid = (await submit(core, order, mark_of())).order.client_order_id
    mark = core.marks.get("BTCUSDT.BINANCE", market)
    assert mark is not None
    with pytest.raises(VenueRefused) as refused:
        await amend(core, cid, limit_price=mark.ask, principal="tester", mark=mark_of("the-first-price"))
    assert refused.value.code == "VENUE_WOULD_TAKE"
    below = await amend(core, cid, limit_price=mark.ask - 1, principal="tester", mark=mark_of("the-first-price"))
    assert below.status is AmendStatus.UPDATED
