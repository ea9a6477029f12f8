"""An order that is only asked about: every rail's answer, and what it would probably cost. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import BPS, ZERO, exactly
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType, TimeInForce
from engine_service.execution.core import EngineCore
from engine_service.execution.first_price import lacks_price, read_price
from engine_service.execution.prepare import risk_context
from engine_service.risk.context import CONDITIONAL, RiskContext
from engine_service.risk.gate import Verdict
from engine_service.risk.measures import measured
from engine_service.storage.port import FillFilter
from engine_service.venues.abilities import BookSource
from engine_service.venues.reports import BookReport

FeeSource = Literal["own_fills", "venue_schedule"]
#: (maker, taker) in basis points of the notional: Binance's schedule for an account without discounts.
SCHEDULE_BPS: Final[Mapping[Market, tuple[Decimal, Decimal]]] = {
    Market.SPOT: (Decimal(10), Decimal(10)),
    Market.FUTURES: (Decimal(2), Decimal(5)),
}
DEPTH_LEVELS: Final = 100
FILLS_LOOKED_AT: Final = 200
LOOK_BACK_MS: Final = 30 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rail:
    """One rail's answer; ``numbers`` hold ``value`` and ``limit``, and ``acceptable`` where it refuses."""

    code: str
    passed: bool
    asked: bool
    reason: str
    numbers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slippage:
    """Mean price against the mid, basis points, positive is worse. ``filled_frac``: how much the book would fill."""

    bps: Decimal
    price: Decimal
    filled_frac: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """``fee`` is in the quote asset; ``fee_source`` is ``own_fills`` or ``venue_schedule``."""

    context: RiskContext
    rails: tuple[Rail, ...]
    fee: Decimal
    fee_bps: Decimal
    fee_source: FeeSource
    liquidity: str
    slippage: Slippage | None

    @property
    def accepted(self) -> bool:
        return all(rail.passed for rail in self.rails)


async def what_if(core: EngineCore, request: OrderRequest, *, as_written: bool = False) -> WhatIf:
    """Ask every rail about an order, and the book what it would cost; ``as_written`` as for ``submit``.

    Raises:
        InvalidRequest: the request is no order.
        NotFound: no such instrument.
    """
    if lacks_price(core, request.symbol, request.market):
        await read_price(core, request)
    ctx = risk_context(core, request, as_written=as_written)
    book = await _book(core, ctx)
    rails = tuple(_rail(core, ctx, verdict) for verdict in core.gate.explain(ctx))
    slippage = expected_slippage(ctx, book) if book is not None else None
    liquidity = "taker" if _takes(ctx) else "maker"
    fee_bps, source = await _fee_bps(core, ctx, liquidity)
    return WhatIf(
        context=ctx,
        rails=rails,
        fee=_fee(ctx, fee_bps),
        fee_bps=fee_bps,
        fee_source=source,
        liquidity=liquidity,
        slippage=slippage,
    )


def _rail(core: EngineCore, ctx: RiskContext, verdict: Verdict) -> Rail:
    numbers = dict(measured(verdict.code, ctx, core.gate.pace))
    told = dict(verdict.numbers)
    if "measured" in told:
        numbers["value"] = told.pop("measured")
    return Rail(
        code=verdict.code,
        passed=verdict.passed,
        asked=verdict.asked,
        reason=verdict.reason,
        numbers={**numbers, **told},
    )


async def _book(core: EngineCore, ctx: RiskContext) -> BookReport | None:
    venue = core.venue_for(ctx.instrument.symbol)
    if ctx.request.type in CONDITIONAL or not isinstance(venue, BookSource):
        return None
    found = await venue.order_book(ctx.market, ctx.instrument.symbol, DEPTH_LEVELS)
    return found if isinstance(found, BookReport) else None


@exactly
def expected_slippage(ctx: RiskContext, book: BookReport) -> Slippage | None:
    """Walk the book as the order would; ``None`` where it takes nothing or the book is empty."""
    levels = book.asks if ctx.side is OrderSide.BUY else book.bids
    if not book.bids or not book.asks or ctx.quantity <= 0:
        return None
    if ctx.request.post_only:
        return None
    left, paid = ctx.quantity, ZERO
    for price, quantity in levels:
        if left <= 0 or not ctx.may_trade_at(price):
            break
        taken = min(left, quantity)
        paid, left = paid + taken * price, left - taken
    filled = ctx.quantity - left
    if filled <= 0:
        return None
    mid, mean = (book.bids[0][0] + book.asks[0][0]) / 2, paid / filled
    bps = (mean - mid) * ctx.side.sign * BPS / mid
    return Slippage(bps=bps, price=mean, filled_frac=filled / ctx.quantity)


def _takes(ctx: RiskContext) -> bool:
    """Tell whether the order would (first) take liquidity at the touch."""
    request = ctx.request
    if request.post_only:
        return False
    if request.type is not OrderType.LIMIT or request.time_in_force is not TimeInForce.GTC:
        return True
    if ctx.mark is None or not ctx.mark.is_valid:
        return True
    return ctx.may_trade_at(ctx.mark.touch(ctx.side))


async def _fee_bps(core: EngineCore, ctx: RiskContext, liquidity: str) -> tuple[Decimal, FeeSource]:
    """Return what the newest own fills of the last month paid on average, else the venue's schedule."""
    newest = FillFilter(
        symbol=ctx.instrument.symbol,
        since_ms=max(0, ctx.now_ms - LOOK_BACK_MS),
        limit=FILLS_LOOKED_AT,
        newest_first=True,
    )
    rows = await core.journal.aside(lambda journal: journal.fills(newest))
    own = own_fee_bps(core, ctx, (row.fill for row in rows), liquidity)
    if own is not None:
        return own, "own_fills"
    maker, taker = SCHEDULE_BPS[ctx.market]
    return (taker if liquidity == "taker" else maker), "venue_schedule"


@exactly
def own_fee_bps(core: EngineCore, ctx: RiskContext, fills: Iterable[Fill], liquidity: str) -> Decimal | None:
    """Return fees over notional of fills whose fee has a value in quote, basis points; ``None`` without any."""
    fees, notional = ZERO, ZERO
    for fill in fills:
        fee = _in_quote(core, ctx, fill)
        if fee is None or fill.market is not ctx.market or fill.liquidity not in ("", liquidity):
            continue
        fees, notional = fees + fee, notional + fill.price * fill.quantity
    return None if notional == 0 else (fees * BPS / notional).quantize(Decimal("0.0001"))


def _in_quote(core: EngineCore, ctx: RiskContext, fill: Fill) -> Decimal | None:
    if fill.fee_asset == ctx.instrument.quote:
        return fill.fee
    if fill.fee_asset == ctx.instrument.base:
        return fill.fee * fill.price
    rate = core.rate(ctx.instrument.venue, fill.fee_asset)
    return None if rate is None or not ctx.quote_rate else fill.fee * rate / ctx.quote_rate


@exactly
def _fee(ctx: RiskContext, fee_bps: Decimal) -> Decimal:
    return ctx.quantity * (ctx.price or ZERO) * fee_bps / BPS
