"""The rails, one small pure function each: ``None`` passes, ``RiskRefused`` says why with numbers.

The rails about prices, sizes and money are here; those about permission and pace are in ``permissions``.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from engine_service.domain.ids import FUTURES
from engine_service.domain.money import BPS, EXACT, ZERO, multiple_down, multiple_up, plain
from engine_service.domain.order import Order
from engine_service.domain.order_status import BUY, MARKET_ORDER, OrderType, TimeInForce
from engine_service.risk import margin
from engine_service.risk.context import CONDITIONAL, LIMIT_TYPES, RiskContext, RiskRefused
from engine_service.risk.grid import order_off_grid
from engine_service.risk.legs import leg_refused

#: What refusals are written to, whatever the caller's own context rounds to.
SHOWN = Decimal("1e-8")


def refused(
    code: str, reason: str, measured: object, limit: object, acceptable: object = "", **more: object
) -> RiskRefused:
    """Build a refusal; decimals are written plainly. ``more`` are further numbers, empty ones left out."""
    named = {"measured": measured, "limit": limit, "acceptable": acceptable, **more}
    numbers = {
        name: plain(value.quantize(SHOWN, rounding=ROUND_HALF_EVEN, context=EXACT) if _long(value) else value)
        if isinstance(value, Decimal)
        else str(value)
        for name, value in named.items()
        if value != ""
    }
    return RiskRefused(code=code, reason=reason, numbers=numbers)


def _long(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < -8 and abs(value) < Decimal("1e18")


def order_shape(ctx: RiskContext) -> RiskRefused | None:
    """ORDER_SHAPE_INVALID: sizes, prices and flags that the instrument or the order type forbid."""
    found = _size(ctx) or (order_off_grid(ctx) if ctx.as_written else None) or _prices(ctx)
    return found or (_post_only(ctx) if ctx.request.post_only else None)


def _size(ctx: RiskContext) -> RiskRefused | None:
    instrument = ctx.instrument
    lowest, largest = instrument.min_quantity, instrument.max_quantity
    if ctx.is_market_order:
        lowest = max(lowest, instrument.market_min_quantity)
        if instrument.market_max_quantity > 0:
            largest = min(largest, instrument.market_max_quantity) if largest > 0 else instrument.market_max_quantity
    if ctx.quantity <= 0:
        reason = "the quantity rounds down to zero"
        return refused("QUANTITY_ROUNDS_TO_ZERO", reason, ctx.quantity, instrument.step, max(lowest, instrument.step))
    if ctx.quantity < lowest:
        return refused("ORDER_SHAPE_INVALID", "below the smallest quantity", ctx.quantity, lowest, lowest)
    if largest > 0 and ctx.quantity > largest:
        return refused("ORDER_SHAPE_INVALID", "above the largest quantity", ctx.quantity, largest, largest)
    return None


def _prices(ctx: RiskContext) -> RiskRefused | None:
    if ctx.request.type is MARKET_ORDER and ctx.limit_price is None and ctx.stop_price is None:
        return None
    wants_limit, wants_stop = ctx.request.type in LIMIT_TYPES, ctx.request.type in CONDITIONAL
    if wants_limit != (ctx.limit_price is not None):
        wanted = "needs" if wants_limit else "takes no"
        return refused("ORDER_SHAPE_INVALID", f"this order type {wanted} limit price", ctx.request.type.value, "")
    if wants_stop != (ctx.stop_price is not None):
        wanted = "needs a" if wants_stop else "takes no"
        return refused("ORDER_SHAPE_INVALID", f"this order type {wanted} stop price", ctx.request.type.value, "")
    for price in (ctx.limit_price, ctx.stop_price):
        if price is not None and price <= 0:
            return refused("ORDER_SHAPE_INVALID", "a price must be positive", price, ctx.instrument.tick)
    return None


def _post_only(ctx: RiskContext) -> RiskRefused | None:
    request = ctx.request
    if request.type is not OrderType.LIMIT or request.time_in_force is not TimeInForce.GTC:
        return refused("ORDER_SHAPE_INVALID", "post-only needs a limit order that rests", request.type.value, "LIMIT")
    return None


def price_stale(ctx: RiskContext) -> RiskRefused | None:
    """PRICE_STALE: no mark, or one that is too old."""
    limit = ctx.policy.price_stale_ms
    if ctx.mark is None:
        return refused("PRICE_STALE", "no price of this instrument is known yet", "none", limit)
    age = ctx.mark.age_ms(ctx.now_s)
    return refused("PRICE_STALE", "the newest price is too old, ms", age, limit, limit) if age > limit else None


def price_invalid(ctx: RiskContext) -> RiskRefused | None:
    """PRICE_INVALID: an empty or crossed book, or no way to value the quote asset."""
    if ctx.mark is None or not ctx.mark.is_valid:
        return refused("PRICE_INVALID", "the book is empty, crossed or not a number", "none", "bid <= ask")
    if ctx.quote_rate is None or ctx.price is None or ctx.price <= 0:
        return refused("PRICE_INVALID", "the quote asset has no value yet", "none", "a price")
    return None


def price_band(ctx: RiskContext) -> RiskRefused | None:
    """PRICE_BAND: a price, or for a market order the touch, too far from the mark."""
    seen = ctx.mark
    if seen is None or not seen.is_valid:
        return None
    mark, band, limit, stop = seen.price, ctx.policy.price_band_bps, ctx.limit_price, ctx.stop_price
    if limit is None and stop is None:
        limit = seen.touch(ctx.side)
    for price in (limit, stop):
        if price is None or price == mark:
            continue
        distance = abs(price - mark) * BPS
        if distance > band * mark:
            # Rounded towards the mark: what is named has to pass.
            above, tick = price > mark, ctx.instrument.tick
            edge = mark * (1 + band / BPS) if above else mark * (1 - band / BPS)
            acceptable = multiple_down(edge, tick) if above else multiple_up(edge, tick)
            return refused("PRICE_BAND", "too far from the mark, basis points", distance / mark, band, acceptable)
    plan = ctx.request.bracket
    return None if plan is None else leg_refused(ctx, plan, price_band)


def reduce_only(ctx: RiskContext) -> RiskRefused | None:
    """REDUCE_ONLY: the order would open or increase a position."""
    if not ctx.request.reduce_only:
        return None
    closable = max(ZERO, -ctx.signed_position * ctx.side.sign)
    if ctx.quantity <= closable:
        return None
    return refused(
        "REDUCE_ONLY", "more than there is to close", ctx.quantity, closable, ctx.instrument.round_quantity(closable)
    )


def notional_too_small(ctx: RiskContext) -> RiskRefused | None:
    """NOTIONAL_TOO_SMALL: below our own or the venue's smallest value."""
    if ctx.market is FUTURES and ctx.request.reduce_only:
        return None
    limit = ctx.policy.smallest_value(ctx.instrument, ctx.quote_rate)
    if ctx.value >= limit:
        plan = ctx.request.bracket
        return None if plan is None else leg_refused(ctx, plan, notional_too_small)
    return refused("NOTIONAL_TOO_SMALL", "the order is worth too little", ctx.value, limit, limit)


