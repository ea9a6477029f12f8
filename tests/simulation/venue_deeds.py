"""What the venue and the rest of the world do of their own accord: trades, cancels, money that comes and goes."""

from __future__ import annotations

from decimal import Decimal

from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from tests.simulation.exchange import RULES, SPOT, Exchange, VenueOrder
from tests.simulation.script import Deed, Step

D = Decimal
#: Above this share a resting order trades in full.
ALL_OF_IT = 0.6


def happen(exchange: Exchange, step: Step) -> None:
    """Let one deed of the venue's happen."""
    match step.deed:
        case Deed.TRADE:
            _trade(exchange, step.share)
        case Deed.VENUE_ENDS:
            record = _chosen(exchange, step.share)
            if record is not None:
                exchange.end(record, OrderStatus.CANCELED if step.share < 0.5 else OrderStatus.EXPIRED)
        case Deed.DEPOSIT:
            exchange.deposit(step.amount)
        case Deed.FUNDING:
            exchange.fund(step.amount)
        case _:
            _stranger(exchange)


def _chosen(exchange: Exchange, share: float) -> VenueOrder | None:
    working = [record for record in exchange.orders.values() if record.is_open]
    return working[int(share * len(working))] if working else None


def _trade(exchange: Exchange, share: float) -> None:
    record = _chosen(exchange, share)
    if record is None:
        return
    left = record.quantity - record.executed
    step = RULES[(record.symbol, record.market)].step
    part = left if share > ALL_OF_IT else max(step, (left * D(str(round(share, 2))) // step) * step)
    exchange.trade(record, part)


def _stranger(exchange: Exchange) -> None:
    """Somebody trades on the account by hand."""
    order = Order(
        client_order_id="by-hand",
        symbol=SPOT,
        market=Market.SPOT,
        side=OrderSide.BUY,
        type=OrderType.MARKET,
        status=OrderStatus.INITIALIZED,
        quantity=D("0.002"),
    )
    exchange.place(order, (D("0.002"),), external=True)
