"""Which tickets the venue takes: fields and filters, each refusal with the venue's code and words. Pure."""

from __future__ import annotations

from decimal import Decimal

from engine_service.exchange_sim.enums import OrderType, PositionSide, Side, TimeInForce
from engine_service.exchange_sim.errors import (
    ExchangeError,
    filter_failure,
    missing_parameter,
    unneeded_parameter,
)
from engine_service.exchange_sim.model import NewOrder, SymbolSpec

CONDITIONAL_FUTURES_TYPES = frozenset(
    {
        OrderType.STOP,
        OrderType.STOP_MARKET,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_MARKET,
        OrderType.TRAILING_STOP_MARKET,
    }
)
SPOT_STOP_TYPES = frozenset(
    {
        OrderType.STOP_LOSS,
        OrderType.STOP_LOSS_LIMIT,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_LIMIT,
    }
)
_PRICED = frozenset(
    {
        OrderType.LIMIT,
        OrderType.LIMIT_MAKER,
        OrderType.STOP_LOSS_LIMIT,
        OrderType.TAKE_PROFIT_LIMIT,
    }
)
_WITH_TIME_IN_FORCE = frozenset({OrderType.LIMIT, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT})


def check_fields(ticket: NewOrder, spec: SymbolSpec) -> None:
    """Raises -1116, -1102, -1106 or -1128 where the ticket's fields do not go together."""
    if ticket.type not in spec.order_types:
        raise ExchangeError(-1116, "Invalid orderType.")
    by_quote = ticket.type is OrderType.MARKET and ticket.quote_quantity is not None
    if ticket.quantity is None and not by_quote:
        raise missing_parameter("quantity")
    if ticket.quantity is not None and ticket.quote_quantity is not None:
        raise ExchangeError(-1128, "Combination of optional parameters invalid.")
    if ticket.type in _PRICED:
        if ticket.price is None:
            raise missing_parameter("price")
    elif ticket.price is not None:
        raise unneeded_parameter("price")
    if ticket.type in SPOT_STOP_TYPES and ticket.stop_price is None:
        raise missing_parameter("stopPrice")
    if ticket.type not in SPOT_STOP_TYPES and ticket.stop_price is not None:
        raise unneeded_parameter("stopPrice")
    _check_time_in_force(ticket)


def _check_time_in_force(ticket: NewOrder) -> None:
    if ticket.type in _WITH_TIME_IN_FORCE:
        if ticket.time_in_force is None:
            raise missing_parameter("timeInForce")
    elif ticket.time_in_force is not None and ticket.type is not OrderType.MARKET:
        raise unneeded_parameter("timeInForce")
    if ticket.time_in_force is TimeInForce.GTD and not ticket.good_till_ms:
        raise missing_parameter("goodTillDate")


def check_spot_filters(ticket: NewOrder, spec: SymbolSpec, last: Decimal) -> None:
    """The symbol's filters on a spot ticket; `last` stands for the venue's average price.

    Raises:
        ExchangeError: -1013 `Filter failure: ...`.
    """
    for price in (ticket.price, ticket.stop_price):
        if price is not None and not _price_fits(price, spec):
            raise filter_failure("PRICE_FILTER")
    if ticket.price is not None and not _within_band(ticket.side, ticket.price, spec, last):
        raise filter_failure("PERCENT_PRICE_BY_SIDE")
    if ticket.quantity is None:
        _check_quote_quantity(ticket, spec, last)
        return
    if not _quantity_fits(ticket.quantity, spec):
        raise filter_failure("LOT_SIZE")
    if ticket.type is OrderType.MARKET and ticket.quantity > spec.market_max_quantity:
        raise filter_failure("MARKET_LOT_SIZE")
    notional = ticket.quantity * (ticket.price or ticket.stop_price or last)
    is_market = ticket.type is OrderType.MARKET
    if notional < spec.min_notional or (not is_market and notional > spec.max_notional):
        raise filter_failure("NOTIONAL")


def _check_quote_quantity(ticket: NewOrder, spec: SymbolSpec, last: Decimal) -> None:
    quote = ticket.quote_quantity or Decimal(0)
    if quote < spec.min_notional:
        raise filter_failure("NOTIONAL")
    if quote < spec.min_quantity * last:
        raise filter_failure("LOT_SIZE")
    if quote > spec.market_max_quantity * last:
        raise filter_failure("MARKET_LOT_SIZE")


