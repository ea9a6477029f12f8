"""Whether the legs of a bracket could stand, asked before its entry is sent."""

from __future__ import annotations

from msgspec.structs import replace

from engine_service.domain.errors import InvalidRequest, Refused
from engine_service.domain.money import plain
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.prepare import risk_context
from engine_service.risk import checks


def refuse_unplaceable(core: EngineCore, request: OrderRequest) -> None:
    """Refuse an entry whose legs could not stand at the present price, before it is sent.

    Raises:
        InvalidRequest: a level is passed already (``BRACKET_PRICES``), or the request is no order.
        Refused: a leg lies too far from the mark, or would be too small.
    """
    ctx = risk_context(core, request)
    if request.bracket is None or ctx.price is None or ctx.mark is None or not ctx.mark.is_valid:
        return
    touch = ctx.mark.ask if ctx.side is OrderSide.BUY else ctx.mark.bid
    entry_price = ctx.limit_price or touch
    levels = request.bracket.levels(entry_price, ctx.side)
    if not levels.enclose(entry_price, ctx.side):
        numbers = {"price": plain(entry_price)}
        raise InvalidRequest("BRACKET_PRICES", "the entry lies outside its own levels", numbers=numbers)
    for price in (levels.take_profit, levels.stop_loss):
        leg = replace(
            request,
            side=ctx.side.opposite,
            type=OrderType.STOP_MARKET,
            quantity=ctx.quantity,
            quote_quantity=None,
            limit_price=None,
            stop_price=price,
            reduce_only=True,
        )
        leg_ctx = risk_context(core, leg)
        refusal = checks.price_band(leg_ctx) or checks.notional_too_small(leg_ctx)
        if refusal is not None:
            raise Refused(refusal.code, f"a leg of the bracket: {refusal.reason}", numbers=refusal.numbers)
