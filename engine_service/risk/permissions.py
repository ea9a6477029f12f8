"""The rails about permission and pace: halts, breakers, quarantine, rates, repeats."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil, isinf
from typing import Final

from engine_service.risk import checks
from engine_service.risk.breakers import OPEN, EquityBreaker, TokenBucket, VenueBreaker
from engine_service.risk.checks import refused
from engine_service.risk.context import RiskContext, RiskRefused

MAX_RECENT = 10_000
#: Orders refused within a minute, at which their sender is taken for a program in a loop.
RUNAWAY_REFUSALS: Final = Decimal(1_000)
OrderShape = tuple[str | Decimal | None, ...]


@dataclass(slots=True)
class Pace:
    """The part of the gate that remembers: breakers, buckets, recent orders."""

    venues: dict[str, VenueBreaker] = field(default_factory=dict)
    equity: EquityBreaker = field(default_factory=EquityBreaker)
    everyone: TokenBucket = field(default_factory=TokenBucket)
    strategies: dict[str, TokenBucket] = field(default_factory=dict)
    refusals: dict[str, TokenBucket] = field(default_factory=dict)
    recent: dict[OrderShape, float] = field(default_factory=dict)
    order_of_recent: deque[tuple[float, OrderShape]] = field(default_factory=deque)

    def venue(self, name: str) -> VenueBreaker:
        """Return the breaker of a venue."""
        found = self.venues.get(name)
        if found is None:
            found = self.venues[name] = VenueBreaker()
        return found

    def strategy(self, name: str) -> TokenBucket:
        """Return the bucket of a strategy."""
        found = self.strategies.get(name)
        if found is None:
            found = self.strategies[name] = TokenBucket()
        return found

    def passed(self, ctx: RiskContext) -> None:
        """Count an order that all rails let through."""
        request, window_ms = ctx.request, ctx.policy.duplicate_window_ms
        self.venue(ctx.venue).admit()
        if request.reduce_only:
            return
        self.everyone.take()
        self.strategy(request.strategy).take()
        if not window_ms and not self.recent:
            # Nothing counts as a repeat: there is nothing to remember.
            return
        now_s, shape = ctx.now_s, shape_of(ctx)
        self.recent[shape] = now_s
        self.order_of_recent.append((now_s, shape))
        self._forget(now_s - float(window_ms) / 1000)

    def runs_away(self, sender: str, now_s: float, limit: Decimal = RUNAWAY_REFUSALS) -> bool:
        """Count a refused order; tell whether its sender had as many as ``limit`` of them within a minute."""
        refusals = self.refusals.setdefault(sender, TokenBucket())
        left = refusals.available(limit, now_s)
        refusals.take()
        return left <= 1

    def _forget(self, before_s: float) -> None:
        queue = self.order_of_recent
        while queue and (queue[0][0] < before_s or len(queue) > MAX_RECENT):
            at, shape = queue.popleft()
            if self.recent.get(shape) == at:
                del self.recent[shape]


def shape_of(ctx: RiskContext) -> OrderShape:
    """Return what makes two orders the same order."""
    request = ctx.request
    return (
        request.symbol,
        request.market,
        request.side,
        request.type,
        ctx.quantity,
        ctx.limit_price,
        ctx.stop_price,
        request.strategy,
    )


PlainRail = Callable[[RiskContext], RiskRefused | None]
PaceRail = Callable[[RiskContext, Pace], RiskRefused | None]


def trading_halted(ctx: RiskContext, pace: Pace) -> RiskRefused | None:
    """TRADING_HALTED: a person stopped it, or too many orders are in doubt at once."""
    halt = ctx.state.image.halt
    if halt is not None:
        return refused("TRADING_HALTED", f"halted: {halt.reason}", "halted", "resumed by a person")
    in_doubt = len(ctx.state.in_doubt)
    limit = ctx.policy.max_in_doubt
    if in_doubt >= limit:
        return refused("TRADING_HALTED", "too many orders are in doubt", in_doubt, limit, limit - 1)
    return None


def venue_breaker(ctx: RiskContext, pace: Pace) -> RiskRefused | None:
    """VENUE_BREAKER_OPEN: too many of the venue's calls failed in the last minute."""
    breaker = pace.venue(ctx.venue)
    if breaker.state(ctx.now_s, ctx.policy) is not OPEN:
        return None
    limit, wait_s = ctx.policy.breaker_error_share_pct, breaker.opens_in_s(ctx.now_s, ctx.policy)
    share, reason = f"{limit} % of a minute's calls", "the venue failed too often"
    return refused("VENUE_BREAKER_OPEN", reason, "open", share, retry_after_ms=_wait(wait_s))


