"""From a request to what the rails judge: instrument, rounded size and prices, the value of it at the mark."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from engine_service.domain.bracket import BracketPlan
from engine_service.domain.errors import InvalidRequest
from engine_service.domain.exposure import line_key
from engine_service.domain.ids import Market, instrument_id
from engine_service.domain.instrument import Instrument
from engine_service.domain.marks import Mark
from engine_service.domain.money import ONE, ZERO, exactly, plain
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.risk.context import RiskContext
from engine_service.risk.reservations import Reservation


@exactly
def risk_context(core: EngineCore, request: OrderRequest, *, as_written: bool = False) -> RiskContext:
    """Work out what the rails need to know. Quantities round down, limit prices in the owner's favour.

    ``as_written``: the figures are a caller's own; where rounding changes one the rails refuse the order.

    Raises:
        InvalidRequest: the request is no order: symbol, venue, market or size cannot be understood, or its entry lies
            outside its own exits (``BRACKET_PRICES``).
        NotFound: there is no such instrument.
    """
    symbol = _symbol(request.symbol)
    request = request if request.symbol == symbol else replace(request, symbol=symbol)
    core.venue_for(symbol)
    instrument = core.instrument(symbol, request.market)
    mark = core.marks.get(symbol, request.market)
    limit_price = None if request.limit_price is None else instrument.round_price(request.limit_price, request.side)
    stop_price = None if request.stop_price is None else _stop(instrument, request)
    price = limit_price or stop_price or _mark_price(mark) or _last_resort(core, request, instrument)
    if request.bracket is not None and mark is not None and mark.is_valid:
        _refuse_passed_levels(request.bracket, limit_price or mark.touch(request.side), request.side)
    return RiskContext(
        request=request,
        instrument=instrument,
        quantity=_quantity(request, instrument, mark, price),
        limit_price=limit_price,
        stop_price=stop_price,
        price=price,
        mark=mark,
        quote_rate=core.rate(instrument.venue, instrument.quote),
        line=line_key(symbol, request.market, instrument.base, core.state.image.reporting),
        state=core.state,
        policy=core.gate.policy,
        now_ms=core.clock.now_ms(),
        now_s=core.clock.monotonic_s(),
        as_written=as_written,
    )


def order_of(core: EngineCore, ctx: RiskContext, client_order_id: str, reservation: Reservation | None) -> Order:
    """Build the order that the journal starts with; a denied one reserves nothing."""
    request, instrument = ctx.request, ctx.instrument
    held = reservation or Reservation(unit_value=ZERO, asset="", per_unit=ZERO, policy_version=ctx.policy.version)
    return Order(
        client_order_id=client_order_id,
        symbol=instrument.symbol,
        market=instrument.market,
        side=request.side,
        type=request.type,
        status=OrderStatus.INITIALIZED,
        quantity=ctx.quantity,
        quote_quantity=request.quote_quantity,
        limit_price=ctx.limit_price,
        stop_price=ctx.stop_price,
        time_in_force=request.time_in_force,
        post_only=request.post_only,
        reduce_only=request.reduce_only,
        strategy=request.strategy,
        tag=request.tag,
        leg=request.leg,
        why=dict(request.why),
        bracket=request.bracket,
        created_at_ms=ctx.now_ms,
        updated_at_ms=ctx.now_ms,
        policy_version=held.policy_version,
        base=instrument.base,
        quote=instrument.quote,
        unit_value=held.unit_value,
        reserve_asset=held.asset,
        reserve_per_unit=held.per_unit,
    )


def _symbol(text: str) -> str:
    try:
        return instrument_id(text)
    except ValueError as error:
        raise InvalidRequest("SYMBOL_FORMAT", str(error)) from error


def _refuse_passed_levels(plan: BracketPlan, entry_price: Decimal, side: OrderSide) -> None:
    if not plan.levels(entry_price, side).enclose(entry_price, side):
        numbers = {"price": plain(entry_price)}
        raise InvalidRequest("BRACKET_PRICES", "the entry lies outside its own levels", numbers=numbers)


def _stop(instrument: Instrument, request: OrderRequest) -> Decimal:
    """A trigger is no promise of a price: round it away from the market, so that it never fires early."""
    away = request.side.opposite
    return instrument.round_price(request.stop_price or ZERO, away)


def _mark_price(mark: Mark | None) -> Decimal | None:
    return mark.price if mark is not None and mark.is_valid else None


def _last_resort(core: EngineCore, request: OrderRequest, instrument: Instrument) -> Decimal | None:
    """What a reducing order is valued at where no price is known: what the position cost."""
    if not request.reduce_only:
        return None
    rate = core.rate(instrument.venue, instrument.quote) or ONE
    if instrument.market is Market.FUTURES:
        position = core.state.portfolio.derivatives.get(instrument.symbol)
        return None if position is None else position.book.average_cost
    return core.booking_rate(instrument.venue, instrument.base) / rate or None


def _quantity(request: OrderRequest, instrument: Instrument, mark: Mark | None, price: Decimal | None) -> Decimal:
    if (request.quantity is None) == (request.quote_quantity is None):
        code = "QUANTITY_OR_QUOTE_REQUIRED" if request.quantity is None else "QUANTITY_AND_QUOTE"
        raise InvalidRequest(code, "give exactly one of quantity (base) and quote (quote currency)")
    market_order = request.limit_price is None
    if request.quantity is not None:
        return instrument.round_quantity(request.quantity, market_order=market_order)
    amount = request.quote_quantity or ZERO
    touch = price
    if market_order and request.stop_price is None and mark is not None and mark.is_valid:
        touch = mark.touch(request.side)
    if touch is None or touch <= 0:
        # No price, no size: the smallest one stands in, and the rail about prices refuses the order.
        return max(instrument.min_quantity, instrument.step)
    return instrument.round_quantity(amount / touch, market_order=market_order)