def check_futures_filters(ticket: NewOrder, spec: SymbolSpec, mark: Decimal) -> None:
    """The symbol's filters on a USD-M ticket, with the codes of that market.

    Raises:
        ExchangeError: -4002, -4013, -4014, -4016, -4024 on the price; -1111, -4003, -4004, -4005 on the quantity;
            -4164 on the notional.
    """
    quantity = ticket.quantity or Decimal(0)
    if ticket.price is not None:
        check_futures_price(ticket.price, spec)
        _check_futures_band(ticket, spec, mark)
    check_futures_quantity(quantity, spec, is_market=ticket.type is OrderType.MARKET)
    if not ticket.reduce_only and quantity * (ticket.price or mark) < spec.min_notional:
        raise ExchangeError(
            -4164,
            f"Order's notional must be no smaller than {spec.min_notional} (unless you choose reduce only).",
        )


def check_futures_price(price: Decimal, spec: SymbolSpec) -> None:
    """Raises -4013, -4002 or -4014."""
    if price < spec.min_price:
        raise ExchangeError(-4013, f"Price less than min price {spec.min_price}.")
    if price > spec.max_price:
        raise ExchangeError(-4002, "Price greater than max price.")
    if price % spec.tick_size:
        raise ExchangeError(-4014, "Price not increased by tick size.")


def check_futures_quantity(quantity: Decimal, spec: SymbolSpec, *, is_market: bool) -> None:
    """Raises -4003, -4004, -4005 or -1111."""
    if quantity <= 0:
        raise ExchangeError(-4003, "Quantity less than or equal to zero.")
    if quantity % spec.step_size:
        raise ExchangeError(-1111, "Precision is over the maximum defined for this asset.")
    if quantity < spec.min_quantity:
        raise ExchangeError(-4004, "Quantity less than min quantity.")
    if quantity > (spec.market_max_quantity if is_market else spec.max_quantity):
        raise ExchangeError(-4005, "Quantity greater than max quantity.")


def check_position_side(
    position_side: PositionSide, *, reduce_only: bool, hedge_mode: bool, close_position: bool = False
) -> None:
    """Raises -4061 where the position side is not one of the account's mode, -1106 for reduceOnly in hedge."""
    if hedge_mode is (position_side is PositionSide.BOTH):
        raise ExchangeError(-4061, "Order's position side does not match user's setting.")
    if hedge_mode and reduce_only and not close_position:
        raise unneeded_parameter("reduceonly")


def would_trigger(order_type: OrderType, side: Side, stop_price: Decimal, price: Decimal) -> bool:
    """Whether an order's trigger is met at a price: stops trigger against the position, targets with it."""
    is_stop = order_type in (
        OrderType.STOP_LOSS,
        OrderType.STOP_LOSS_LIMIT,
        OrderType.STOP,
        OrderType.STOP_MARKET,
    )
    upward = is_stop is (side is Side.BUY)
    return price >= stop_price if upward else price <= stop_price


def _check_futures_band(ticket: NewOrder, spec: SymbolSpec, mark: Decimal) -> None:
    price = ticket.price or Decimal(0)
    highest = (mark * spec.bid_multiplier_up).quantize(spec.tick_size)
    lowest = (mark * spec.ask_multiplier_down).quantize(spec.tick_size)
    if ticket.side is Side.BUY and price > highest:
        raise ExchangeError(-4016, f"Limit price can't be higher than {highest}.")
    if ticket.side is Side.SELL and price < lowest:
        raise ExchangeError(-4024, f"Limit price can't be lower than {lowest}.")


def _price_fits(price: Decimal, spec: SymbolSpec) -> bool:
    return spec.min_price <= price <= spec.max_price and not price % spec.tick_size


def _quantity_fits(quantity: Decimal, spec: SymbolSpec) -> bool:
    return spec.min_quantity <= quantity <= spec.max_quantity and not quantity % spec.step_size


def _within_band(side: Side, price: Decimal, spec: SymbolSpec, last: Decimal) -> bool:
    if side is Side.BUY:
        return last * spec.bid_multiplier_down <= price <= last * spec.bid_multiplier_up
    return last * spec.ask_multiplier_down <= price <= last * spec.ask_multiplier_up
