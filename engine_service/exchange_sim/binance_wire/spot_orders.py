"""Spot trading endpoints: place, test, cancel, cancel and replace, amend."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from enum import StrEnum

from engine_service.exchange_sim.binance_wire import errors, payloads_lists, payloads_spot
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security
from engine_service.exchange_sim.binance_wire.params import SPOT_CLIENT_ID_RANGE, Params, one_id
from engine_service.exchange_sim.binance_wire.payloads_spot import ResponseType
from engine_service.exchange_sim.binance_wire.spot_account import commission_for_order
from engine_service.exchange_sim.binance_wire.spot_tickets import response_type, spot_ticket
from engine_service.exchange_sim.enums import Market, OrderStatus
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.model import SimOrder, SimTrade

_ID_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 22
_RATES_WEIGHT = 20


class CancelReplaceMode(StrEnum):
    STOP_ON_FAILURE = "STOP_ON_FAILURE"
    ALLOW_FAILURE = "ALLOW_FAILURE"


class CancelRestriction(StrEnum):
    ONLY_NEW = "ONLY_NEW"
    ONLY_PARTIALLY_FILLED = "ONLY_PARTIALLY_FILLED"


class OverLimitMode(StrEnum):
    """`orderRateLimitExceededMode`."""

    DO_NOTHING = "DO_NOTHING"
    CANCEL_ONLY = "CANCEL_ONLY"


def random_client_id() -> str:
    """An id as the venue makes them where the client sent none."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))


def place(call: Call) -> object:
    """POST /api/v3/order"""
    ticket = spot_ticket(call.params)
    kind = response_type(call.params, ticket.type)
    call.params.finish()
    order, trades = call.exchange.orders.place(call.account_id, ticket)
    return payloads_spot.placed(order, trades, kind)


def test(call: Call) -> object:
    """POST /api/v3/order/test"""
    ticket = spot_ticket(call.params)
    response_type(call.params, ticket.type)
    with_rates = call.params.boolean("computeCommissionRates")
    call.params.finish()
    call.exchange.orders.test(call.account_id, ticket)
    return commission_for_order(call) if with_rates else {}


def cancel(call: Call) -> object:
    """DELETE /api/v3/order"""
    symbol = call.params.symbol()
    order_id, client_id = one_id(call.params, "orderId", "origClientOrderId", SPOT_CLIENT_ID_RANGE)
    request_id = call.params.client_id("newClientOrderId", SPOT_CLIENT_ID_RANGE) or random_client_id()
    restriction = _restriction(call.params)
    call.params.finish()
    check_restriction(call, symbol, order_id, client_id, restriction)
    order = call.exchange.orders.cancel(
        call.account_id, Market.SPOT, symbol, order_id, client_id, request_client_id=request_id
    )
    found = call.exchange.lists.list_of(order)
    if found is not None:
        return payloads_lists.cancelled(found, call.exchange.lists.legs(found), request_id)
    return payloads_spot.cancelled(order, request_id)


def cancel_all(call: Call) -> object:
    """DELETE /api/v3/openOrders"""
    symbol = call.params.symbol()
    call.params.finish()
    request_id = random_client_id()
    gone = call.exchange.orders.cancel_all(call.account_id, Market.SPOT, symbol)
    return payloads_lists.cancelled_all(call.exchange.lists, gone, request_id)


def cancel_replace(call: Call) -> object:
    """POST /api/v3/order/cancelReplace"""
    params = call.params
    ticket = spot_ticket(params)
    mode = params.need_choice("cancelReplaceMode", CancelReplaceMode)
    order_id, client_id = one_id(params, "cancelOrderId", "cancelOrigClientOrderId", SPOT_CLIENT_ID_RANGE)
    request_id = params.client_id("cancelNewClientOrderId", SPOT_CLIENT_ID_RANGE) or random_client_id()
    restriction = _restriction(params)
    over_limit = params.choice("orderRateLimitExceededMode", OverLimitMode) or OverLimitMode.DO_NOTHING
    kind = response_type(params, ticket.type)
    params.finish()
    try:
        call.wire.limits[Market.SPOT].count_order(call.account_id)
    except errors.LimitExceeded as refusal:
        if over_limit is OverLimitMode.DO_NOTHING:
            raise
        raise _cancel_only(call, ticket.symbol, order_id, client_id, request_id, refusal) from refusal
    check_restriction(call, ticket.symbol, order_id, client_id, restriction)
    try:
        gone, new, trades = call.exchange.orders.cancel_replace(
            call.account_id,
            ticket,
            order_id,
            client_id,
            stop_on_failure=mode is CancelReplaceMode.STOP_ON_FAILURE,
            request_client_id=request_id,
        )
    except ExchangeError as error:
        raise _told(error, request_id, kind) from error
    return {
        "cancelResult": "SUCCESS",
        "newOrderResult": "SUCCESS",
        "cancelResponse": payloads_spot.cancelled(gone, request_id),
        "newOrderResponse": payloads_spot.placed(new, trades, kind),
    }


