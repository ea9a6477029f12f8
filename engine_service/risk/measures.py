"""What each rail looks at, in numbers, also where it passes: the value measured and the limit it is held against.

The rails themselves compute numbers only when they refuse. These are for an order that is only asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from engine_service.domain.exposure_lines import AfterOrder
from engine_service.domain.ids import Market
from engine_service.domain.money import BPS, ZERO, exactly, plain
from engine_service.domain.order_status import OrderSide
from engine_service.risk.context import RiskContext
from engine_service.risk.margin import margin
from engine_service.risk.permissions import Pace

Measure = tuple[object, object]


@exactly
def measured(code: str, ctx: RiskContext, pace: Pace) -> Mapping[str, str]:
    """Return ``value`` and ``limit`` of a rail as text, empty where it measures nothing."""
    measure = MEASURES.get(code)
    if measure is None:
        return {}
    value, limit = measure(ctx, pace)
    return {"value": _text(value), "limit": _text(limit)}


def _text(value: object) -> str:
    if not isinstance(value, Decimal):
        return str(value)
    return plain(value.quantize(Decimal("1e-8")) if abs(value) < Decimal("1e18") else value)


def _halted(ctx: RiskContext, pace: Pace) -> Measure:
    return ("halted" if ctx.state.halted else f"{len(ctx.state.in_doubt)} in doubt"), ctx.policy.max_in_doubt


def _venue_breaker(ctx: RiskContext, pace: Pace) -> Measure:
    share = pace.venue(ctx.instrument.venue).error_share(ctx.now_s) * 100
    return f"{share:.1f} %", f"{ctx.policy.breaker_error_share_pct} %"


def _equity_breaker(ctx: RiskContext, pace: Pace) -> Measure:
    state = "open" if pace.equity.is_open(ctx.now_s, ctx.policy) else "closed"
    return state, f"{ctx.policy.equity_breaker_drop_pct} %"


def _trading_disabled(ctx: RiskContext, pace: Pace) -> Measure:
    return str(ctx.policy.trading_enabled).lower(), "true"


def _strategy_disabled(ctx: RiskContext, pace: Pace) -> Measure:
    settings = ctx.state.strategy(ctx.request.strategy)
    return ("no strategy" if settings is None else str(settings.enabled).lower()), "true"


def _symbol_allowed(ctx: RiskContext, pace: Pace) -> Measure:
    return ctx.instrument.symbol, ",".join(ctx.policy.allowed_symbols)[:200]


def _quarantine(ctx: RiskContext, pace: Pace) -> Measure:
    found = ctx.state.restriction(ctx.instrument.symbol, ctx.market, ctx.now_ms)
    return ("free" if found is None else found.code), "free"


def _shape(ctx: RiskContext, pace: Pace) -> Measure:
    return ctx.quantity, max(ctx.instrument.min_quantity, ctx.instrument.step)


def _mark_age(ctx: RiskContext, pace: Pace) -> Measure:
    return ("none" if ctx.mark is None else ctx.mark.age_ms(ctx.now_s)), ctx.policy.price_stale_ms


def _mark_price(ctx: RiskContext, pace: Pace) -> Measure:
    return ("none" if ctx.mark is None or not ctx.mark.is_valid else ctx.mark.price), "bid <= ask"


def _distance(ctx: RiskContext, pace: Pace) -> Measure:
    if ctx.mark is None or not ctx.mark.is_valid:
        return "none", ctx.policy.price_band_bps
    touch = ctx.mark.touch(ctx.side)
    prices = [price for price in (ctx.limit_price, ctx.stop_price) if price is not None] or [touch]
    return max(abs(price - ctx.mark.price) * BPS / ctx.mark.price for price in prices), ctx.policy.price_band_bps


def _closable(ctx: RiskContext, pace: Pace) -> Measure:
    if not ctx.request.reduce_only:
        return "not reduce-only", "any"
    return ctx.quantity, max(ZERO, -ctx.signed_position * ctx.side.sign)


def _smallest(ctx: RiskContext, pace: Pace) -> Measure:
    return ctx.value, ctx.policy.smallest_value(ctx.instrument, ctx.quote_rate)


def _funds(ctx: RiskContext, pace: Pace) -> Measure:
    instrument, exposure, books = ctx.instrument, ctx.state.exposure, ctx.state.portfolio
    if ctx.market is Market.FUTURES:
        return (None if ctx.request.reduce_only else margin(ctx)) or ("no margin", "any")
    if ctx.side is OrderSide.BUY:
        free = exposure.available(books, instrument.venue, ctx.market, instrument.quote)
        return ctx.quantity * ctx.worst_price, free
    return ctx.quantity, exposure.available(books, instrument.venue, ctx.market, instrument.base)


def _short(ctx: RiskContext, pace: Pace) -> Measure:
    if ctx.market is Market.FUTURES or ctx.side is OrderSide.BUY:
        return "no short sale", "any"
    return ctx.quantity, ctx.signed_position


def _exposures(ctx: RiskContext) -> AfterOrder:
    return ctx.state.exposure.after_order(ctx.line, ctx.instrument.venue, ctx.side, ctx.value)


def _budget(ctx: RiskContext, pace: Pace) -> Measure:
    strategy = ctx.request.strategy
    settings = ctx.state.strategy(strategy)
    limit = ctx.policy.strategy_budget_default if settings is None else settings.budget
    return ctx.state.exposure.strategy_after_order(strategy, ctx.line, ctx.side, ctx.value), limit


def _leverage(ctx: RiskContext, pace: Pace) -> Measure:
    exposure = ctx.state.exposure
    limit = ctx.policy.leverage_limit * max(ZERO, exposure.equity)
    if ctx.market is not Market.FUTURES:
        return exposure.derivative_gross(), limit
    return exposure.derivative_gross() + _exposures(ctx).added, limit


def _drawdown(ctx: RiskContext, pace: Pace) -> Measure:
    seen = ctx.state.image.equity
    if seen is None or seen.peak <= 0:
        return ZERO, ctx.policy.max_drawdown_pct
    return (seen.peak - ctx.state.exposure.equity) * 100 / seen.peak, ctx.policy.max_drawdown_pct


def _daily_loss(ctx: RiskContext, pace: Pace) -> Measure:
    seen = ctx.state.image.equity
    return (ZERO if seen is None else seen.day_start - ctx.state.exposure.equity), ctx.policy.daily_loss


def _rate(ctx: RiskContext, pace: Pace) -> Measure:
    limit = ctx.policy.order_rate_per_min
    return f"{pace.everyone.available(limit, ctx.now_s):.1f} left", limit


def _self_trade(ctx: RiskContext, pace: Pace) -> Measure:
    against = [order for order in ctx.state.orders_of_line(ctx.instrument.symbol, ctx.market) if order.side != ctx.side]
    return f"{len(against)} own orders opposite", "none that it would meet"


MEASURES: Final[Mapping[str, Callable[[RiskContext, Pace], Measure]]] = {
    "TRADING_HALTED": _halted,
    "VENUE_BREAKER_OPEN": _venue_breaker,
    "EQUITY_BREAKER_OPEN": _equity_breaker,
    "TRADING_DISABLED": _trading_disabled,
    "STRATEGY_DISABLED": _strategy_disabled,
    "SYMBOL_NOT_ALLOWED": _symbol_allowed,
    "SYMBOL_QUARANTINED": _quarantine,
    "ORDER_SHAPE_INVALID": _shape,
    "PRICE_STALE": _mark_age,
    "PRICE_INVALID": _mark_price,
    "PRICE_BAND": _distance,
    "REDUCE_ONLY": _closable,
    "NOTIONAL_TOO_SMALL": _smallest,
    "NOTIONAL_TOO_LARGE": lambda ctx, pace: (ctx.value, ctx.policy.max_notional),
    "INSUFFICIENT_FUNDS": _funds,
    "SHORT_NOT_ALLOWED": _short,
    "EXPOSURE_SYMBOL_CAP": lambda ctx, pace: (_exposures(ctx).line, ctx.policy.symbol_exposure_cap),
    "EXPOSURE_TOTAL_CAP": lambda ctx, pace: (_exposures(ctx).total, ctx.policy.total_exposure_cap),
    "EXPOSURE_VENUE_CAP": lambda ctx, pace: (_exposures(ctx).venue, ctx.policy.venue_exposure_cap),
    "STRATEGY_BUDGET_EXCEEDED": _budget,
    "LEVERAGE_LIMIT": _leverage,
    "EQUITY_FLOOR": lambda ctx, pace: (ctx.state.exposure.equity, ctx.policy.equity_floor),
    "EQUITY_DRAWDOWN": _drawdown,
    "DAILY_LOSS": _daily_loss,
    "ORDER_RATE_EXCEEDED": _rate,
    "DUPLICATE_ORDER": lambda ctx, pace: (f"{len(pace.recent)} recent shapes", ctx.policy.duplicate_window_ms),
    "SELF_TRADE": _self_trade,
}
