"""An order that comes again is what the engine would make of its request at that moment, field by field."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Literal

import pytest

from engine_service.backtest.desk import Desk
from engine_service.backtest.options import BacktestOptions, policy_of
from engine_service.backtest.planned import PlannedOrder
from engine_service.domain import events as e
from engine_service.domain.apply_unit import step
from engine_service.domain.money import EXACT
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.execution.prepare import order_of, risk_context
from engine_service.risk.context import RiskContext
from engine_service.risk.gate import Approved

D = Decimal
SYMBOL, START_MS, BAR_MS = "BTCUSDT.BINANCE", 1_760_000_040_000, 60_000
PRICES = ("100.25", "99.5", "0.00000001", "101", "100.25")
Market = Literal["spot", "futures"]


def desk_of(market: Market) -> Desk:
    return Desk([SYMBOL], BacktestOptions(market=market, quantity=D(1), half_spread_bps=D("2.5")), START_MS)


def planned_of(desk: Desk, side: OrderSide) -> PlannedOrder:
    return PlannedOrder(
        OrderRequest(
            symbol=SYMBOL,
            market=desk.market,
            side=side,
            type=OrderType.MARKET,
            quantity=D("1.5"),
            why={"crossed": "up"},
        )
    )


def made_anew(desk: Desk, ctx: RiskContext, client_order_id: str, verdict: Approved) -> Order:
    now = desk.clock.now_ms()
    leaves = e.OrderSubmitted(at_ms=now, client_order_id=client_order_id, sent_at_ms=now, fence_at_ms=now)
    return step(order_of(desk.core, ctx, client_order_id, verdict.reservation), leaves)


@pytest.mark.parametrize("market", ["spot", "futures"])
def test_an_order_that_comes_again_is_the_one_the_engine_would_make_then(market: Market) -> None:
    with localcontext(EXACT):
        desk = desk_of(market)
        planned = planned_of(desk, OrderSide.BUY)
        for number, price in enumerate(PRICES, start=1):
            desk.mark(SYMBOL, D(price), START_MS + number * BAR_MS)
            ctx, cid = planned.context(desk.core), f"{number:032x}"
            assert ctx == risk_context(desk.core, planned.request)
            verdict = desk.core.gate.check(ctx)
            if isinstance(verdict, Approved):
                assert planned.sent(desk.core, ctx, cid, verdict.reservation) == made_anew(desk, ctx, cid, verdict)
                desk.trade(planned)
        assert len({order.unit_value for order in desk.orders if order.filled_quantity}) == 3


def test_limits_that_changed_judge_the_order_that_comes_again() -> None:
    with localcontext(EXACT):
        desk = desk_of("futures")
        planned = planned_of(desk, OrderSide.SELL)
        desk.mark(SYMBOL, D(100), START_MS + BAR_MS)
        desk.trade(planned)
        desk.core.gate.install(policy_of({"max_notional": "10"}))
        desk.mark(SYMBOL, D(101), START_MS + 2 * BAR_MS)
        desk.trade(planned)
    assert dict(desk.refused) == {"NOTIONAL_TOO_LARGE": 1}
    assert len(desk.fills) == 1
