"""The engine's orders in Binance's parameters. Pure."""

from __future__ import annotations

from decimal import Decimal

from engine_service.domain.ids import local_symbol
from engine_service.domain.money import ZERO, plain
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.venues.binance.sign import Scalar
from engine_service.venues.port import AmendRequest

Params = dict[str, Scalar]

_SPOT_CONDITIONAL = {
    OrderType.STOP_MARKET: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
    OrderType.TAKE_PROFIT_MARKET: "TAKE_PROFIT",
    OrderType.TAKE_PROFIT_LIMIT: "TAKE_PROFIT_LIMIT",
}
_FUTURES_CONDITIONAL = {
    OrderType.STOP_MARKET: "STOP_MARKET",
    OrderType.STOP_LIMIT: "STOP",
    OrderType.TAKE_PROFIT_MARKET: "TAKE_PROFIT_MARKET",
    OrderType.TAKE_PROFIT_LIMIT: "TAKE_PROFIT",
}
_WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})


class Untranslatable(ValueError):
    """The venue has no such order; nothing was sent."""


def is_conditional(order: Order) -> bool:
    """Tell whether the order waits for a trigger price."""
    return order.type in _SPOT_CONDITIONAL


def spot_order(order: Order) -> Params:
    """Return the parameters of ``POST /api/v3/order``.

    Raises:
        Untranslatable: the order lacks a size or a price.
    """
    params: Params = {
        "symbol": local_symbol(order.symbol),
        "side": order.side.value,
        "type": _spot_type(order),
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "FULL",
    }
    if order.quantity is not None:
        params["quantity"] = plain(order.quantity)
    elif order.type is OrderType.MARKET and order.quote_quantity is not None:
        params["quoteOrderQty"] = plain(order.quote_quantity)
    else:
        raise Untranslatable("only a market order may be sized in quote")
    return params | _prices(order, "stopPrice", post_only_in_type=True)


def spot_oco(take_profit: Order, stop_loss: Order, list_client_id: str) -> Params:
    """Return the parameters of ``POST /api/v3/orderList/oco``: of the two legs one lies above the market, one below.

    Raises:
        Untranslatable: a leg lacks a size or a price.
    """
    sells = take_profit.side is OrderSide.SELL
    above, below = (take_profit, stop_loss) if sells else (stop_loss, take_profit)
    return {
        "symbol": local_symbol(take_profit.symbol),
        "side": take_profit.side.value,
        "quantity": _base_quantity(take_profit),
        "listClientOrderId": list_client_id,
        "newOrderRespType": "FULL",
        **_oco_leg(above, "above"),
        **_oco_leg(below, "below"),
    }


def _oco_leg(order: Order, place: str) -> Params:
    single = _prices(order, "stopPrice", post_only_in_type=True)
    named: Params = {f"{place}{name[0].upper()}{name[1:]}": value for name, value in single.items()}
    return {f"{place}Type": _spot_type(order), f"{place}ClientOrderId": order.client_order_id, **named}


def futures_order(order: Order) -> Params:
    """Return the parameters of ``POST /fapi/v1/order`` for an order without a trigger.

    Raises:
        Untranslatable: the order lacks a size or a price.
    """
    params: Params = {
        "symbol": local_symbol(order.symbol),
        "side": order.side.value,
        "type": order.type.value,
        "quantity": _base_quantity(order),
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "RESULT",
    }
    return params | _reduce_only(order) | _prices(order, "stopPrice", post_only_in_type=False)


def algo_order(order: Order) -> Params:
    """Return the parameters of ``POST /fapi/v1/algoOrder`` for an order with a trigger.

    Raises:
        Untranslatable: the order lacks a size, a price or a trigger.
    """
    params: Params = {
        "algoType": "CONDITIONAL",
        "symbol": local_symbol(order.symbol),
        "side": order.side.value,
        "type": _FUTURES_CONDITIONAL[order.type],
        "quantity": _base_quantity(order),
        "clientAlgoId": order.client_order_id,
        "workingType": "CONTRACT_PRICE",
    }
    return params | _reduce_only(order) | _prices(order, "triggerPrice", post_only_in_type=False)


