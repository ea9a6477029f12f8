"""An order as the paper exchange keeps it, and what it tells of it."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct, field

from engine_service.domain.fill import Fill
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.venues.paper.fill_model import Queue
from engine_service.venues.reports import OrderReport


class PaperOrder(Struct, gc=False):
    """An order as the paper exchange keeps it."""

    order: Order
    venue_order_id: str
    quantity: Decimal
    status: OrderStatus
    at_ms: int
    executed: Decimal = ZERO
    triggered: bool = False
    queue: Queue | None = None
    fills: list[Fill] = field(default_factory=list)

    @property
    def left(self) -> Decimal:
        return self.quantity - self.executed

    def report(self, fill: Fill | None = None) -> OrderReport:
        """Tell the order as it stands, with the trade that changed it."""
        return OrderReport(
            symbol=self.order.symbol,
            market=self.order.market,
            client_order_id=self.order.client_order_id,
            venue_order_id=self.venue_order_id,
            side=self.order.side,
            type=self.order.type,
            status=self.status,
            quantity=self.quantity,
            executed_quantity=self.executed,
            limit_price=self.order.limit_price,
            stop_price=self.order.stop_price,
            at_ms=self.at_ms,
            fill=fill,
        )
