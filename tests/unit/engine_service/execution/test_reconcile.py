"""The comparison with the venue: what was missed is imported, what stays different is told, nothing is traded."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.errors import Conflict
from engine_service.domain.ids import Market, instance_tag
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile import VenueReconciliation, reconcile
from engine_service.execution.submit import submit
from engine_service.venues.reports import AccountSnapshot, ReadFailed
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order
from tests.fakes.venue import FakeVenue, Script, unknown

pytestmark = pytest.mark.anyio
D = Decimal


async def compare(core: EngineCore, *, adopt: bool = False) -> VenueReconciliation:
    report = await reconcile(core, adopt=adopt)
    return report.venues[0]


def foreign(cid: str = "web_abc", order_type: OrderType = OrderType.LIMIT) -> Order:
    return Order(
        client_order_id=cid,
        symbol="BTCUSDT.BINANCE",
        market=Market.SPOT,
        side=OrderSide.BUY,
        type=order_type,
        status=OrderStatus.SUBMITTED,
        quantity=D("0.002"),
        limit_price=D("49000") if order_type is OrderType.LIMIT else None,
    )


def equal(core: EngineCore) -> bool:
    ours = {key.split("|")[2]: book.quantity for key, book in core.state.portfolio.holdings.items()}
    theirs = {asset: amount for (_, asset), amount in fake(core).balances.items()}
    return {k: v for k, v in ours.items() if v} == {k: v for k, v in theirs.items() if v}


async def test_with_nothing_missing_nothing_is_found_however_often_it_runs() -> None:
    core = make_core()
    await submit(core, market_order(), mark_of())
    for _ in range(3):
        found = await compare(core)
        assert (found.ok, found.imported, found.closed, found.breaks) == (True, [], [], [])
    assert equal(core)


async def test_a_fill_that_no_report_told_of_is_imported_once() -> None:
    core = make_core()
    result = await submit(core, limit_order("49000"), mark_of())
    fake(core).fill(result.order.client_order_id, D("0.001"))
    found = await compare(core)
    assert found.imported == ["1000"]
    order = core.state.order(result.order.client_order_id)
    assert order is not None
    assert order.status is OrderStatus.FILLED
    assert (await compare(core)).imported == []
    assert equal(core)


async def test_a_fill_missed_before_newer_ones_is_still_found() -> None:
    core = make_core()
    result = await submit(core, limit_order("49000", "0.002"), mark_of())
    fake(core).fill(result.order.client_order_id, D("0.001"))
    await submit(core, market_order("0.003"), mark_of())
    found = await compare(core)
    assert found.imported == ["1000"]
    assert equal(core)


async def test_an_order_that_the_venue_cancelled_is_closed_by_its_own_word() -> None:
    core = make_core()
    result = await submit(core, limit_order("49000"), mark_of())
    fake(core).orders[result.order.client_order_id].status = OrderStatus.CANCELED
    assert (await compare(core)).closed == []
    fake(core).clock.advance(6_000)
    assert (await compare(core)).closed == [result.order.client_order_id]


async def test_an_order_missing_from_the_list_without_a_word_about_it_stays_open() -> None:
    core = make_core()
    result = await submit(core, limit_order("49000"), mark_of())
    del fake(core).orders[result.order.client_order_id]
    fake(core).clock.advance(60_000)
    assert (await compare(core)).closed == []
    assert result.order.client_order_id in core.state.open_orders


async def test_an_external_order_is_adopted_counted_and_halts_an_account_that_is_not_shared() -> None:
    core = make_core()
    fake(core).place(foreign(), Script(rest=True))
    assert (await compare(core)).imported == ["web_abc"]
    order = core.state.order("web_abc")
    assert order is not None
    assert (order.external, order.strategy) == (True, "external")
    assert core.state.exposure.totals.worst == D("98")
    assert core.state.halted
    assert fake(core).cancels == []


async def test_on_a_shared_account_an_external_order_halts_nothing() -> None:
    core = make_core()
    core.account_is_shared = True
    fake(core).place(foreign(), Script(rest=True))
    await compare(core)
    assert not core.state.halted


async def test_an_unknown_order_with_our_own_tag_means_a_second_engine() -> None:
    core = make_core()
    core.account_is_shared = True
    cid = (instance_tag(core.instance_key) + "0" * 32)[:32]
    fake(core).place(foreign(cid), Script(rest=True))
    await compare(core)
    assert core.state.image.halt is not None
    assert "second engine" in core.state.image.halt.reason


async def test_a_trade_of_an_order_nobody_knows_is_booked_for_the_external_owner() -> None:
    core = make_core()
    core.account_is_shared = True
    fake(core).clock.advance(1)
    await submit(core, market_order(), mark_of())
    fake(core).place(foreign("", OrderType.MARKET))
    found = await compare(core)
    assert "1001" in found.imported
    assert equal(core)
    assert (await compare(core)).imported == []
    assert core.state.portfolio.strategies["external|spot|BTCUSDT.BINANCE"].book.quantity == D("0.002")


async def test_a_trade_of_an_order_in_doubt_is_left_to_the_resolver() -> None:
    core = make_core()
    fake(core).down = True
    fake(core).scripts.append(Script(act=True, say=unknown()))
    result = await submit(core, market_order(), mark_of())
    fake(core).down = False
    found = await compare(core)
    assert "external|spot|BTCUSDT.BINANCE" not in core.state.portfolio.strategies
    assert found.breaks == []
    await core.settle()
    order = core.state.order(result.order.client_order_id)
    assert order is not None
    assert order.status is OrderStatus.FILLED
    assert equal(core)


async def test_a_transfer_is_a_break_first_and_adopted_when_it_persists() -> None:
    core = make_core()
    await submit(core, market_order(), mark_of())
    fake(core).deposit("USDT", D("250"))
    first = await compare(core)
    assert [(b.kind, b.subject, b.resolution) for b in first.breaks] == [("balance", "USDT", "open")]
    assert core.state.image.open_breaks
    fake(core).clock.advance(10_000)
    second = await compare(core)
    assert (second.adopted, second.breaks) == (["BINANCE|spot|balance|USDT"], [])
    assert core.state.image.open_breaks == {}
    assert core.state.portfolio.transfers == D("250")
    assert core.state.portfolio.identity_error == 0
    assert equal(core)
    assert len(fake(core).submits) == 1


async def test_a_difference_that_goes_away_is_closed_and_nothing_is_booked() -> None:
    core = make_core()
    fake(core).deposit("USDT", D("250"))
    await compare(core)
    fake(core).deposit("USDT", D("-250"))
    found = await compare(core)
    assert found.closed == ["BINANCE|spot|balance|USDT"]
    assert core.state.portfolio.transfers == 0


async def test_a_person_can_adopt_at_once() -> None:
    core = make_core()
    fake(core).deposit("BTC", D("0.5"))
    found = await compare(core, adopt=True)
    assert found.adopted == ["BINANCE|spot|balance|BTC"]
    assert core.state.portfolio.transfers == D("25000")


async def test_a_position_that_no_fill_explains_halts_and_is_never_traded_away() -> None:
    base = make_core()
    core = make_core(venue=FakeVenue(fake(base).clock, markets=(Market.FUTURES,)))
    await submit(core, market_order("0.01", market=Market.FUTURES), mark_of())
    held = fake(core).positions["BTCUSDT.BINANCE"]
    fake(core).positions["BTCUSDT.BINANCE"] = replace(held, signed_quantity=D("0.011"))
    first = await compare(core)
    assert core.state.image.halt is None
    assert [(b.kind, b.ours, b.theirs) for b in first.breaks] == [("position", "0.01", "0.011")]
    fake(core).clock.advance(10_000)
    second = await compare(core)
    assert second.breaks
    assert core.state.halted
    assert len(fake(core).submits) == 1
    third = await compare(core, adopt=True)
    assert third.breaks == []
    assert core.state.portfolio.position("BTCUSDT.BINANCE") == D("0.011")


class TradingWhileRead(FakeVenue):
    """An order trades right before and right after the first read of the account, and before the second."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, markets=(Market.FUTURES,))
        self.resting = ""
        self.trades_around = [(True, True), (True, False)]

    async def account(self, market: Market) -> AccountSnapshot:
        before, after = self.trades_around.pop(0) if self.resting and self.trades_around else (False, False)
        if before:
            self.fill(self.resting, D("0.001"))
        snapshot = await super().account(market)
        if after:
            self.fill(self.resting, D("0.001"))
        return snapshot


