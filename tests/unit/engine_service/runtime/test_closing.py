"""Strategies on opposite sides of one USD-M account, which holds their sum: each gets out, and closes nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.ids import Market
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.runtime.bracket_watcher import BracketWatcher
from engine_service.runtime.own_orders import submit_own
from engine_service.runtime.stop_outs import StopOuts
from engine_service.runtime.strategy_config import StrategyConfig
from engine_service.storage.port import Recorded
from tests.fakes.engine import START_MS, fake, make_core, mark_of, market_order
from tests.fakes.venue import FakeVenue
from tests.unit.engine_service.runtime.test_bracket_watcher import BETWEEN, BTC, LOST, WON, outcomes, price
from tests.unit.engine_service.runtime.test_signal_orders import bar, orders_of, wish

pytestmark = pytest.mark.anyio
D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL
LONG, LONGER, SHORT = "ma_cross", "hmm_regime", "ensemble"


def trading(*watched: str) -> EngineCore:
    """Return a USD-M engine that watches the entries of some strategies."""
    venue = FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,))
    core = make_core(venue=venue)

    async def send(request: OrderRequest, key: str) -> None:
        await submit_own(core, request, key)

    watcher = BracketWatcher(core, {name: StrategyConfig() for name in watched}, send, StopOuts(core))

    def publish(batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            watcher.on_event(recorded)

    core.journal.on_commit(publish)
    core.marks.listen(watcher.on_mark)
    return core


async def trade(core: EngineCore, strategy: str, side: OrderSide, quantity: str) -> None:
    order = market_order(quantity, side=side, market=Market.FUTURES, strategy=strategy)
    assert (await submit(core, replace(order, leg="entry"), mark_of())).order.filled_quantity == D(quantity)
    await core.settle()


def held(core: EngineCore) -> dict[str, Decimal]:
    books = core.state.portfolio
    return {p.strategy: p.book.quantity for p in books.strategies.values() if p.book.quantity != 0}


def account(core: EngineCore) -> Decimal:
    return core.state.portfolio.position(BTC)


def exits(core: EngineCore) -> list[tuple[str, Decimal | None, bool]]:
    """Return what went to the venue to close: strategy, quantity, whether it only reduced."""
    return [(o.strategy, o.quantity, o.reduce_only) for o in fake(core).submits if o.leg != "entry"]


def events(core: EngineCore, kind: type[e.Event]) -> list[e.Event]:
    return [r.event for r in core.journal.events_after(0, 10_000) if isinstance(r.event, kind)]


def told(core: EngineCore) -> list[str]:
    return [event.detail for event in events(core, e.Anomaly) if isinstance(event, e.Anomaly)]


@pytest.mark.parametrize("first", [LOST, WON])
async def test_strategies_that_leave_the_account_flat_both_get_out(first: str) -> None:
    core = trading(LONG, SHORT)
    await trade(core, LONG, BUY, "0.003")
    await trade(core, SHORT, SELL, "0.003")
    for at in (first, BETWEEN, LOST):
        await price(core, at)
    assert (held(core), account(core), core.state.image.brackets) == ({}, D(0), {})
    assert sorted(exits(core)) == [(SHORT, D("0.003"), False), (LONG, D("0.003"), False)]


async def test_a_close_only_reduces_as_far_as_the_account_holds_something() -> None:
    core = trading(LONG, LONGER)
    await trade(core, LONG, BUY, "0.009")
    await trade(core, SHORT, SELL, "0.004")
    await price(core, LOST)
    await price(core, LOST)
    assert exits(core) == [(LONG, D("0.005"), True), (LONG, D("0.004"), False)]
    assert (held(core), account(core), outcomes(core)) == ({SHORT: D("-0.004")}, D("-0.004"), ["stop_loss"])


async def test_what_would_be_left_too_small_for_an_ordinary_order_goes_with_it() -> None:
    core = trading(LONG, LONGER)
    await trade(core, LONG, BUY, "0.009")
    await trade(core, SHORT, SELL, "0.002")
    await price(core, LOST)
    await price(core, LOST)
    assert exits(core) == [(LONG, D("0.006"), True), (LONG, D("0.003"), False)]
    assert (held(core), account(core)) == ({SHORT: D("-0.002")}, D("-0.002"))


@pytest.mark.parametrize("second", [(), (SHORT, SELL, "0.003")])
async def test_what_a_person_closed_is_not_opened_again(second: tuple[str, OrderSide, str] | tuple[()]) -> None:
    core = trading(LONG, LONGER)
    await trade(core, LONG, BUY, "0.003")
    if second:
        await trade(core, *second)
    await trade(core, "manual", SELL, "0.003")
    left = account(core)
    for at in (LOST, LOST, WON):
        await price(core, at)
    assert (account(core), exits(core), core.state.image.brackets) == (left, [], {})


async def test_two_that_share_what_a_person_left_do_not_both_close_it() -> None:
    core = trading(LONG, LONGER)
    await trade(core, LONG, BUY, "0.003")
    await trade(core, LONGER, BUY, "0.003")
    await trade(core, SHORT, SELL, "0.003")
    await trade(core, "manual", SELL, "0.003")
    for _ in range(4):
        await price(core, LOST)
    assert len(exits(core)) == 1
    assert account(core) == D("-0.003")


async def test_a_refused_exit_is_tried_ever_more_slowly_and_told_once() -> None:
    core = trading(LONG, LONGER)
    await trade(core, LONG, BUY, "0.003")
    await trade(core, SHORT, SELL, "0.003")
    core.record(e.TradingHalted(at_ms=core.clock.now_ms(), reason="test", principal="tester"))
    for _ in range(60):
        await price(core, LOST)
        await core.sleep(1.0)
    denied = [event.at_ms for event in events(core, e.OrderDenied)]
    waits = [later - earlier for earlier, later in pairwise(denied)]
    assert waits == sorted(waits)
    assert waits[-1] >= 15_000
    assert len(told(core)) == 1
    assert "TRADING_HALTED" in told(core)[0]
    core.record(e.TradingResumed(at_ms=core.clock.now_ms(), reason="test", principal="tester"))
    for _ in range(20):
        await price(core, LOST)
        await core.sleep(1.0)
    assert (held(core), outcomes(core)) == ({SHORT: D("-0.003")}, ["stop_loss"])


async def test_an_exit_that_can_only_reduce_again_does_not_wait_for_the_other() -> None:
    core = trading(LONG, LONGER)
    await trade(core, LONG, BUY, "0.003")
    await trade(core, SHORT, SELL, "0.003")
    core.record(e.TradingHalted(at_ms=core.clock.now_ms(), reason="test", principal="tester"))
    for _ in range(20):
        await price(core, LOST)
    core.record(e.TradingResumed(at_ms=core.clock.now_ms(), reason="test", principal="tester"))
    await trade(core, SHORT, BUY, "0.003")
    await price(core, LOST)
    assert exits(core) == [(LONG, D("0.003"), True)]


@pytest.mark.parametrize(("target", "left"), [(0.0, "-0.003"), (-1.0, "-0.006")])
async def test_a_signal_leaves_a_position_that_another_strategy_holds_against(target: float, left: str) -> None:
    core = trading(LONG, LONGER)
    orders = orders_of(core, Market.FUTURES)
    await trade(core, LONG, BUY, "0.003")
    await trade(core, SHORT, SELL, "0.003")
    for number in range(2):
        orders.act(wish(target), bar(number))
        await core.settle()
    assert account(core) == D(left)
    assert held(core).get(SHORT) == D("-0.003")


async def test_a_signal_closes_nothing_that_a_person_closed() -> None:
    core = trading(LONG, LONGER)
    orders = orders_of(core, Market.FUTURES)
    await trade(core, LONG, BUY, "0.003")
    await trade(core, "manual", SELL, "0.003")
    for number, target in enumerate((0.0, -1.0, -1.0)):
        orders.act(wish(target), bar(number))
        await core.settle()
    assert (account(core), exits(core)) == (D(0), [])


async def test_what_is_too_small_for_an_ordinary_order_waits_until_it_can_only_reduce() -> None:
    core = trading(LONG)
    await trade(core, LONG, BUY, "0.003")
    await trade(core, SHORT, SELL, "0.003")
    for _ in range(3):
        await price(core, "30000")
    assert (exits(core), events(core, e.OrderDenied), len(told(core))) == ([], [], 1)
    await trade(core, SHORT, BUY, "0.004")
    await price(core, "30000")
    assert (exits(core), outcomes(core)) == ([(LONG, D("0.003"), True)], ["stop_loss"])
