"""An order that is sent again and again: what the engine makes of its request once, brought to another moment.

A strategy that turns comes back to the same few market orders. The engine's own functions make each of them the first
time, up to the moment it is sent; later only what the moment has a say in is put in anew. The rails judge every one.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.apply_unit import step
from engine_service.domain.order import Order, OrderRequest
from engine_service.execution.core import EngineCore
from engine_service.execution.prepare import order_of, risk_context
from engine_service.risk.context import RiskContext
from engine_service.risk.reservations import Reservation


@dataclass(slots=True)
class PlannedOrder:
    """A market order of a given quantity of an instrument that is quoted in the reporting currency."""

    request: OrderRequest
    _context: RiskContext | None = None
    _sent: Order | None = None

    def context(self, core: EngineCore) -> RiskContext:
        """Return what the rails look at now; see ``risk_context``."""
        known, request = self._context, self.request
        mark = core.marks.get(request.symbol, request.market)
        if known is None or mark is None or not mark.is_valid:
            known = self._context = risk_context(core, request)
            return known
        clock = core.clock
        return replace(
            known,
            price=mark.price,
            mark=mark,
            policy=core.gate.policy,
            now_ms=clock.now_ms(),
            now_s=clock.monotonic_s(),
        )

    def sent(self, core: EngineCore, ctx: RiskContext, client_order_id: str, reservation: Reservation) -> Order:
        """Return the order as it is when it leaves."""
        known, now = self._sent, ctx.now_ms
        if known is None:
            order = order_of(core, ctx, client_order_id, reservation)
            leaves = e.OrderSubmitted(at_ms=now, client_order_id=client_order_id, sent_at_ms=now, fence_at_ms=now)
            known = self._sent = step(order, leaves)
            return known
        return replace(
            known,
            client_order_id=client_order_id,
            created_at_ms=now,
            updated_at_ms=now,
            sent_at_ms=now,
            fence_at_ms=now,
            policy_version=reservation.policy_version,
            unit_value=reservation.unit_value,
            reserve_per_unit=reservation.per_unit,
        )
