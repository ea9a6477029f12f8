"""What a futures order needs of its wallet, at the leverage limit; results not yet realised are left out."""

from __future__ import annotations

from decimal import Decimal

from engine_service.domain.ids import FUTURES
from engine_service.domain.money import ZERO
from engine_service.risk.context import RiskContext


def margin(ctx: RiskContext) -> tuple[Decimal, Decimal] | None:
    """Return the initial margin that an order needs and what is free of the wallet, in the reporting currency.

    At the leverage limit, results not yet realised left out; ``None`` where that limit is 0.
    """
    leverage = ctx.policy.leverage_limit
    if leverage <= 0:
        return None
    added, wallet, gross = margin_parts(ctx)
    return added / leverage, wallet - gross / leverage


def margin_parts(ctx: RiskContext) -> tuple[Decimal, Decimal, Decimal]:
    """Return the exposure that an order adds, the wallet, and the gross exposure that the wallet carries already."""
    state, venue = ctx.state, ctx.venue
    exposure = state.exposure
    wallet = state.portfolio.holding(venue, FUTURES, ctx.instrument.quote) * (ctx.quote_rate or ZERO)
    added = exposure.after_order(ctx.line, venue, ctx.side, ctx.value).added
    return added, wallet, exposure.derivative_gross(venue)