async def test_trades_between_the_reads_of_a_start_are_no_difference() -> None:
    venue = TradingWhileRead(fake(make_core()).clock)
    core = make_core(venue=venue)
    resting = await submit(core, limit_order("49000", "0.004", market=Market.FUTURES), mark_of())
    venue.resting = resting.order.client_order_id
    report = await reconcile(core, trigger="start")
    assert (report.ok, core.state.halted) == (True, False)
    assert core.state.portfolio.position("BTCUSDT.BINANCE") == D("0.003")
    assert "BreakFound" not in {row.kind for row in core.journal.events_after(0, 1_000)}


async def test_the_opening_comparison_takes_over_what_the_account_holds() -> None:
    core = make_core(cash=None)
    fake(core).deposit("BTC", D("0.1"))
    found = await compare(core)
    assert (found.ok, found.breaks) == (True, [])
    assert core.state.portfolio.starting_equity == D("15000")
    assert core.state.portfolio.transfers == 0
    assert equal(core)


async def test_a_venue_that_does_not_answer_is_told_and_changes_nothing() -> None:
    core = make_core()
    fake(core).down = True
    found = await compare(core)
    assert (found.ok, found.error) == (False, "VENUE_DOWN")
    assert "BINANCE" not in core.reconciled_at_ms