def amend(call: Call) -> object:
    """PUT /api/v3/order/amend/keepPriority"""
    params = call.params
    symbol = params.symbol()
    order_id, client_id = one_id(params, "orderId", "origClientOrderId", SPOT_CLIENT_ID_RANGE)
    quantity = params.need_decimal("newQty")
    new_id = params.client_id("newClientOrderId", SPOT_CLIENT_ID_RANGE) or random_client_id()
    params.finish()
    orders = call.exchange.orders
    before = orders.get(call.account_id, Market.SPOT, symbol, order_id, client_id)
    order = orders.amend_keep_priority(
        call.account_id, symbol, quantity, before.order_id, None, new_client_order_id=new_id
    )
    return payloads_spot.amended(order, before.client_order_id, call.wire.last_execution_id)


def check_restriction(
    call: Call, symbol: str, order_id: int | None, client_id: str | None, restriction: CancelRestriction | None
) -> None:
    """Raises -2011 when `cancelRestrictions` forbids the cancel."""
    if restriction is None:
        return
    order = call.exchange.orders.get(call.account_id, Market.SPOT, symbol, order_id, client_id)
    wanted = OrderStatus.NEW if restriction is CancelRestriction.ONLY_NEW else OrderStatus.PARTIALLY_FILLED
    if order.status.is_open and order.status is not wanted:
        raise ExchangeError(-2011, "Order was not canceled due to cancel restrictions.")


def _restriction(params: Params) -> CancelRestriction | None:
    refusal = ExchangeError(-1145, "Invalid cancelRestrictions")
    return params.choice("cancelRestrictions", CancelRestriction, lambda: refusal)


def _cancel_only(
    call: Call,
    symbol: str,
    order_id: int | None,
    client_id: str | None,
    request_id: str,
    refusal: ExchangeError,
) -> ExchangeError:
    """Over the order limit with CANCEL_ONLY: the cancel is carried out, the new order is not."""
    data: dict[str, object] = {"newOrderResult": "FAILURE", "newOrderResponse": errors.body_of(refusal)}
    try:
        gone = call.exchange.orders.cancel(
            call.account_id, Market.SPOT, symbol, order_id, client_id, request_client_id=request_id
        )
    except ExchangeError as error:
        data |= {"cancelResult": "FAILURE", "cancelResponse": errors.body_of(error)}
        return ExchangeError(-2022, "Order cancel-replace failed.", 400, data)
    data |= {"cancelResult": "SUCCESS", "cancelResponse": payloads_spot.cancelled(gone, request_id)}
    return ExchangeError(-2021, "Order cancel-replace partially failed.", 409, data)


def _told(error: ExchangeError, request_id: str, kind: ResponseType) -> ExchangeError:
    """The core's account of a failed cancel-replace in wire form."""
    if error.data is None:
        return error
    return ExchangeError(error.code, error.message, error.http_status, _told_data(error.data, request_id, kind))


def _told_data(data: Mapping[str, object], request_id: str, kind: ResponseType) -> dict[str, object]:
    return {name: _told_value(value, request_id, kind) for name, value in data.items()}


def _told_value(value: object, request_id: str, kind: ResponseType) -> object:
    match value:
        case ExchangeError():
            return errors.body_of(value)
        case SimOrder():
            return payloads_spot.cancelled(value, request_id)
        case (SimOrder() as order, Sequence() as trades):
            own = [trade for trade in trades if isinstance(trade, SimTrade)]
            return payloads_spot.placed(order, own, kind)
        case _:
            return value


def _test_weight(params: Params) -> int:
    return _RATES_WEIGHT if params.boolean("computeCommissionRates") else 1


ROUTES = (
    Route("POST", "/api/v3/order", place, 1, Security.TRADE, orders=1),
    Route("POST", "/api/v3/order/test", test, _test_weight, Security.TRADE),
    Route("DELETE", "/api/v3/order", cancel, 1, Security.TRADE),
    Route("DELETE", "/api/v3/openOrders", cancel_all, 1, Security.TRADE),
    Route("POST", "/api/v3/order/cancelReplace", cancel_replace, 1, Security.TRADE, shows_orders=True),
    Route("PUT", "/api/v3/order/amend/keepPriority", amend, 4, Security.TRADE),
)
