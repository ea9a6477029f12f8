"""The legs of a bracket, judged with its entry: what could not stand at the present price must not be relied on."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from engine_service.domain.bracket import BracketPlan
from engine_service.domain.order_status import OrderType
from engine_service.risk.context import RiskContext, RiskRefused


def leg_refused(
    ctx: RiskContext, plan: BracketPlan, rail: Callable[[RiskContext], RiskRefused | None]
) -> RiskRefused | None:
    """Ask a rail about both legs of an entry, as they would be placed were it to fill now."""
    if ctx.mark is None or not ctx.mark.is_valid:
        return None
    levels = plan.levels(ctx.limit_price or ctx.mark.touch(ctx.side), ctx.side)
    for level in (levels.take_profit, levels.stop_loss):
        # Rounded as every trigger is: away from the market, so that it never fires early.
        price = ctx.instrument.round_price(level, ctx.side)
        request = replace(
            ctx.request,
            side=ctx.side.opposite,
            type=OrderType.STOP_MARKET,
            quantity=ctx.quantity,
            quote_quantity=None,
            limit_price=None,
            stop_price=price,
            reduce_only=True,
            bracket=None,
        )
        refusal = rail(replace(ctx, request=request, limit_price=None, stop_price=price, price=price))
        if refusal is not None:
            return replace(refusal, reason=f"a leg of the bracket: {refusal.reason}")
    return None