def notional_too_large(ctx: RiskContext) -> RiskRefused | None:
    """NOTIONAL_TOO_LARGE: above the largest value of one order."""
    limit = ctx.policy.max_notional
    if ctx.value <= limit:
        return None
    return refused("NOTIONAL_TOO_LARGE", "the order is worth too much", ctx.value, limit, limit)


def insufficient_funds(ctx: RiskContext) -> RiskRefused | None:
    """INSUFFICIENT_FUNDS: what other open orders hold back counts as spent."""
    if ctx.market is FUTURES:
        return None if ctx.request.reduce_only else _margin(ctx)
    instrument, exposure, books = ctx.instrument, ctx.state.exposure, ctx.state.portfolio
    if ctx.side is BUY:
        free = exposure.available(books, ctx.venue, ctx.market, instrument.quote)
        needed = ctx.quantity * ctx.worst_price
        if needed <= free:
            return None
        return refused("INSUFFICIENT_FUNDS", f"not enough free {instrument.quote}", needed, free, max(ZERO, free))
    held = books.holding(ctx.venue, ctx.market, instrument.base)
    free = exposure.available(books, ctx.venue, ctx.market, instrument.base)
    if held < ctx.quantity or ctx.quantity <= free:
        return None
    acceptable = instrument.round_quantity(max(ZERO, free))
    return refused("INSUFFICIENT_FUNDS", "other orders hold it back", ctx.quantity, free, acceptable)


