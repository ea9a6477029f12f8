"""USD-M trading endpoints: place, modify, cancel and query orders; trades."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from engine_service.exchange_sim.binance_wire import errors, payloads_futures
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security
from engine_service.exchange_sim.binance_wire.futures_tickets import (
    check_precision,
    futures_ticket,
    refuse_price_match,
    response_is_final,
)
from engine_service.exchange_sim.binance_wire.params import FUTURES_CLIENT_ID_RANGE, Params, one_id
from engine_service.exchange_sim.enums import Market, Side
from engine_service.exchange_sim.errors import ExchangeError, missing_parameter, no_such_order

FUTURES = Market.FUTURES
_MOST_ROWS = 1000
_MOST_PLACED, _MOST_CANCELLED = 5, 10
_WEEK_MS = 7 * 24 * 3600 * 1000
_ALL_GONE = {"code": 200, "msg": "The operation of cancel all open order is done."}


def place(call: Call) -> object:
    """POST /fapi/v1/order"""
    spec = call.exchange.market_data.spec(FUTURES, call.params.symbol())
    ticket = futures_ticket(call.params, spec, call.exchange.server_time_ms())
    final = response_is_final(call.params)
    order, _ = call.exchange.orders.place(call.account_id, ticket)
    return payloads_futures.placed(order, final)


def test(call: Call) -> object:
    """POST /fapi/v1/order/test"""
    spec = call.exchange.market_data.spec(FUTURES, call.params.symbol())
    ticket = futures_ticket(call.params, spec, call.exchange.server_time_ms())
    response_is_final(call.params)
    call.exchange.orders.test(call.account_id, ticket)
    return {}


def place_batch(call: Call) -> object:
    """POST /fapi/v1/batchOrders"""
    orders = _listed(call.params, "batchOrders")
    if not 1 <= len(orders) <= _MOST_PLACED:
        raise ExchangeError(-4082, f"Invalid number of batch place orders: {len(orders)}")
    return [_each(call, place, entry) for entry in orders]


def modify(call: Call) -> object:
    """PUT /fapi/v1/order"""
    params = call.params
    spec = call.exchange.market_data.spec(FUTURES, params.symbol())
    order_id, client_id = _order_ids(params)
    side = params.need_choice("side", Side, errors.invalid_side)
    refuse_price_match(params)
    quantity, price = params.need_decimal("quantity"), params.need_decimal("price")
    check_precision(spec, quantity, price)
    order = call.exchange.orders.modify(
        call.account_id, spec.symbol, side, quantity, price, order_id, client_id if order_id is None else None
    )
    return payloads_futures.changed(order)


def get_order(call: Call) -> object:
    """GET /fapi/v1/order"""
    symbol = call.params.symbol()
    order_id, client_id = _order_ids(call.params)
    order = call.exchange.orders.get(call.account_id, FUTURES, symbol, order_id, client_id)
    return payloads_futures.queried(order)


def open_order(call: Call) -> object:
    """GET /fapi/v1/openOrder"""
    symbol = call.params.symbol()
    order_id, client_id = _order_ids(call.params)
    order = call.exchange.orders.get(call.account_id, FUTURES, symbol, order_id, client_id)
    if not order.status.is_open:
        raise no_such_order()
    return payloads_futures.queried(order)


def cancel(call: Call) -> object:
    """DELETE /fapi/v1/order"""
    symbol = call.params.symbol()
    order_id, client_id = _order_ids(call.params)
    order = call.exchange.orders.cancel(call.account_id, FUTURES, symbol, order_id, client_id)
    return payloads_futures.changed(order)


def cancel_batch(call: Call) -> object:
    """DELETE /fapi/v1/batchOrders"""
    params = call.params
    symbol = params.symbol()
    by_id = params.sent("orderIdList")
    if not by_id and not params.sent("origClientOrderIdList"):
        raise errors.one_of_two("orderIdList", "origClientOrderIdList")
    source, name = ("orderIdList", "orderId") if by_id else ("origClientOrderIdList", "origClientOrderId")
    ids = _listed(params, source)
    if not 1 <= len(ids) <= _MOST_CANCELLED:
        raise ExchangeError(-4032, "Exceed maximum cancel order size.")
    return [_each(call, cancel, {"symbol": symbol, name: entry}) for entry in ids]


def cancel_all(call: Call) -> object:
    """DELETE /fapi/v1/allOpenOrders"""
    symbol = call.params.symbol()
    call.exchange.market_data.spec(FUTURES, symbol)
    call.exchange.orders.cancel_all(call.account_id, FUTURES, symbol)
    return _ALL_GONE


def open_orders(call: Call) -> object:
    """GET /fapi/v1/openOrders"""
    symbol = call.params.optional_symbol()
    if symbol is not None:
        call.exchange.market_data.spec(FUTURES, symbol)
    orders = call.exchange.orders.open_orders(call.account_id, FUTURES, symbol)
    return [payloads_futures.queried(order) for order in orders]


def all_orders(call: Call) -> object:
    """GET /fapi/v1/allOrders"""
    params = call.params
    symbol, order_id = params.symbol(), params.integer("orderId")
    start_ms, end_ms = week_span(params)
    limit = params.limit(500, _MOST_ROWS)
    call.exchange.market_data.spec(FUTURES, symbol)
    orders = call.exchange.orders.all_orders(call.account_id, FUTURES, symbol, order_id, start_ms, end_ms, limit)
    return [payloads_futures.queried(order) for order in orders]


def user_trades(call: Call) -> object:
    """GET /fapi/v1/userTrades"""
    params = call.params
    symbol, order_id, from_id = params.symbol(), params.integer("orderId"), params.integer("fromId")
    start_ms, end_ms = week_span(params)
    limit = params.limit(500, _MOST_ROWS)
    if from_id is not None and (start_ms is not None or end_ms is not None):
        raise errors.bad_combination()
    call.exchange.market_data.spec(FUTURES, symbol)
    trades = call.exchange.orders.trades(call.account_id, FUTURES, symbol, order_id, from_id, start_ms, end_ms, limit)
    return [payloads_futures.trade(entry) for entry in trades]


def week_span(params: Params) -> tuple[int | None, int | None]:
    """`startTime` and `endTime`, at most seven days apart. Raises -1023, -4165."""
    start_ms, end_ms = params.time_ms("startTime"), params.time_ms("endTime")
    if start_ms is not None and end_ms is not None:
        if start_ms > end_ms:
            raise ExchangeError(-1023, "Start time is greater than end time.")
        if end_ms - start_ms > _WEEK_MS:
            raise ExchangeError(-4165, "Maximum time interval is 7 days")
    return start_ms, end_ms


def _order_ids(params: Params) -> tuple[int | None, str | None]:
    return one_id(params, "orderId", "origClientOrderId", FUTURES_CLIENT_ID_RANGE)


def _listed(params: Params, name: str) -> list[object]:
    """A JSON list parameter. Raises -1130."""
    try:
        listed = orjson.loads(params.need_text(name))
    except orjson.JSONDecodeError:
        raise errors.invalid_data(name) from None
    if not isinstance(listed, list):
        raise errors.invalid_data(name)
    return listed


def _each(call: Call, handler: Callable[[Call], object], entry: object) -> object:
    """One entry of a batch, answered or refused on its own."""
    if not isinstance(entry, dict):
        return errors.body_of(missing_parameter("symbol"))
    try:
        return handler(Call(call.wire, call.market, Params.of_json(entry), call.signer))
    except ExchangeError as error:
        return errors.body_of(error)


def _open_weight(params: Params) -> int:
    return 1 if params.sent("symbol") else 40


ROUTES = (
    Route("POST", "/fapi/v1/order", place, 0, Security.TRADE, orders=1, market=FUTURES),
    Route("POST", "/fapi/v1/order/test", test, 1, Security.TRADE, market=FUTURES),
    Route("PUT", "/fapi/v1/order", modify, 0, Security.TRADE, orders=1, market=FUTURES),
    Route("GET", "/fapi/v1/order", get_order, 1, Security.DATA, market=FUTURES),
    Route("DELETE", "/fapi/v1/order", cancel, 1, Security.TRADE, market=FUTURES),
    Route("POST", "/fapi/v1/batchOrders", place_batch, 5, Security.TRADE, orders=5, market=FUTURES),
    Route("DELETE", "/fapi/v1/batchOrders", cancel_batch, 1, Security.TRADE, market=FUTURES),
    Route("DELETE", "/fapi/v1/allOpenOrders", cancel_all, 1, Security.TRADE, market=FUTURES),
    Route("GET", "/fapi/v1/openOrder", open_order, 1, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/openOrders", open_orders, _open_weight, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/allOrders", all_orders, 5, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/userTrades", user_trades, 5, Security.DATA, market=FUTURES),
)
