"""A strategy's bracket: one exit, and none forgotten, whatever becomes of the answer to it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.marks import Mark
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.execution.apply_report import apply_report
from engine_service.execution.cancel import cancel
from engine_service.execution.core import EngineCore, Phase
from engine_service.execution.submit import submit
from engine_service.runtime.bracket_keeper import BracketKeeper
from engine_service.runtime.bracket_watcher import BracketWatcher
from engine_service.runtime.own_orders import submit_own
from engine_service.runtime.stop_outs import StopOuts
from engine_service.runtime.strategy_config import StrategyConfig
from engine_service.storage.memory import MemoryJournal
from engine_service.storage.port import Recorded
from tests.fakes.engine import START_MS, fake, limit_order, make_core, mark_of, market_order, refresh_marks, restart
from tests.fakes.venue import FakeVenue, Script, unknown
from tests.unit.engine_service.runtime.test_signal_orders import bar, orders_of, wish

pytestmark = pytest.mark.anyio
D = Decimal
BTC = "BTCUSDT.BINANCE"
STRATEGY = "ma_cross"
#: 20 basis points above and 30 below an entry at 50,000.
LOST, WON, BETWEEN = "49800", "50200", "50000"


def watching(core: EngineCore) -> BracketWatcher:
    """Return a watcher that hears of this core's events and marks."""

    async def send(request: OrderRequest, key: str) -> None:
        await submit_own(core, request, key)

    watcher = BracketWatcher(core, {STRATEGY: StrategyConfig()}, send, StopOuts(core))

    def publish(batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            watcher.on_event(recorded)

    core.journal.on_commit(publish)
    core.marks.listen(watcher.on_mark)
    return watcher


async def entered(core: EngineCore, quantity: str = "0.002") -> Order:
    """Let the strategy buy in an account that holds more of the asset, bought by hand."""
    await submit(core, market_order("0.01"), mark_of())
    entry = replace(market_order(quantity, strategy=STRATEGY), leg="entry")
    return (await submit(core, entry, mark_of())).order


async def price(core: EngineCore, at: str) -> None:
    """Let the market come to a price, and all that follows end."""
    fake(core).prices[BTC] = D(at)
    refresh_marks(core, fake(core))
    await core.settle()


def move(core: EngineCore, at: str) -> None:
    """Let the market come to a price, and wait for nothing."""
    fake(core).prices[BTC] = D(at)
    mark = core.marks.get(BTC, next(iter(fake(core).markets)))
    assert mark is not None
    core.marks.update(Mark(symbol=BTC, market=mark.market, bid=D(at), ask=D(at), at_s=core.clock.monotonic_s()))


def sold(core: EngineCore) -> Decimal:
    """Return what the venue sold, by its own ledger."""
    return sum((fill.quantity for fill in fake(core).trades if fill.side is OrderSide.SELL), D(0))


def outcomes(core: EngineCore) -> list[str]:
    found = [r.event for r in core.journal.events_after(0, 10_000)]
    return [event.outcome for event in found if isinstance(event, e.BracketClosed)]


async def test_a_level_is_followed_by_one_exit_and_the_end() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS)))
    watching(core)
    await entered(core)
    await price(core, BETWEEN)
    assert sold(core) == 0
    for at in (LOST, WON, LOST):
        await price(core, at)
    assert (sold(core), outcomes(core), core.state.image.brackets) == (D("0.002"), ["stop_loss"], {})


async def test_an_exit_that_never_came_to_the_venue_is_sent_again() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS)))
    watching(core)
    await entered(core)
    fake(core).scripts.append(Script(act=False, say=unknown()))
    await price(core, LOST)
    assert sold(core) == 0
    await price(core, LOST)
    assert (sold(core), outcomes(core)) == (D("0.002"), ["stop_loss"])


async def test_an_exit_in_doubt_is_not_followed_by_one_at_the_other_level_after_a_restart() -> None:
    journal = MemoryJournal()
    core = make_core(venue=FakeVenue(ManualClock(START_MS)), journal=journal)
    watching(core)
    await entered(core)
    fake(core).down = True
    fake(core).scripts.append(Script(say=unknown()))
    move(core, LOST)
    while not any(order.side is OrderSide.SELL for order in fake(core).submits):
        await core.sleep(0.01)
    again = restart(core, journal, journal.last_seq)
    again.phase = Phase.READY
    watching(again)
    for at in (WON, LOST, WON):
        move(again, at)
        for _ in range(50):
            await again.sleep(0.001)
    assert sold(again) == D("0.002")


