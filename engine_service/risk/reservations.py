"""What an approved order holds back until it is done: exposure by value, funds by asset.

The reservation rides on the order itself. Applying ``OrderInitialized`` in the same event loop turn as the check makes
it count at once, and every later event releases exactly what was filled or ended. So a thousand concurrent orders
cannot pass a cap together, and a restart rebuilds the reservations from the journal alone.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine_service.domain.ids import FUTURES
from engine_service.domain.money import ONE, ZERO, quantise
from engine_service.domain.order_status import OrderSide
from engine_service.risk.context import RiskContext


class Reservation(Struct, frozen=True, kw_only=True, gc=False):
    """``unit_value``: reporting currency per base unit. ``per_unit``: units of ``asset`` per base unit."""

    unit_value: Decimal
    asset: str
    per_unit: Decimal
    policy_version: int


def reserve(ctx: RiskContext) -> Reservation:
    """Work out what an order must hold back, as exactly as the caller's decimal context. A futures order needs none."""
    version = ctx.policy.version
    unit_value = quantise(ctx.unit_value)
    if ctx.market is FUTURES:
        return Reservation(unit_value=unit_value, asset="", per_unit=ZERO, policy_version=version)
    if ctx.side is OrderSide.SELL:
        return Reservation(unit_value=unit_value, asset=ctx.instrument.base, per_unit=ONE, policy_version=version)
    per_unit = quantise(ctx.worst_price)
    return Reservation(unit_value=unit_value, asset=ctx.instrument.quote, per_unit=per_unit, policy_version=version)