def _margin(ctx: RiskContext) -> RiskRefused | None:
    leverage = ctx.policy.leverage_limit
    if leverage <= 0:
        return None
    added, wallet, gross = margin.margin_parts(ctx)
    if added <= ZERO or added <= wallet * leverage - gross:
        return None
    needed, free, quote = added / leverage, wallet - gross / leverage, ctx.instrument.quote
    acceptable = max(ZERO, free) * leverage
    return refused("INSUFFICIENT_FUNDS", f"not enough free {quote} margin", needed, free, acceptable)


def short_not_allowed(ctx: RiskContext) -> RiskRefused | None:
    """SHORT_NOT_ALLOWED: spot sells only what is held."""
    if ctx.market is FUTURES or ctx.side is BUY:
        return None
    held = ctx.signed_position
    if ctx.quantity <= held:
        return None
    free = ctx.state.exposure.available(ctx.state.portfolio, ctx.venue, ctx.market, ctx.instrument.base)
    acceptable = ctx.instrument.round_quantity(max(ZERO, min(held, free)))
    return refused("SHORT_NOT_ALLOWED", "spot sells only what is held", ctx.quantity, held, acceptable)


def symbol_exposure(ctx: RiskContext) -> RiskRefused | None:
    """EXPOSURE_SYMBOL_CAP: position, working and in-flight orders of the symbol."""
    exposure, limit = ctx.state.exposure, ctx.policy.symbol_exposure_cap
    after = exposure.after_order(ctx.line, ctx.venue, ctx.side, ctx.value).line
    if after <= limit:
        return None
    return _capped("EXPOSURE_SYMBOL_CAP", "too much of this symbol", after, exposure.worst(ctx.line), limit)


def total_exposure(ctx: RiskContext) -> RiskRefused | None:
    """EXPOSURE_TOTAL_CAP: gross over everything."""
    exposure, limit = ctx.state.exposure, ctx.policy.total_exposure_cap
    after = exposure.after_order(ctx.line, ctx.venue, ctx.side, ctx.value).total
    if after <= limit:
        return None
    return _capped("EXPOSURE_TOTAL_CAP", "too much at risk in total", after, exposure.totals.worst, limit)


def venue_exposure(ctx: RiskContext) -> RiskRefused | None:
    """EXPOSURE_VENUE_CAP: gross over the venue."""
    exposure, limit, venue = ctx.state.exposure, ctx.policy.venue_exposure_cap, ctx.venue
    after = exposure.after_order(ctx.line, venue, ctx.side, ctx.value).venue
    if after <= limit:
        return None
    before = exposure.totals.by_venue.get(venue, ZERO)
    return _capped("EXPOSURE_VENUE_CAP", "too much on this venue", after, before, limit)


