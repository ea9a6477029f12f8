"""A spot order request becomes a ticket: mandatory and forbidden parameters by order type, enums, precision."""

from __future__ import annotations

from decimal import Decimal

from engine_service.exchange_sim.binance_wire import errors
from engine_service.exchange_sim.binance_wire.params import SPOT_CLIENT_ID_RANGE, Params, any_precision_over
from engine_service.exchange_sim.binance_wire.payloads_filters import ASSET_DECIMALS
from engine_service.exchange_sim.binance_wire.payloads_spot import ResponseType, default_response_type
from engine_service.exchange_sim.enums import Market, OrderType, SelfTradePrevention, Side, TimeInForce
from engine_service.exchange_sim.errors import ExchangeError, missing_parameter, unneeded_parameter
from engine_service.exchange_sim.model import NewOrder
from engine_service.exchange_sim.specs import SPOT_ORDER_TYPES

_LEAST_STRATEGY_TYPE = 1_000_000
_SPOT_TIMES = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
_PEGS = ("pegPriceType", "pegOffsetType", "pegOffsetValue")
_NOT_OFFERED = frozenset({"icebergQty", "trailingDelta", *_PEGS})

# What each type must have; whatever of the fields below is not named for a type must not be sent with it.
_FIELDS = ("timeInForce", "quantity", "price", "stopPrice")
_NEEDED = {
    OrderType.LIMIT: ("timeInForce", "quantity", "price"),
    OrderType.LIMIT_MAKER: ("quantity", "price"),
    OrderType.MARKET: ("quantity",),
    OrderType.STOP_LOSS: ("quantity", "stopPrice"),
    OrderType.STOP_LOSS_LIMIT: ("timeInForce", "quantity", "price", "stopPrice"),
    OrderType.TAKE_PROFIT: ("quantity", "stopPrice"),
    OrderType.TAKE_PROFIT_LIMIT: ("timeInForce", "quantity", "price", "stopPrice"),
}


def spot_ticket(params: Params) -> NewOrder:
    """Read a new order.

    Raises:
        ExchangeError: -1102 missing, -1106 not wanted, -1100 illegal, -1111 precision, -1115 to -1117 enums,
            -1013 zero amounts and what the symbols do not offer.
    """
    symbol = params.symbol()
    side = params.need_choice("side", Side, errors.invalid_side)
    kind = params.need_choice("type", OrderType, errors.invalid_order_type)
    if kind not in SPOT_ORDER_TYPES:
        raise errors.invalid_order_type()
    _check_offered(params)
    _check_fields(params, kind)
    quantity, quote_quantity = params.decimal("quantity"), params.decimal("quoteOrderQty")
    price, stop_price = params.decimal("price"), params.decimal("stopPrice")
    _check_amounts(quantity, quote_quantity, price, stop_price)
    strategy_type = params.integer("strategyType")
    if strategy_type is not None and strategy_type < _LEAST_STRATEGY_TYPE:
        raise ExchangeError(-1134, "`strategyType` was less than 1000000.")
    return NewOrder(
        market=Market.SPOT,
        symbol=symbol,
        side=side,
        type=kind,
        quantity=quantity,
        quote_quantity=quote_quantity,
        price=price,
        stop_price=stop_price,
        time_in_force=_time_in_force(params),
        client_order_id=params.client_id("newClientOrderId", SPOT_CLIENT_ID_RANGE) or "",
        stp=params.choice("selfTradePreventionMode", SelfTradePrevention),
        strategy_id=params.integer("strategyId"),
        strategy_type=strategy_type,
    )


def response_type(params: Params, kind: OrderType) -> ResponseType:
    """`newOrderRespType`, or the type's default."""
    return params.choice("newOrderRespType", ResponseType) or default_response_type(kind)


def _check_offered(params: Params) -> None:
    """Refuse by name what the symbols say they do not offer."""
    if _NOT_OFFERED.isdisjoint(params.values):
        return
    if params.decimal("icebergQty"):
        raise ExchangeError(-1013, "Iceberg orders are not supported for this symbol.")
    if params.integer("trailingDelta") is not None:
        raise ExchangeError(-1013, "Trailing stop orders are not supported for this symbol.")
    if any(params.sent(name) for name in _PEGS):
        raise ExchangeError(-1013, "Pegged orders are not supported for this symbol.")


def _check_fields(params: Params, kind: OrderType) -> None:
    needed = _NEEDED[kind]
    by_quote = kind is OrderType.MARKET and params.sent("quoteOrderQty")
    if params.sent("quoteOrderQty") and (kind is not OrderType.MARKET or params.sent("quantity")):
        raise unneeded_parameter("quoteOrderQty")
    if kind is OrderType.MARKET and not params.sent("quantity") and not by_quote:
        raise errors.one_of_two("quantity", "quoteOrderQty")
    for name in _FIELDS:
        if name not in needed and params.sent(name):
            raise unneeded_parameter(name)
        if name in needed and not by_quote and not params.values.get(name):
            raise missing_parameter(name)


def _check_amounts(
    quantity: Decimal | None, quote_quantity: Decimal | None, price: Decimal | None, stop_price: Decimal | None
) -> None:
    amounts = (
        ("quantity", quantity, "Invalid quantity."),
        ("quoteOrderQty", quote_quantity, "Invalid quote order qty."),
        ("price", price, "Invalid price."),
        ("stopPrice", stop_price, "Invalid stop price."),
    )
    over = any_precision_over(((name, value) for name, value, _ in amounts), ASSET_DECIMALS)
    if over is not None:
        raise errors.too_much_precision(over)
    for _, value, message in amounts:
        if value is not None and not value:
            raise ExchangeError(-1013, message)


def _time_in_force(params: Params) -> TimeInForce | None:
    value = params.choice("timeInForce", TimeInForce, errors.invalid_time_in_force)
    if value is not None and value not in _SPOT_TIMES:
        raise errors.invalid_time_in_force()
    return value
