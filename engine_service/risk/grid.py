"""Figures off an instrument's grid: what a caller wrote is placed as written or refused, never rounded in silence.

Figures that the engine works out itself (a size from a quote amount, a strategy's, a leg's) are rounded before.
"""

from __future__ import annotations

from decimal import Decimal

from engine_service.domain.instrument import Instrument
from engine_service.domain.money import multiple_down, multiple_up, plain
from engine_service.domain.order import OrderRequest
from engine_service.risk.context import RiskContext, RiskRefused


def order_off_grid(ctx: RiskContext) -> RiskRefused | None:
    """QUANTITY_STEP, PRICE_TICK: a figure of the caller's is not one that the venue trades in."""
    request, instrument = ctx.request, ctx.instrument
    if request.quantity is not None and request.quantity != ctx.quantity:
        return quantity_off_grid(instrument, request.quantity, market_order=request.limit_price is None)
    if request.limit_price != ctx.limit_price or request.stop_price != ctx.stop_price or request.bracket is not None:
        return _price_off_grid(request, instrument)
    return None


def _price_off_grid(request: OrderRequest, instrument: Instrument) -> RiskRefused | None:
    plan = request.bracket
    named = {
        "limit price": request.limit_price,
        "stop price": request.stop_price,
        "take-profit price": None if plan is None else plan.take_profit,
        "stop-loss price": None if plan is None else plan.stop_loss,
    }
    for name, price in named.items():
        refusal = None if price is None else price_off_grid(instrument, price, name)
        if refusal is not None:
            return refusal
    return None


def quantity_off_grid(instrument: Instrument, quantity: Decimal, *, market_order: bool = False) -> RiskRefused | None:
    """Return the refusal of a quantity that is no multiple of the step, ``None`` for one that is."""
    step = max(instrument.step, instrument.market_step) if market_order else instrument.step
    return _between("QUANTITY_STEP", "the quantity is no multiple of the step", quantity, step)


def price_off_grid(instrument: Instrument, price: Decimal, name: str = "limit price") -> RiskRefused | None:
    """Return the refusal of a price that is no multiple of the tick, ``None`` for one that is."""
    return _between("PRICE_TICK", f"the {name} is no multiple of the tick", price, instrument.tick)


def _between(code: str, reason: str, written: Decimal, grid: Decimal) -> RiskRefused | None:
    below, above = multiple_down(written, grid), multiple_up(written, grid)
    if below == above:
        return None
    numbers = {
        "measured": plain(written),
        "limit": plain(grid),
        "acceptable": plain(below if below > 0 else above),
        "acceptable_above": plain(above),
    }
    return RiskRefused(code=code, reason=reason, numbers=numbers)
