"""Orders and quotes for the venue tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType


def limit_order(**changes: Any) -> Order:
    """Return a spot limit order: buy 1 BTC at 30,000."""
    order = Order(
        client_order_id="ab12",
        symbol="BTCUSDT.BINANCE",
        market=Market.SPOT,
        side=OrderSide.BUY,
        type=OrderType.LIMIT,
        status=OrderStatus.SUBMITTED,
        quantity=Decimal(1),
        limit_price=Decimal(30000),
    )
    return replace(order, **changes)


def market_order(**changes: Any) -> Order:
    """Return a spot market order: buy 1 BTC."""
    return limit_order(type=OrderType.MARKET, limit_price=None, **changes)


def bitcoin(**changes: Any) -> Instrument:
    """Return the rules of BTCUSDT spot."""
    instrument = Instrument(
        symbol="BTCUSDT.BINANCE",
        market=Market.SPOT,
        base="BTC",
        quote="USDT",
        tick=Decimal("0.01"),
        step=Decimal("0.00001"),
        min_quantity=Decimal("0.00001"),
        max_quantity=Decimal(9000),
        min_notional=Decimal(5),
    )
    return replace(instrument, **changes)
