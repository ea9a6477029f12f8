"""Spot order list endpoints: place an OCO, query and cancel lists."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from engine_service.exchange_sim.binance_wire import payloads_lists
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security
from engine_service.exchange_sim.binance_wire.params import SPOT_CLIENT_ID_RANGE, Params, one_id
from engine_service.exchange_sim.binance_wire.payloads_spot import ResponseType
from engine_service.exchange_sim.binance_wire.spot_orders import random_client_id
from engine_service.exchange_sim.binance_wire.spot_tickets import spot_ticket
from engine_service.exchange_sim.enums import OrderType, SelfTradePrevention
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.model import OrderList
from engine_service.exchange_sim.order_lists import LOSS_TYPES, PROFIT_TYPES, OcoTicket

_SHARED = ("symbol", "side", "quantity", "selfTradePreventionMode")
#: Parameters of one leg, by their names without `above` and `below`, and as a single order calls them.
_LEG = {
    "Type": "type",
    "ClientOrderId": "newClientOrderId",
    "IcebergQty": "icebergQty",
    "Price": "price",
    "StopPrice": "stopPrice",
    "TrailingDelta": "trailingDelta",
    "TimeInForce": "timeInForce",
    "StrategyId": "strategyId",
    "StrategyType": "strategyType",
}
_MOST_LISTS = 1000


def place_oco(call: Call) -> object:
    """POST /api/v3/orderList/oco"""
    params = call.params
    list_client_id = params.client_id("listClientOrderId", SPOT_CLIENT_ID_RANGE) or ""
    kind = params.choice("newOrderRespType", ResponseType) or ResponseType.RESULT
    for name in ("symbol", "side", "quantity", "aboveType", "belowType"):
        params.need_text(name)
    params.decimal("quantity")
    params.choice("selfTradePreventionMode", SelfTradePrevention)
    ticket = OcoTicket(
        above=spot_ticket(_leg_params(params, "above")),
        below=spot_ticket(_leg_params(params, "below")),
        list_client_id=list_client_id,
    )
    params.finish()
    _check_types(ticket)
    found, legs = call.exchange.lists.place(call.account_id, ticket)
    return payloads_lists.placed(found, legs, kind)


def cancel_list(call: Call) -> object:
    """DELETE /api/v3/orderList"""
    params = call.params
    symbol = params.symbol()
    list_id, client_id = one_id(params, "orderListId", "listClientOrderId", SPOT_CLIENT_ID_RANGE)
    request_id = params.client_id("newClientOrderId", SPOT_CLIENT_ID_RANGE) or random_client_id()
    params.finish()
    found, legs = call.exchange.lists.cancel(call.account_id, symbol, list_id, client_id, request_id)
    return payloads_lists.cancelled(found, legs, request_id)


def get_list(call: Call) -> object:
    """GET /api/v3/orderList"""
    list_id, client_id = one_id(call.params, "orderListId", "origClientOrderId", SPOT_CLIENT_ID_RANGE)
    call.params.finish()
    return _queried(call, call.exchange.lists.get(call.account_id, list_id, client_id))


def open_lists(call: Call) -> object:
    """GET /api/v3/openOrderList"""
    call.params.finish()
    return [_queried(call, found) for found in call.exchange.lists.lists_of(call.account_id, open_only=True)]


def all_lists(call: Call) -> object:
    """GET /api/v3/allOrderList"""
    params = call.params
    from_id, start_ms, end_ms = params.integer("fromId"), params.time_ms("startTime"), params.time_ms("endTime")
    limit = params.limit(500, _MOST_LISTS)
    params.finish()
    kept = [
        found
        for found in call.exchange.lists.lists_of(call.account_id)
        if (from_id is None or found.list_id >= from_id)
        and (start_ms is None or found.at_ms >= start_ms)
        and (end_ms is None or found.at_ms <= end_ms)
    ]
    page = kept[-limit:] if from_id is None and start_ms is None else kept[:limit]
    return [_queried(call, found) for found in page]


def _queried(call: Call, found: OrderList) -> object:
    return payloads_lists.queried(found, call.exchange.lists.legs(found))


def _leg_params(params: Params, place: str) -> Params:
    """One leg's parameters under the names that a single order has."""
    sent: Mapping[str, str] = params.values
    own = {name: sent[name] for name in _SHARED if name in sent}
    for suffix, name in _LEG.items():
        if f"{place}{suffix}" in sent:
            own[name] = sent[f"{place}{suffix}"]
            params.ignore(f"{place}{suffix}")
    return Params(own)


def _check_types(ticket: OcoTicket) -> None:
    """Raises -1128 for two legs that do not make an OCO."""
    types = {leg.type for leg in ticket.legs}
    if not (types & PROFIT_TYPES and types & LOSS_TYPES):
        raise ExchangeError(-1128, "Combination of optional parameters invalid.")
    both_priced = all(leg.price or leg.stop_price for leg in ticket.legs)
    if not both_priced or OrderType.MARKET in types or any((leg.quantity or Decimal(0)) <= 0 for leg in ticket.legs):
        raise ExchangeError(-1128, "Combination of optional parameters invalid.")


ROUTES = (
    Route("POST", "/api/v3/orderList/oco", place_oco, 1, Security.TRADE, orders=2),
    Route("DELETE", "/api/v3/orderList", cancel_list, 1, Security.TRADE),
    Route("GET", "/api/v3/orderList", get_list, 4, Security.DATA),
    Route("GET", "/api/v3/openOrderList", open_lists, 6, Security.DATA),
    Route("GET", "/api/v3/allOrderList", all_lists, 20, Security.DATA),
)
