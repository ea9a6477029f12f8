"""Spot queries of an account's orders and trades."""

from __future__ import annotations

from engine_service.exchange_sim.binance_wire import errors, payloads_spot
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security
from engine_service.exchange_sim.binance_wire.params import SPOT_CLIENT_ID_RANGE, Params, one_id
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.errors import ExchangeError

_DAY_MS = 24 * 3600 * 1000
_MOST_ROWS = 1000
# The documented combinations of myTrades' optional parameters.
_TRADE_FILTERS: tuple[set[str], ...] = (
    set(),
    {"orderId"},
    {"startTime"},
    {"endTime"},
    {"fromId"},
    {"startTime", "endTime"},
    {"orderId", "fromId"},
)


def get_order(call: Call) -> object:
    """GET /api/v3/order"""
    symbol = call.params.symbol()
    order_id, client_id = one_id(call.params, "orderId", "origClientOrderId", SPOT_CLIENT_ID_RANGE)
    call.params.finish()
    return payloads_spot.queried(call.exchange.orders.get(call.account_id, Market.SPOT, symbol, order_id, client_id))


def open_orders(call: Call) -> object:
    """GET /api/v3/openOrders"""
    symbol = call.params.optional_symbol()
    call.params.finish()
    if symbol is not None:
        call.exchange.market_data.spec(Market.SPOT, symbol)
    orders = call.exchange.orders.open_orders(call.account_id, Market.SPOT, symbol)
    return [payloads_spot.queried(order) for order in orders]


def all_orders(call: Call) -> object:
    """GET /api/v3/allOrders"""
    params = call.params
    symbol, order_id = params.symbol(), params.integer("orderId")
    start_ms, end_ms = day_span(params)
    limit = params.limit(500, _MOST_ROWS)
    params.finish()
    call.exchange.market_data.spec(Market.SPOT, symbol)
    orders = call.exchange.orders.all_orders(call.account_id, Market.SPOT, symbol, order_id, start_ms, end_ms, limit)
    return [payloads_spot.queried(order) for order in orders]


def my_trades(call: Call) -> object:
    """GET /api/v3/myTrades"""
    params = call.params
    symbol, order_id, from_id = params.symbol(), params.integer("orderId"), params.integer("fromId")
    start_ms, end_ms = day_span(params)
    limit = params.limit(500, _MOST_ROWS)
    params.finish()
    sent = {name for name in ("orderId", "fromId", "startTime", "endTime") if params.sent(name)}
    if sent not in _TRADE_FILTERS:
        raise errors.bad_combination()
    call.exchange.market_data.spec(Market.SPOT, symbol)
    trades = call.exchange.orders.trades(
        call.account_id, Market.SPOT, symbol, order_id, from_id, start_ms, end_ms, limit
    )
    return [payloads_spot.my_trade(trade) for trade in trades]


def order_counts(call: Call) -> object:
    """GET /api/v3/rateLimit/order"""
    call.params.finish()
    return call.wire.limits[Market.SPOT].order_rows(call.account_id)


def day_span(params: Params) -> tuple[int | None, int | None]:
    """`startTime` and `endTime`, at most 24 hours apart. Raises -1127."""
    start_ms, end_ms = params.time_ms("startTime"), params.time_ms("endTime")
    if start_ms is not None and end_ms is not None and end_ms - start_ms > _DAY_MS:
        raise ExchangeError(-1127, "More than 24 hours between startTime and endTime.")
    return start_ms, end_ms


def _open_weight(params: Params) -> int:
    return 6 if params.sent("symbol") else 80


def _trades_weight(params: Params) -> int:
    return 5 if params.sent("orderId") else 20


ROUTES = (
    Route("GET", "/api/v3/order", get_order, 4, Security.DATA),
    Route("GET", "/api/v3/openOrders", open_orders, _open_weight, Security.DATA),
    Route("GET", "/api/v3/allOrders", all_orders, 20, Security.DATA),
    Route("GET", "/api/v3/myTrades", my_trades, _trades_weight, Security.DATA),
    Route("GET", "/api/v3/rateLimit/order", order_counts, 40, Security.DATA),
)