def strategy_budget(ctx: RiskContext) -> RiskRefused | None:
    """STRATEGY_BUDGET_EXCEEDED: 0 means none, never unlimited."""
    strategy = ctx.request.strategy
    settings = ctx.state.strategy(strategy)
    limit = ctx.policy.strategy_budget_default if settings is None else settings.budget
    exposure = ctx.state.exposure
    after = exposure.strategy_after_order(strategy, ctx.line, ctx.side, ctx.value)
    if after <= limit:
        return None
    before = exposure.strategy_exposure(strategy)
    return _capped("STRATEGY_BUDGET_EXCEEDED", "beyond the strategy's budget", after, before, limit)


def _capped(code: str, reason: str, after: Decimal, before: Decimal, limit: Decimal) -> RiskRefused | None:
    """An order that does not add exposure passes every cap."""
    if after <= limit or after <= before:
        return None
    return refused(code, reason, after, limit, max(ZERO, limit - before))


def leverage(ctx: RiskContext) -> RiskRefused | None:
    """LEVERAGE_LIMIT: gross futures exposure against equity."""
    if ctx.market is not FUTURES:
        return None
    exposure = ctx.state.exposure
    before, equity = exposure.derivative_gross(), exposure.equity
    added = exposure.after_order(ctx.line, ctx.venue, ctx.side, ctx.value).added
    limit = ctx.policy.leverage_limit * equity if equity > ZERO else ZERO
    after = before + added
    return None if after <= limit else _capped("LEVERAGE_LIMIT", "too much leverage", after, before, limit)


def equity_floor(ctx: RiskContext) -> RiskRefused | None:
    """EQUITY_FLOOR: too little is left to trade with."""
    equity, limit = ctx.state.exposure.equity, ctx.policy.equity_floor
    return refused("EQUITY_FLOOR", "equity is below its floor", equity, limit, limit) if equity < limit else None


def equity_drawdown(ctx: RiskContext) -> RiskRefused | None:
    """EQUITY_DRAWDOWN: the fall from the highest equity seen, across restarts."""
    seen = ctx.state.image.equity
    if seen is None or seen.peak <= 0:
        return None
    fallen, limit = (seen.peak - ctx.state.exposure.equity) * 100, ctx.policy.max_drawdown_pct
    if fallen < limit * seen.peak:
        return None
    return refused("EQUITY_DRAWDOWN", "equity fell too far from its peak, per cent", fallen / seen.peak, limit, limit)


def daily_loss(ctx: RiskContext) -> RiskRefused | None:
    """DAILY_LOSS: the loss since midnight UTC."""
    seen = ctx.state.image.equity
    if seen is None:
        return None
    lost, limit = seen.day_start - ctx.state.exposure.equity, ctx.policy.daily_loss
    return None if lost <= limit else refused("DAILY_LOSS", "too much was lost today", lost, limit, limit)


def self_trade(ctx: RiskContext) -> RiskRefused | None:
    """SELF_TRADE: the order would meet a working order of our own."""
    if not ctx.state.open_orders:
        return None
    for order in ctx.state.orders_of_line(ctx.symbol, ctx.market):
        if order.side is ctx.side or order.type in CONDITIONAL:
            continue
        if _would_meet(ctx, order.limit_price):
            return _self_trade(ctx, order)
    return None


def _self_trade(ctx: RiskContext, resting: Order) -> RiskRefused:
    """Name the order in the way, and the nearest limit price that would not meet it."""
    asked, tick = ctx.limit_price or ctx.request.type.value, ctx.instrument.tick
    price = resting.limit_price
    acceptable = "" if price is None else price - tick if ctx.side is BUY else price + tick
    reason, limit = "it would trade with an own order", price or resting.type.value
    return refused("SELF_TRADE", reason, asked, limit, acceptable, own_order=resting.client_order_id)


def _would_meet(ctx: RiskContext, resting: Decimal | None) -> bool:
    if resting is None or ctx.request.type in CONDITIONAL:
        return False
    if ctx.limit_price is None:
        return True
    return ctx.limit_price >= resting if ctx.side is BUY else ctx.limit_price <= resting
