"""What a venue said of an order, in one shape, whichever way it was said: on the stream, in an answer, to a query."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine_service.domain.fill import Fill
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.venues.reports import Accepted, OrderReport


class Words(Struct, frozen=True, kw_only=True, gc=False):
    """What was said: ``executed`` is the venue's cumulative filled quantity, ``fills`` the trades named with it."""

    status: OrderStatus
    venue_order_id: str
    executed: Decimal
    fills: tuple[Fill, ...] = ()
    side: OrderSide | None = None
    symbol: str = ""
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    reason: str = ""


def from_report(report: OrderReport) -> Words:
    """Read a stream report or the answer to a query."""
    return Words(
        status=report.status,
        venue_order_id=report.venue_order_id,
        executed=report.executed_quantity,
        fills=() if report.fill is None else (report.fill,),
        side=report.side,
        symbol=report.symbol,
        quantity=report.quantity,
        limit_price=report.limit_price,
        reason=report.reason,
    )


def from_accepted(outcome: Accepted) -> Words:
    """Read the venue's answer to a request of ours."""
    return Words(
        status=outcome.status,
        venue_order_id=outcome.venue_order_id,
        executed=outcome.executed_quantity,
        fills=outcome.fills,
        quantity=outcome.quantity,
    )
