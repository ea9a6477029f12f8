"""An exchange whose clock jumps, which says no and means yes, and other hands on its account: nothing is guessed."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution.amend import amend
from engine_service.execution.amend_result import AmendStatus
from engine_service.execution.cancel import cancel
from engine_service.execution.core import EngineCore
from engine_service.execution.protect import tend
from engine_service.execution.reconcile import reconcile
from engine_service.execution.resolution import Now, begin, step
from engine_service.execution.submit import submit
from engine_service.storage.port import Entry
from engine_service.venues.reports import Accepted, AccountSnapshot, QueryOutcome, Rejected
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order
from tests.fakes.venue import Script, unknown
from tests.unit.engine_service.execution.test_protect import ListVenue, core_with, entered, exits, settle
from tests.unit.engine_service.execution.test_resolve import order_of, turn

pytestmark = pytest.mark.anyio
D = Decimal
BTC = "BTCUSDT.BINANCE"
HELD_UP_MS = 6_000


async def doubtful(core: EngineCore) -> Order:
    fake(core).scripts.append(Script(act=False, say=unknown()))
    return (await submit(core, limit_order("49000"), mark_of())).order


def slow_disk(core: EngineCore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time pass with every write."""
    append = core.journal.append

    def slow(entries: Sequence[Entry]) -> Future[int]:
        fake(core).clock.advance(HELD_UP_MS)
        return append(entries)

    monkeypatch.setattr(core.journal, "append", slow)


# --- the venue's clock --------------------------------------------------------------------------------------------


async def test_a_clock_of_the_venue_that_jumps_ahead_does_not_shorten_the_fence() -> None:
    core = make_core()
    venue = fake(core)
    order = await doubtful(core)
    venue.clock_ahead_ms = 30_000
    while core.clock.now_ms() <= order.sent_at_ms + 12_000:
        await turn()
        assert order_of(core, order.client_order_id).status is OrderStatus.IN_DOUBT
    venue.place(order, Script(rest=True))
    await core.settle()
    assert order_of(core, order.client_order_id).status is OrderStatus.ACCEPTED


async def test_after_a_restart_our_own_clock_has_a_say_in_whether_the_fence_is_past() -> None:
    core = make_core()
    order = await doubtful(core)
    sent_ms, window_ms = order.sent_at_ms, fake(core).info.window.fence_ms
    order = order_of(core, order.client_order_id)
    jumped = Now(order.fence_at_ms + 20_000, sent_ms + 5_000, 100.0, window_ms)
    case, _ = step(begin(at_once=True), order, None, jumped)
    assert (case.past_fence, case.not_before_s) == (False, 113.0)
    set_back = Now(order.fence_at_ms + 20_000, sent_ms - 3_600_000, 100.0, window_ms)
    assert step(begin(at_once=True), order, None, set_back)[0].not_before_s == 118.0
    later = Now(order.fence_at_ms + 1, sent_ms + window_ms + 1, 100.0, window_ms)
    assert step(begin(at_once=True), order, None, later)[0].past_fence
    await core.settle()


# --- held up between the disk and the wire ------------------------------------------------------------------------


async def test_an_order_that_waited_so_long_that_it_would_outlive_its_fence_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core()
    slow_disk(core, monkeypatch)
    result = await submit(core, market_order(), mark_of())
    assert (result.order.status, result.code) == (OrderStatus.NOT_PLACED, "SEND_TOO_LATE")
    assert fake(core).submits == []
    assert core.state.image.tombstones == {}