async def test_callers_have_their_turn_while_many_trades_are_compared() -> None:
    core = make_core()
    await submit(core, market_order(), mark_of())
    trade = fake(core).trades[0]
    fake(core).trades += [replace(trade, trade_id=str(5_000 + n)) for n in range(500)]
    fake(core).trades += [replace(trade, trade_id=str(6_000 + n), venue_order_id=f"v{n}") for n in range(500)]
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(other_work())
    quiet = make_core()
    await compare(quiet)
    without, turns = turns, 0
    await compare(core)
    other.cancel()
    assert turns >= without + 9


async def test_two_comparisons_at_once_are_refused() -> None:
    core = make_core()
    async with core.reconciling:
        with pytest.raises(Conflict) as refused:
            await reconcile(core)
    assert refused.value.code == "RECONCILE_RUNNING"


async def test_every_comparison_is_a_fact_with_its_trade_ids() -> None:
    core = make_core()
    await submit(core, market_order(), mark_of())
    await compare(core)
    event = core.journal.events_after(core.journal.last_seq - 1, 1)[0].event
    assert isinstance(event, e.ReconciliationCompleted)
    assert event.last_trade_ids == {"spot:BTCUSDT.BINANCE": "1000"}


async def test_a_comparison_that_is_not_clean_says_why() -> None:
    core = make_core()
    assert (await compare(core)).cause == ""
    fake(core).deposit("USDT", D(5))
    assert (await compare(core)).cause == "BINANCE|spot|balance|USDT"
    fake(core).down = True
    assert (await compare(core)).cause == "VENUE_DOWN: scripted"


async def test_what_an_order_in_doubt_may_explain_is_not_taken_over_by_a_person_either() -> None:
    core = make_core()
    fake(core).scripts.append(Script(say=unknown()))
    fake(core).query_answers.extend([ReadFailed(reason="scripted")] * 50)
    await submit(core, market_order(), mark_of())
    fake(core).trades.clear()
    report = await compare(core, adopt=True)
    assert report.adopted == []
    assert "BINANCE|spot|balance|USDT" in report.deferred


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("cid", "why"),
    [("autoclose-1", "liquidation"), ("adl_autoclose", "deleveraging"), ("settlement_autoclose-1", "settlement")],
)
async def test_a_position_that_the_venue_closed_by_itself_is_for_a_person(cid: str, why: str, shared: bool) -> None:
    core = make_core()
    core.account_is_shared = shared
    fake(core).names_traded_orders = True
    fake(core).place(foreign(cid, OrderType.MARKET))
    await compare(core)
    held = core.state.restriction("BTCUSDT.BINANCE", Market.SPOT, core.clock.now_ms())
    assert held is not None
    assert held.reason == f"the venue itself closed the position in BTCUSDT.BINANCE: {why}"
    assert core.state.halted is not shared
    assert equal(core)
