"""What a signal asks for is sent once: not again while nobody knows what came of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from engine_service.domain.ids import Market
from engine_service.domain.order import OrderRequest
from engine_service.execution.core import EngineCore
from engine_service.runtime.market_feed import MarketFeed
from engine_service.runtime.own_orders import submit_own
from engine_service.runtime.settings_in_force import SettingsInForce
from engine_service.runtime.signal_orders import SignalOrders
from engine_service.runtime.strategy_config import load_strategies
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