def equity_breaker(ctx: RiskContext, pace: Pace) -> RiskRefused | None:
    """EQUITY_BREAKER_OPEN: equity fell too fast a moment ago."""
    if not pace.equity.is_open(ctx.now_s, ctx.policy):
        return None
    limit, wait_s = ctx.policy.equity_breaker_drop_pct, pace.equity.opens_in_s(ctx.now_s, ctx.policy)
    fall, reason = f"{limit} % within the window", "equity fell too fast"
    return refused("EQUITY_BREAKER_OPEN", reason, "open", fall, retry_after_ms=_wait(wait_s))


def trading_disabled(ctx: RiskContext, pace: Pace) -> RiskRefused | None:
    """TRADING_DISABLED: switched off by configuration."""
    if ctx.policy.trading_enabled:
        return None
    return refused("TRADING_DISABLED", "trading is switched off by configuration", "false", "trading_enabled: true")


def strategy_disabled(ctx: RiskContext, pace: Pace) -> RiskRefused | None:
    """STRATEGY_DISABLED: a person or the engine switched this strategy off. A name without settings is no strategy."""
    strategy = ctx.request.strategy
    settings = ctx.state.strategy(strategy)
    if settings is None or settings.enabled:
        return None
    reason = f"{strategy} is switched off until a person enables it"
    return refused("STRATEGY_DISABLED", reason, "false", "enabled: true", "enabled: true")


def symbol_not_allowed(ctx: RiskContext, pace: Pace) -> RiskRefused | None:
    """SYMBOL_NOT_ALLOWED: not on the list, or not traded by the venue now."""
    if not ctx.policy.allows(ctx.symbol):
        listed = ",".join(ctx.policy.allowed_symbols)[:200]
        return refused("SYMBOL_NOT_ALLOWED", "the symbol is not on the list", ctx.symbol, listed)
    if not ctx.instrument.trading:
        return refused("SYMBOL_NOT_ALLOWED", "the venue does not trade it now", "suspended", "trading")
    return None


def symbol_quarantined(ctx: RiskContext, pace: Pace) -> RiskRefused | None:
    """SYMBOL_QUARANTINED: stop-outs, an unresolved doubt or a contradiction."""
    found = ctx.state.restriction(ctx.symbol, ctx.market, ctx.now_ms)
    if found is None:
        return None
    until = "a person lifts it" if found.until_ms == 0 else f"until_ms {found.until_ms}"
    return refused("SYMBOL_QUARANTINED", f"{found.code}: {found.reason}", "quarantined", until)


def order_rate(ctx: RiskContext, pace: Pace) -> RiskRefused | None:
    """ORDER_RATE_EXCEEDED: all strategies together, then this one."""
    limit = ctx.policy.order_rate_per_min
    if pace.everyone.available(limit, ctx.now_s) < 1:
        return _too_fast(ctx, "too many orders per minute", pace.everyone, limit)
    limit, own = ctx.policy.strategy_order_rate_per_min or limit, pace.strategy(ctx.request.strategy)
    if own.available(limit, ctx.now_s) < 1:
        return _too_fast(ctx, "too many orders of this strategy", own, limit)
    return None


def _too_fast(ctx: RiskContext, reason: str, bucket: TokenBucket, limit: Decimal) -> RiskRefused:
    wait = _wait(bucket.next_in_s(limit, ctx.now_s))
    return refused("ORDER_RATE_EXCEEDED", reason, f"more than {limit}", limit, limit, retry_after_ms=wait)