async def test_the_keeper_of_orders_brackets_leaves_a_strategys_alone() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS)))
    watching(core)
    keeper = BracketKeeper(core, StopOuts(core))
    keeper.running = True

    def publish(batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            keeper.on_event(recorded)

    core.journal.on_commit(publish)
    await entered(core)
    core.answer_deadline_s = 0.01
    fake(core).down = True
    fake(core).scripts.append(Script(say=unknown()))
    move(core, LOST)
    for _ in range(300):
        await core.sleep(0.001)
    fake(core).down = False
    await core.settle()
    assert (sold(core), outcomes(core)) == (D("0.002"), ["stop_loss"])


async def test_what_an_exit_did_not_close_is_closed_by_the_next() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS)))
    watching(core)
    await entered(core)
    fake(core).scripts.append(Script(fill_part=D("0.0005")))
    await price(core, LOST)
    part = fake(core).submits[-1].client_order_id
    fake(core).orders[part].status = OrderStatus.EXPIRED
    apply_report(core, fake(core).report(part))
    await core.settle()
    await price(core, LOST)
    await price(core, LOST)
    assert (sold(core), outcomes(core)) == (D("0.002"), ["stop_loss"])


async def test_an_asset_that_another_order_locks_keeps_its_bracket() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS)))
    watching(core)
    await entered(core)
    lock = limit_order("50400", "0.012", side=OrderSide.SELL)
    locked = (await submit(core, lock, mark_of())).order
    for at in (BETWEEN, LOST):
        await price(core, at)
    assert (sold(core), outcomes(core)) == (D(0), [])
    await cancel(core, locked.client_order_id, principal="tester", reason="enough")
    await price(core, LOST)
    assert (sold(core), outcomes(core)) == (D("0.002"), ["stop_loss"])


async def test_what_another_order_locks_in_part_keeps_its_bracket() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS)))
    watching(core)
    await entered(core)
    lock = limit_order("50400", "0.011", side=OrderSide.SELL)
    locked = (await submit(core, lock, mark_of())).order
    await price(core, LOST)
    assert (sold(core), outcomes(core)) == (D("0.001"), [])
    await cancel(core, locked.client_order_id, principal="tester", reason="enough")
    await price(core, LOST)
    assert (sold(core), outcomes(core)) == (D("0.002"), ["stop_loss"])


@pytest.mark.parametrize("signal_first", [True, False])
async def test_a_level_and_a_signal_of_one_moment_sell_once(signal_first: bool) -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS)))
    watching(core)
    await entered(core)
    orders = orders_of(core)
    if signal_first:
        orders.act(wish(0.0), bar(1))
    move(core, LOST)
    if not signal_first:
        orders.act(wish(0.0), bar(1))
    await core.settle()
    assert sold(core) == D("0.002")


async def test_an_entry_whose_bracket_a_kill_cut_off_gets_it_after_the_restart() -> None:
    journal = MemoryJournal()
    core = make_core(venue=FakeVenue(ManualClock(START_MS)), journal=journal)
    await entered(core)
    again = restart(core, journal, journal.last_seq)
    again.phase = Phase.READY
    watching(again)
    await price(again, BETWEEN)
    assert len(again.state.image.brackets) == 1
    await price(again, LOST)
    assert (sold(again), outcomes(again)) == (D("0.002"), ["stop_loss"])


def unprotected(core: EngineCore) -> list[str]:
    found = [r.event for r in core.journal.events_after(0, 10_000)]
    return [a.detail for a in found if isinstance(a, e.Anomaly) and a.kind == "bracket_unprotected"]


async def test_a_rest_that_the_venue_does_not_take_ends_the_bracket_and_is_told_once() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS)))
    watching(core)
    await entered(core)
    lock = limit_order("50400", "0.01005", side=OrderSide.SELL)
    locked = (await submit(core, lock, mark_of())).order
    await price(core, LOST)
    assert sold(core) == D("0.00195")
    for _ in range(3):
        await price(core, LOST)
    await cancel(core, locked.client_order_id, principal="tester", reason="enough")
    for _ in range(3):
        await price(core, LOST)
    assert (sold(core), outcomes(core)) == (D("0.00195"), ["stop_loss"])
    assert len(unprotected(core)) == 1
    assert not [order for order in core.state.image.orders.values() if order.status is OrderStatus.DENIED]


async def test_what_other_orders_leave_free_is_not_sent_where_the_venue_does_not_take_it() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS)))
    watching(core)
    await entered(core)
    lock = limit_order("50400", "0.01195", side=OrderSide.SELL)
    locked = (await submit(core, lock, mark_of())).order
    for _ in range(3):
        await price(core, LOST)
    assert (sold(core), outcomes(core), len(unprotected(core))) == (D(0), [], 1)
    assert not [order for order in core.state.image.orders.values() if order.status is OrderStatus.DENIED]
    await cancel(core, locked.client_order_id, principal="tester", reason="enough")
    await price(core, LOST)
    assert (sold(core), outcomes(core)) == (D("0.002"), ["stop_loss"])