async def test_a_change_that_waited_so_long_is_not_sent_either(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    venue = fake(core)
    old = (await submit(core, limit_order("49000"), mark_of())).order.client_order_id
    slow_disk(core, monkeypatch)
    changed = await amend(core, old, limit_price=D("49500"), principal="tester", mark=mark_of("a-change"))
    assert changed.status is AmendStatus.REFUSED
    assert (venue.orders[old].status, list(venue.orders)) == (OrderStatus.ACCEPTED, [old])
    assert order_of(core, old).status is OrderStatus.ACCEPTED


async def test_a_pair_that_waited_so_long_is_not_sent_and_is_placed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    venue = ListVenue()
    core = core_with(venue)
    entry = await entered(core)
    with monkeypatch.context() as disk:
        slow_disk(core, disk)
        await tend(core, entry.client_order_id, set())
    assert venue.lists == []
    await settle(core, entry)
    assert len(venue.lists) == 1
    assert exits(core) == []


async def test_the_trades_that_a_replacements_answer_names_are_booked_with_it() -> None:
    core = make_core()
    old = (await submit(core, limit_order("49000"), mark_of())).order.client_order_id
    trade = Fill(
        venue="BINANCE",
        market=Market.SPOT,
        symbol=BTC,
        trade_id="7",
        client_order_id="",
        venue_order_id="99",
        side=OrderSide.BUY,
        price=D("50000"),
        quantity=D("0.001"),
    )
    said = Accepted(venue_order_id="99", status=OrderStatus.FILLED, fills=(trade,), executed_quantity=D("0.001"))
    fake(core).scripts.append(Script(act=False, say=said))
    changed = await amend(core, old, limit_price=D("50500"), principal="tester", mark=mark_of("a-change"))
    assert (changed.order.status, changed.order.filled_quantity) == (OrderStatus.FILLED, D("0.001"))


# --- no that means yes --------------------------------------------------------------------------------------------


async def test_an_order_that_was_refused_and_stands_at_the_venue_is_for_a_person() -> None:
    core = make_core()
    venue = fake(core)
    venue.scripts.append(Script(rest=True, say=Rejected(code="VENUE_RATE_LIMITED", reason="HTTP 429")))
    cid = (await submit(core, limit_order("49000"), mark_of())).order.client_order_id
    await reconcile(core)
    assert order_of(core, cid).status is OrderStatus.REJECTED, "its list may be older than the refusal"
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.QUARANTINED
    assert core.state.restriction(BTC, Market.SPOT, core.clock.now_ms()) is not None
    assert core.state.exposure.totals.worst == D("49")
    assert venue.cancels == []


async def test_an_order_that_the_venue_denied_to_know_and_has_after_all_is_for_a_person() -> None:
    core = make_core()
    venue = fake(core)
    cid = (await submit(core, limit_order("49000"), mark_of())).order.client_order_id
    hidden = venue.orders.pop(cid)
    venue.cancel_scripts.append(Script(act=False, say=unknown()))
    await cancel(core, cid, principal="tester")
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.CANCELED
    venue.orders[cid] = hidden
    await reconcile(core)
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.QUARANTINED


async def test_a_list_that_lags_behind_the_order_itself_alarms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    venue = fake(core)
    cid = (await submit(core, limit_order("49000"), mark_of())).order.client_order_id
    stale = venue.report(cid)
    await cancel(core, cid, principal="tester")
    account = venue.account

    async def lagging(market: Market) -> AccountSnapshot:
        return replace(await account(market), open_orders=(stale,))

    monkeypatch.setattr(venue, "account", lagging)
    # Its reads lag as well. That the end looks old proves nothing: the clock may just have been set forward.
    venue.clock.advance(3_600_000)
    fresh, old_until_s = venue.query_order, venue.clock.monotonic_s() + 2

    async def lagging_too(order: Order) -> QueryOutcome:
        return stale if venue.clock.monotonic_s() < old_until_s else await fresh(order)

    monkeypatch.setattr(venue, "query_order", lagging_too)
    await reconcile(core)
    await core.settle()
    assert order_of(core, cid).status is OrderStatus.CANCELED


# --- other hands --------------------------------------------------------------------------------------------------


async def test_somebody_elses_trade_beside_an_order_proved_absent_is_theirs_and_no_transfer() -> None:
    core = make_core()
    venue = fake(core)
    order = await doubtful(core)
    await core.settle()
    assert order.client_order_id in core.state.image.tombstones
    venue.names_traded_orders = True
    venue.place(
        Order(
            client_order_id="web_abc",
            symbol=BTC,
            market=Market.SPOT,
            side=OrderSide.BUY,
            type=OrderType.MARKET,
            status=OrderStatus.SUBMITTED,
            quantity=D("0.002"),
        )
    )
    report = (await reconcile(core)).venues[0]
    assert report.imported == ["web_abc", "1000"]
    assert (report.breaks, report.adopted) == ([], [])
    assert core.state.halted
    assert core.state.portfolio.transfers == 0


async def test_a_fee_of_no_asset_is_told_and_not_booked() -> None:
    core = make_core()
    fake(core).fee_asset = ""
    result = await submit(core, market_order(), mark_of())
    fills = core.state.fills_of(result.order.client_order_id)
    assert [(fill.quantity, fill.fee) for fill in fills] == [(D("0.001"), D(0))]
    assert "BINANCE|spot|" not in core.state.portfolio.holdings
    anomalies = [row.event for row in core.journal.events_after(0, 1_000) if isinstance(row.event, e.Anomaly)]
    assert [(found.kind, found.subject) for found in anomalies] == [("fee_of_no_asset", fills[0].trade_id)]