def spot_amendment(request: AmendRequest) -> Params:
    """Return the parameters of ``PUT /api/v3/order/amend/keepPriority``; the order keeps its client id.

    Raises:
        Untranslatable: there is no new quantity.
    """
    if request.quantity is None:
        raise Untranslatable("only the quantity can be amended in place")
    return {
        **by_client_id(request.order),
        "newClientOrderId": request.order.client_order_id,
        "newQty": plain(request.quantity),
    }


def spot_replacement(request: AmendRequest) -> Params:
    """Return the parameters of ``POST /api/v3/order/cancelReplace`` for an order of which no trade is known.

    A trade that we have not heard of yet would be bought once more: the venue leaves such an order as it is.

    Raises:
        Untranslatable: the new order would lack an id, a size or a price.
    """
    params = spot_remainder(request, ZERO)
    params["cancelOrigClientOrderId"] = request.order.client_order_id
    params["cancelReplaceMode"] = "STOP_ON_FAILURE"
    params["cancelRestrictions"] = "ONLY_NEW"
    return params


def spot_remainder(request: AmendRequest, executed: Decimal) -> Params:
    """Return the new order that takes the place of one of which ``executed`` base units were traded.

    The old order's fills stay bought: only what is left of the wished total is ordered anew.

    Raises:
        Untranslatable: the new order would lack an id, a size or a price.
    """
    order = request.order
    if not request.replacement_client_order_id:
        raise Untranslatable("a replacement needs a client order id of its own")
    params = spot_order(order)
    params["newClientOrderId"] = request.replacement_client_order_id
    if request.total is not None:
        params["quantity"] = plain(request.total - executed)
    if request.limit_price is not None:
        params["price"] = plain(request.limit_price)
    return params


def futures_amendment(request: AmendRequest) -> Params:
    """Return the parameters of ``PUT /fapi/v1/order``, which wants price and total quantity both.

    Raises:
        Untranslatable: the order has no limit price or no size.
    """
    order = request.order
    price = request.limit_price if request.limit_price is not None else order.limit_price
    quantity = request.quantity if request.quantity is not None else order.quantity
    if price is None or quantity is None:
        raise Untranslatable("only a limit order with a size can be amended")
    return {
        "symbol": local_symbol(order.symbol),
        "side": order.side.value,
        "origClientOrderId": order.client_order_id,
        "quantity": plain(quantity),
        "price": plain(price),
    }


def by_client_id(order: Order) -> Params:
    """Return the parameters that name an ordinary order by the engine's id."""
    return {"symbol": local_symbol(order.symbol), "origClientOrderId": order.client_order_id}


def _spot_type(order: Order) -> str:
    if order.type is OrderType.LIMIT and order.post_only:
        return "LIMIT_MAKER"
    return _SPOT_CONDITIONAL.get(order.type, order.type.value)


def _base_quantity(order: Order) -> str:
    if order.quantity is None:
        raise Untranslatable("this market takes sizes in base units only")
    return plain(order.quantity)


def _reduce_only(order: Order) -> Params:
    return {"reduceOnly": "true"} if order.reduce_only else {}


def _prices(order: Order, trigger_name: str, *, post_only_in_type: bool) -> Params:
    params: Params = {}
    if is_conditional(order):
        if order.stop_price is None:
            raise Untranslatable("a conditional order needs a trigger price")
        params[trigger_name] = plain(order.stop_price)
    if order.type in _WITH_LIMIT:
        if order.limit_price is None:
            raise Untranslatable("a limit order needs a price")
        params["price"] = plain(order.limit_price)
        params |= _time_in_force(order, post_only_in_type=post_only_in_type)
    return params


def _time_in_force(order: Order, *, post_only_in_type: bool) -> Params:
    if order.post_only and order.type is OrderType.LIMIT:
        return {} if post_only_in_type else {"timeInForce": "GTX"}
    return {"timeInForce": order.time_in_force.value}
