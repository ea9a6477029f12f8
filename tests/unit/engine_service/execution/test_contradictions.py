"""What the venue cannot mean: such an order is for a person, its trades count all the same."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.execution.amend import amend
from engine_service.execution.apply_report import apply_fills, apply_report
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from tests.fakes.engine import fake, limit_order, make_core, mark_of, opening
from tests.fakes.venue import FakeVenue

pytestmark = pytest.mark.anyio
D = Decimal
SYMBOL = "BTCUSDT.BINANCE"
BOTH = (Market.SPOT, Market.FUTURES)


async def resting(core: EngineCore, side: OrderSide = OrderSide.BUY, market: Market = Market.SPOT) -> str:
    price = "49000" if side is OrderSide.BUY else "51000"
    return (await submit(core, limit_order(price, "0.003", side=side, market=market), mark_of())).order.client_order_id


def order_of(core: EngineCore, cid: str) -> Order:
    order = core.state.order(cid)
    assert order is not None
    return order


def told(core: EngineCore, cid: str, fill: Fill) -> Order:
    apply_report(core, fake(core).report(cid, with_fill=fill))
    return order_of(core, cid)


@pytest.mark.parametrize(
    ("side", "price", "status"),
    [
        (OrderSide.BUY, "49000.01", OrderStatus.QUARANTINED),
        (OrderSide.BUY, "49000", OrderStatus.PARTIALLY_FILLED),
        (OrderSide.BUY, "48000", OrderStatus.PARTIALLY_FILLED),
        (OrderSide.SELL, "50999.99", OrderStatus.QUARANTINED),
        (OrderSide.SELL, "51000", OrderStatus.PARTIALLY_FILLED),
        (OrderSide.SELL, "52000", OrderStatus.PARTIALLY_FILLED),
    ],
)
async def test_a_trade_worse_than_the_limit_cannot_be_the_orders(
    side: OrderSide, price: str, status: OrderStatus
) -> None:
    core = make_core()
    core.record(opening(core, Market.SPOT, "BTC", D("0.01"), D("50000")))
    cid = await resting(core, side)
    order = told(core, cid, fake(core).fill(cid, D("0.0005"), D(price)))
    assert (order.status, order.filled_quantity) == (status, D("0.0005"))
    restricted = core.state.restriction(SYMBOL, Market.SPOT, core.clock.now_ms())
    assert (restricted is not None) is (status is OrderStatus.QUARANTINED)


async def test_it_is_found_in_a_history_too() -> None:
    core = make_core()
    cid = await resting(core)
    fill = fake(core).fill(cid, D("0.0005"), D("49001"))
    apply_fills(core, order_of(core, cid), (fill,))
    assert order_of(core, cid).status is OrderStatus.QUARANTINED
    assert core.state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == D("0.0005")


async def test_a_late_trade_at_the_limit_before_a_change_is_the_orders() -> None:
    core = make_core(venue=FakeVenue(fake(make_core()).clock, markets=BOTH))
    cid = await resting(core, market=Market.FUTURES)
    early = fake(core).fill(cid, D("0.001"), D("49000"))
    await amend(core, cid, limit_price=D("48000"), principal="tester", mark=mark_of("key-1"))
    assert order_of(core, cid).limit_price == D("48000")
    assert told(core, cid, early).status is OrderStatus.PARTIALLY_FILLED
    worse = replace(early, trade_id="another", price=D("49000.1"))
    assert told(core, cid, worse).status is OrderStatus.QUARANTINED
