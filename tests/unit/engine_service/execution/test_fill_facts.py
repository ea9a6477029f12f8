"""Trades that are counted but not named, told twice in two ways, or taken back by the venue."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.execution.apply_report import apply_fills
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile import reconcile
from engine_service.execution.submit import submit
from engine_service.execution.user_stream import take
from engine_service.storage.port import FillFilter
from engine_service.storage.restore import restore
from engine_service.venues.reports import ReadFailed, TradeBust
from tests.fakes.engine import (
    CASH,
    START_MS,
    fake,
    limit_order,
    make_core,
    mark_of,
    market_order,
    open_journal,
)
from tests.fakes.venue import FakeVenue

pytestmark = pytest.mark.anyio
D = Decimal
SYMBOL = "BTCUSDT.BINANCE"


async def resting(core: EngineCore, quantity: str = "0.002") -> str:
    return (await submit(core, limit_order("49000", quantity), mark_of())).order.client_order_id


def order_of(core: EngineCore, cid: str) -> Order:
    order = core.state.order(cid)
    assert order is not None
    return order


def held(core: EngineCore, asset: str = "BTC") -> Decimal:
    return core.state.portfolio.holding("BINANCE", Market.SPOT, asset)


def counts(core: EngineCore, kind: str) -> int:
    found = core.journal.events_after(0, core.journal.last_seq)
    return sum(isinstance(recorded.event, e.Anomaly) and recorded.event.kind == kind for recorded in found)


async def counted_and_not_named(core: EngineCore, quantity: str = "0.002") -> tuple[str, Fill]:
    """A report counts a trade; every read of trades fails for longer than the engine waits for one."""
    venue = fake(core)
    cid = await resting(core)
    fill = venue.fill(cid, D(quantity))
    reads = venue.query_fills

    async def silent(order: Order) -> ReadFailed:
        return ReadFailed(reason="scripted")

    venue.query_fills = silent  # type: ignore[method-assign]
    take(core, "BINANCE", venue.report(cid))
    await core.settle()
    venue.query_fills = reads  # type: ignore[method-assign]
    return cid, fill


async def test_a_trade_that_is_counted_and_not_named_in_five_seconds_is_stood_in_for() -> None:
    core = make_core()
    before_ms = core.clock.now_ms()
    cid, _ = await counted_and_not_named(core)
    order = order_of(core, cid)
    assert (order.status, order.filled_quantity, order.provisional_quantity) == (
        OrderStatus.FILLED,
        D("0.002"),
        D("0.002"),
    )
    assert core.clock.now_ms() - before_ms == 5_000
    assert held(core) == D("0.002")
    assert counts(core, "provisional_fill") == 1


async def test_the_real_trade_replaces_its_stand_in_and_is_never_added_to_it() -> None:
    core = make_core()
    cid, fill = await counted_and_not_named(core)
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    order = order_of(core, cid)
    assert (order.status, order.filled_quantity, order.provisional_quantity) == (OrderStatus.FILLED, D("0.002"), D(0))
    assert order.filled_quote == fill.notional
    assert not order.overfill
    assert held(core) == D("0.002")
    assert held(core, "USDT") == D("10000") - fill.notional - fill.fee
    assert sum(each.quantity for each in core.state.fills_of(cid)) == D("0.002")
    rows = core.journal.fills(FillFilter(client_order_id=cid))
    assert sum(row.fill.quantity for row in rows) == D("0.002")
    assert core.state.portfolio.identity_error == 0


async def test_a_part_of_the_real_trades_leaves_the_rest_stood_in_for() -> None:
    core = make_core()
    venue = fake(core)
    cid = await resting(core)
    first, second = venue.fill(cid, D("0.0005")), venue.fill(cid, D("0.0015"))
    venue.down = True
    take(core, "BINANCE", venue.report(cid))
    await core.settle()
    venue.down = False
    take(core, "BINANCE", venue.report(cid, with_fill=first))
    order = order_of(core, cid)
    assert (order.filled_quantity, order.provisional_quantity) == (D("0.002"), D("0.0015"))
    take(core, "BINANCE", venue.report(cid, with_fill=second))
    order = order_of(core, cid)
    assert (order.filled_quantity, order.provisional_quantity) == (D("0.002"), D(0))
    assert (held(core), order.overfill) == (D("0.002"), False)


async def test_a_stand_in_that_comes_again_is_another_one(tmp_path: Path) -> None:
    """The first trade replaces both stand-ins, and what is left is just what the second one stood for."""
    core = make_core(journal=open_journal(tmp_path))
    venue = fake(core)
    cid = await resting(core)
    first = venue.fill(cid, D("0.0005"))
    venue.down = True
    take(core, "BINANCE", venue.report(cid))
    await core.settle()
    second = venue.fill(cid, D("0.0015"))
    take(core, "BINANCE", venue.report(cid))
    await core.settle()
    venue.down = False
    for fill, left in ((first, D("0.0015")), (second, D(0))):
        take(core, "BINANCE", venue.report(cid, with_fill=fill))
        await core.journal.flush()
        order = order_of(core, cid)
        assert (order.filled_quantity, order.provisional_quantity, order.overfill) == (D("0.002"), left, False)
    rows = core.journal.fills(FillFilter(client_order_id=cid))
    assert sum(row.fill.quantity for row in rows) == held(core) == D("0.002")
    core.journal.close()


async def test_the_comparison_brings_the_real_trades_and_takes_no_difference_over_meanwhile() -> None:
    core = make_core()
    cid, fill = await counted_and_not_named(core)
    report = await reconcile(core)
    assert fill.trade_id in report.venues[0].imported
    assert order_of(core, cid).provisional_quantity == 0
    assert core.state.portfolio.transfers == 0
    assert held(core, "USDT") == fake(core).balances[(Market.SPOT, "USDT")]


async def test_a_trade_that_is_named_after_newer_ones_still_takes_the_place_of_its_stand_in() -> None:
    core = make_core()
    venue = fake(core)
    cid, fill = await counted_and_not_named(core)
    venue.trades.remove(fill)
    await submit(core, market_order(), mark_of())
    await reconcile(core)
    assert order_of(core, cid).provisional_quantity == 0
    assert held(core, "USDT") == venue.balances[(Market.SPOT, "USDT")]


async def test_a_replay_with_stand_ins_and_busts_gives_the_same_state() -> None:
    core = make_core()
    cid, fill = await counted_and_not_named(core)
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    take(core, "BINANCE", bust_of(fill))
    again = restore(core.journal, newest_seq=core.journal.last_seq, snapshots=None).state
    assert again.image == core.state.image


def bust_of(fill: Fill) -> TradeBust:
    return TradeBust(
        symbol=fill.symbol,
        market=fill.market,
        trade_id=fill.trade_id,
        client_order_id=fill.client_order_id,
        venue_order_id=fill.venue_order_id,
        at_ms=fill.at_ms + 1,
    )


async def test_a_busted_trade_is_taken_back_once_at_the_rates_it_was_booked_at() -> None:
    core = make_core()
    cid = await resting(core)
    fill = fake(core).fill(cid, D("0.001"))
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    fake(core).prices[SYMBOL] = D("60000")
    for _ in range(2):
        take(core, "BINANCE", bust_of(fill))
    order = order_of(core, cid)
    assert (order.filled_quantity, order.busted_quantity) == (D(0), D("0.001"))
    assert (held(core), held(core, "USDT")) == (D(0), D("10000"))
    assert core.state.portfolio.realised == 0
    assert core.state.portfolio.identity_error == 0
    restricted = core.state.restriction(SYMBOL, Market.SPOT, core.clock.now_ms())
    assert restricted is not None
    assert restricted.code == "TRADE_BUST"


async def test_the_venues_count_of_a_busted_trade_does_not_bring_it_back() -> None:
    core = make_core()
    cid = await resting(core)
    fill = fake(core).fill(cid, D("0.001"))
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    take(core, "BINANCE", bust_of(fill))
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    await core.settle()
    assert order_of(core, cid).filled_quantity == 0
    assert held(core) == 0


async def test_a_bust_of_a_trade_that_is_not_booked_is_recorded_and_changes_nothing() -> None:
    core = make_core()
    cid = await resting(core)
    fill = fake(core).fill(cid, D("0.001"))
    take(core, "BINANCE", bust_of(fill))
    assert counts(core, "bust_unknown") == 1
    restricted = core.state.restriction(fill.symbol, fill.market, core.clock.now_ms())
    assert restricted is not None
    assert restricted.code == "TRADE_BUST"
    assert held(core) == 0


async def test_a_trade_told_again_with_another_price_is_kept_as_it_was_and_read_again() -> None:
    core = make_core()
    cid = await resting(core)
    fill = fake(core).fill(cid, D("0.001"))
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    take(core, "BINANCE", fake(core).report(cid, with_fill=replace(fill, price=fill.price + 1)))
    await core.settle()
    assert order_of(core, cid).filled_quote == fill.notional
    assert counts(core, "fill_conflict") == 1
    assert core.state.restriction(SYMBOL, Market.SPOT, core.clock.now_ms()) is None


async def test_a_read_that_contradicts_a_booked_trade_restricts_its_symbol() -> None:
    core = make_core()
    cid = await resting(core)
    fill = fake(core).fill(cid, D("0.001"))
    take(core, "BINANCE", fake(core).report(cid, with_fill=fill))
    other = replace(fill, quantity=D("0.0011"))
    fake(core).orders[cid].fills[:] = [other]
    take(core, "BINANCE", fake(core).report(cid, with_fill=other))
    await core.settle()
    restricted = core.state.restriction(SYMBOL, Market.SPOT, core.clock.now_ms())
    assert restricted is not None
    assert restricted.code == "FILL_CONFLICT"
    assert held(core) == D("0.001")


async def test_the_venues_last_word_is_kept_while_the_trades_of_an_earlier_one_are_asked_for() -> None:
    core = make_core()
    venue = fake(core)
    cid = await resting(core)
    venue.fill(cid, D("0.0005"))
    venue.down = True
    take(core, "BINANCE", venue.report(cid))
    venue.orders[cid].status = OrderStatus.CANCELED
    take(core, "BINANCE", venue.report(cid))
    assert order_of(core, cid).is_open  # a trade that is counted is not named yet
    await core.settle()
    order = order_of(core, cid)
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELED, D("0.0005"))
    assert counts(core, "provisional_fill") == 1


async def test_a_trade_of_the_other_side_that_a_history_brings_puts_the_order_aside_and_is_booked_all_the_same() -> (
    None
):
    core = make_core()
    cid = await resting(core)
    order = order_of(core, cid)
    wrong = Fill(
        venue="BINANCE",
        market=Market.SPOT,
        symbol=SYMBOL,
        trade_id="900001",
        client_order_id=cid,
        venue_order_id=order.venue_order_id,
        side=order.side.opposite,
        price=D("49000"),
        quantity=D("0.001"),
        at_ms=core.clock.now_ms(),
    )
    done = apply_fills(core, order, (wrong,))
    assert done is not None
    await done
    assert order_of(core, cid).status is OrderStatus.QUARANTINED
    assert core.state.restriction(SYMBOL, Market.SPOT, core.clock.now_ms()) is not None
    assert counts(core, "contradiction") == 1
    assert len(core.state.fills_of(cid)) == 1


async def closing_that_is_stood_in_for(quantity: str, *parts: str) -> tuple[EngineCore, str, list[Fill]]:
    """Hold 0.004 of BTC on USD-M bought at 50,000; an order that sells at 52,000 trades in parts that are not named."""
    venue = FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,))
    core = make_core(venue=venue)
    await submit(core, market_order("0.004", market=Market.FUTURES), mark_of())
    sale = limit_order("52000", quantity, side=OrderSide.SELL, market=Market.FUTURES)
    cid = (await submit(core, sale, mark_of())).order.client_order_id
    fills = [replace(venue.fill(cid, D(part)), realised=D(part) * 2_000) for part in parts]
    venue.down = True
    take(core, "BINANCE", venue.report(cid))
    await core.settle()
    venue.down = False
    return core, cid, fills


async def test_a_stand_in_on_usd_m_leaves_nothing_in_the_cost_and_the_result_when_the_trades_are_told() -> None:
    core, cid, fills = await closing_that_is_stood_in_for("0.002", "0.002")
    books = core.state.portfolio
    book = books.derivatives[SYMBOL].book
    assert order_of(core, cid).provisional_quantity == D("0.002")
    assert (book.quantity, book.cost, books.realised) == (D("0.002"), D(100), D(4))
    # Told as closed at an average of 49,500: a cheaper purchase is not told yet.
    take(core, "BINANCE", fake(core).report(cid, with_fill=replace(fills[0], realised=D(5))))
    assert (book.quantity, book.cost, books.realised) == (D("0.002"), D(200) - D(104) + D(5), D(5))
    assert books.holding("BINANCE", Market.FUTURES, "USDT") == CASH + D(5) - D("0.2") - D("0.104")
    assert books.identity_error == 0


async def test_a_position_that_stand_ins_close_is_flat_and_free_of_cost_while_its_trades_are_told() -> None:
    core, cid, fills = await closing_that_is_stood_in_for("0.004", "0.001", "0.003")
    books = core.state.portfolio
    book = books.derivatives[SYMBOL].book
    assert (book.quantity, book.cost, books.realised) == (D(0), D(0), D(8))
    take(core, "BINANCE", fake(core).report(cid, with_fill=fills[0]))
    assert order_of(core, cid).provisional_quantity == D("0.003")
    assert (book.quantity, book.cost, books.realised) == (D(0), D(0), D(8))
    take(core, "BINANCE", fake(core).report(cid, with_fill=fills[1]))
    assert (book.quantity, book.cost, books.realised) == (D(0), D(0), D(8))
    assert order_of(core, cid).provisional_quantity == 0
