"""What a signal asks for is sent once: not again while nobody knows what came of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from engine_service.domain import events as e
from engine_service.domain.ids import Market
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.runtime.market_feed import MarketFeed
from engine_service.runtime.own_orders import submit_own
from engine_service.runtime.regime_tape import RegimeTape
from engine_service.runtime.settings_in_force import SettingsInForce
from engine_service.runtime.signal_orders import SignalOrders
from engine_service.runtime.step_watch import StepWatch
from engine_service.runtime.strategy_config import load_strategies
from engine_service.runtime.strategy_loop import StrategyLoop
from strategies.contracts import Bar, Signal
from tests.architecture.sources import ROOT
from tests.fakes.engine import fake, make_core
from tests.fakes.venue import Script, unknown

pytestmark = pytest.mark.anyio
BTC = "BTCUSDT.BINANCE"


class NoHistory:
    def history(self, _symbol: str) -> Sequence[Bar]:
        return ()


def orders_of(core: EngineCore, market: Market = Market.SPOT) -> SignalOrders:
    async def send(request: OrderRequest, key: str) -> None:
        await submit_own(core, request, key)

    configs = load_strategies(Path(ROOT / "config" / "strategies.yaml"))
    feed = cast("MarketFeed", NoHistory())
    return SignalOrders(core, lambda: feed, market, SettingsInForce(core, configs), send)


def bar(number: int) -> Bar:
    opened = 1_700_000_000_000 + 60_000 * number
    return Bar(
        symbol=BTC,
        open_at_ms=opened,
        close_at_ms=opened + 60_000,
        open=50_000,
        high=50_000,
        low=50_000,
        close=50_000,
        volume=1,
    )


def wish(target: float = 1.0) -> Signal:
    return Signal(strategy="ma_cross", symbol=BTC, at_ms=1_700_000_000_000, target=target, confidence=1.0, why={})


async def test_an_entry_in_doubt_is_not_followed_by_another() -> None:
    core = make_core()
    core.answer_deadline_s = 0.01
    orders, signal = orders_of(core), wish()
    fake(core).down = True
    fake(core).scripts.append(Script(say=unknown()))
    for number in range(3):
        orders.act(signal, bar(number))
        for _ in range(30):
            await core.sleep(0.001)
    assert len(fake(core).submits) == 1
    fake(core).down = False
    await core.settle()
    orders.act(signal, bar(9))
    await core.settle()
    assert sum((fill.quantity for fill in fake(core).trades), Decimal(0)) == fake(core).trades[0].quantity


class OneBar:
    def history(self, _symbol: str) -> Sequence[Bar]:
        return (bar(0),)


def loop_of(core: EngineCore) -> StrategyLoop:
    async def send(request: OrderRequest, key: str) -> None:
        await submit_own(core, request, key)

    configs = load_strategies(Path(ROOT / "config" / "strategies.yaml"))
    feed, watch = cast("MarketFeed", OneBar()), StepWatch(core, lambda *_: None)
    loop = StrategyLoop(core, lambda: feed, Market.SPOT, configs, send, RegimeTape(), watch)
    loop.running = True
    return loop


async def test_a_second_wish_from_outside_within_a_bar_is_an_order_of_its_own() -> None:
    core = make_core()
    loop = loop_of(core)
    for target in (0.4, 1.0, 1.0):
        await loop.take_external(wish(target))
        await core.settle()
    held = core.state.portfolio.strategies[f"ma_cross|{Market.SPOT}|{BTC}"].book.quantity
    assert len(fake(core).submits) == 2
    assert held == sum((fill.quantity for fill in fake(core).trades), Decimal(0))


async def test_what_a_strategy_says_twice_of_one_bar_is_one_order() -> None:
    core = make_core()
    orders = orders_of(core)
    for target in (0.4, 1.0):
        orders.act(wish(target), bar(0))
        await core.settle()
    assert len(fake(core).submits) == 1


async def test_a_wish_for_a_strategy_that_is_off_adds_no_risk_and_still_closes() -> None:
    core = make_core()
    loop = loop_of(core)
    await loop.take_external(wish(0.5))
    await core.settle()
    off = e.StrategyChanged(
        at_ms=0, strategy="ma_cross", enabled=False, dry_run=False, budget=Decimal(3000), weight=Decimal(1)
    )
    core.record(off)
    await loop.take_external(wish(1.0))
    await core.settle()
    assert len(fake(core).submits) == 1
    denied = [order for order in core.state.image.orders.values() if order.status is OrderStatus.DENIED]
    assert [order.code for order in denied] == ["STRATEGY_DISABLED"]
    await loop.take_external(wish(0.0))
    await core.settle()
    assert core.state.portfolio.strategies[f"ma_cross|{Market.SPOT}|{BTC}"].book.quantity == 0