def _wait(seconds: float) -> int | str:
    """Return how long to wait in milliseconds, empty where waiting does not help."""
    return "" if isinf(seconds) else ceil(seconds * 1000)


def duplicate_order(ctx: RiskContext, pace: Pace) -> RiskRefused | None:
    """DUPLICATE_ORDER: an equal order a moment ago."""
    window = ctx.policy.duplicate_window_ms
    seen_at = pace.recent.get(shape_of(ctx)) if window > 0 else None
    if seen_at is None:
        return None
    age_ms = round((ctx.now_s - seen_at) * 1000)
    if age_ms >= window:
        return None
    left_ms = int(window) - age_ms
    reason = "the same order was sent a moment ago, ms"
    return refused("DUPLICATE_ORDER", reason, age_ms, window, window, retry_after_ms=left_ms)


@dataclass(frozen=True, slots=True)
class Rail:
    """A rail by its code, with one kind of check. ``reducing_passes``: orders that only reduce are not asked."""

    code: str
    check: PlainRail | None = None
    pace: PaceRail | None = None
    reducing_passes: bool = False

    def ask(self, ctx: RiskContext, pace: Pace) -> RiskRefused | None:
        """Return the refusal of an order, or ``None``."""
        if self.pace is not None:
            return self.pace(ctx, pace)
        return None if self.check is None else self.check(ctx)


#: In this order; the first refusal wins.
RAILS: Final[tuple[Rail, ...]] = (
    Rail("TRADING_HALTED", pace=trading_halted, reducing_passes=True),
    Rail("VENUE_BREAKER_OPEN", pace=venue_breaker, reducing_passes=True),
    Rail("EQUITY_BREAKER_OPEN", pace=equity_breaker, reducing_passes=True),
    Rail("TRADING_DISABLED", pace=trading_disabled, reducing_passes=True),
    Rail("STRATEGY_DISABLED", pace=strategy_disabled, reducing_passes=True),
    Rail("SYMBOL_NOT_ALLOWED", pace=symbol_not_allowed),
    Rail("SYMBOL_QUARANTINED", pace=symbol_quarantined, reducing_passes=True),
    Rail("ORDER_SHAPE_INVALID", checks.order_shape),
    Rail("PRICE_STALE", checks.price_stale, reducing_passes=True),
    Rail("PRICE_INVALID", checks.price_invalid, reducing_passes=True),
    Rail("PRICE_BAND", checks.price_band),
    Rail("REDUCE_ONLY", checks.reduce_only),
    Rail("NOTIONAL_TOO_SMALL", checks.notional_too_small),
    Rail("NOTIONAL_TOO_LARGE", checks.notional_too_large, reducing_passes=True),
    Rail("INSUFFICIENT_FUNDS", checks.insufficient_funds),
    Rail("SHORT_NOT_ALLOWED", checks.short_not_allowed),
    Rail("EXPOSURE_SYMBOL_CAP", checks.symbol_exposure, reducing_passes=True),
    Rail("EXPOSURE_TOTAL_CAP", checks.total_exposure, reducing_passes=True),
    Rail("EXPOSURE_VENUE_CAP", checks.venue_exposure, reducing_passes=True),
    Rail("STRATEGY_BUDGET_EXCEEDED", checks.strategy_budget, reducing_passes=True),
    Rail("LEVERAGE_LIMIT", checks.leverage, reducing_passes=True),
    Rail("EQUITY_FLOOR", checks.equity_floor, reducing_passes=True),
    Rail("EQUITY_DRAWDOWN", checks.equity_drawdown, reducing_passes=True),
    Rail("DAILY_LOSS", checks.daily_loss, reducing_passes=True),
    Rail("ORDER_RATE_EXCEEDED", pace=order_rate, reducing_passes=True),
    Rail("DUPLICATE_ORDER", pace=duplicate_order, reducing_passes=True),
    Rail("SELF_TRADE", checks.self_trade),
)
