"""USD-M conditional orders (`algoOrder`): stops, targets and trailing stops live here since December 2025."""

from __future__ import annotations

from engine_service.exchange_sim.binance_wire import errors, payloads_futures
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security
from engine_service.exchange_sim.binance_wire.futures_orders import week_span
from engine_service.exchange_sim.binance_wire.futures_tickets import (
    check_precision,
    client_id,
    good_till,
    position_side,
    refuse_price_match,
    response_is_final,
    self_trade_prevention,
)
from engine_service.exchange_sim.binance_wire.params import FUTURES_CLIENT_ID_RANGE, Params, one_id
from engine_service.exchange_sim.enums import Market, OrderType, Side, TimeInForce, WorkingType
from engine_service.exchange_sim.errors import ExchangeError, missing_parameter, unneeded_parameter

FUTURES = Market.FUTURES
_MOST_ROWS = 1000
_LIMITS = (OrderType.STOP, OrderType.TAKE_PROFIT)
_MARKETS = (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
_CONDITIONAL = (*_LIMITS, *_MARKETS, OrderType.TRAILING_STOP_MARKET)


def place(call: Call) -> object:
    """POST /fapi/v1/algoOrder"""
    params = call.params
    if params.need_text("algoType") != "CONDITIONAL":
        raise errors.invalid_data("algoType")
    spec = call.exchange.market_data.spec(FUTURES, params.symbol())
    side = params.need_choice("side", Side, errors.invalid_side)
    kind = params.need_choice("type", OrderType, errors.invalid_order_type)
    if kind not in _CONDITIONAL:
        raise errors.invalid_order_type()
    _check_fields(params, kind)
    response_is_final(params)
    time_in_force = params.choice("timeInForce", TimeInForce, errors.invalid_time_in_force)
    quantity, price = params.decimal("quantity"), params.decimal("price")
    check_precision(spec, quantity, price)
    self_trade_prevention(params)
    refusal = ExchangeError(-4031, "Invalid parameter working type")
    order = call.exchange.algo.place(
        call.account_id,
        spec.symbol,
        side,
        kind,
        quantity=quantity,
        price=price,
        trigger_price=params.decimal("triggerPrice"),
        time_in_force=time_in_force or TimeInForce.GTC,
        client_algo_id=client_id(params, "clientAlgoId") or "",
        position_side=position_side(params),
        working_type=params.choice("workingType", WorkingType, lambda: refusal) or WorkingType.CONTRACT_PRICE,
        reduce_only=params.boolean("reduceOnly"),
        close_position=params.boolean("closePosition"),
        price_protect=params.boolean("priceProtect"),
        # Documents and older clients differ in the name.
        activation_price=params.decimal("activatePrice") or params.decimal("activationPrice"),
        callback_rate_pct=params.decimal("callbackRate"),
        good_till_ms=good_till(params, time_in_force, call.exchange.server_time_ms()),
    )
    return payloads_futures.algo_placed(order)


def get_order(call: Call) -> object:
    """GET /fapi/v1/algoOrder"""
    algo_id, client_algo_id = _ids(call.params)
    return payloads_futures.algo_queried(call.exchange.algo.get(call.account_id, algo_id, client_algo_id))


def cancel(call: Call) -> object:
    """DELETE /fapi/v1/algoOrder"""
    algo_id, client_algo_id = _ids(call.params)
    order = call.exchange.algo.cancel(call.account_id, algo_id, client_algo_id)
    return {"algoId": order.algo_id, "clientAlgoId": order.client_algo_id, "code": "200", "msg": "success"}


def cancel_all(call: Call) -> object:
    """DELETE /fapi/v1/algoOpenOrders"""
    symbol = call.params.symbol()
    call.exchange.market_data.spec(FUTURES, symbol)
    call.exchange.algo.cancel_all(call.account_id, symbol)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def open_orders(call: Call) -> object:
    """GET /fapi/v1/openAlgoOrders"""
    symbol, algo_id = call.params.optional_symbol(), call.params.integer("algoId")
    if symbol is not None:
        call.exchange.market_data.spec(FUTURES, symbol)
    orders = call.exchange.algo.open_orders(call.account_id, symbol)
    return [payloads_futures.algo_queried(order) for order in orders if algo_id in (None, order.algo_id)]


def all_orders(call: Call) -> object:
    """GET /fapi/v1/allAlgoOrders"""
    params = call.params
    symbol, algo_id = params.symbol(), params.integer("algoId")
    start_ms, end_ms = week_span(params)
    limit = params.limit(500, _MOST_ROWS)
    call.exchange.market_data.spec(FUTURES, symbol)
    orders = call.exchange.algo.all_orders(call.account_id, symbol, algo_id, start_ms, end_ms, limit)
    return [payloads_futures.algo_queried(order) for order in orders]


def _check_fields(params: Params, kind: OrderType) -> None:
    """Raises -1102, -1106 or -4137 where fields and type do not go together."""
    refuse_price_match(params)
    close = params.boolean("closePosition")
    if close and kind not in _MARKETS:
        raise ExchangeError(-4136, f"Target strategy invalid for orderType {kind.value},closePosition true")
    if close and params.sent("quantity"):
        raise ExchangeError(-4137, "Quantity must be zero with closePosition equals true")
    if close and params.sent("reduceOnly"):
        raise unneeded_parameter("reduceonly")
    needed = {"callbackRate"} if kind is OrderType.TRAILING_STOP_MARKET else {"triggerPrice"}
    if kind in _LIMITS:
        needed.add("price")
    if not close:
        needed.add("quantity")
    for name in sorted(needed):
        if not params.values.get(name):
            raise missing_parameter(name)
    if kind not in _LIMITS and params.sent("price"):
        raise unneeded_parameter("price")


def _ids(params: Params) -> tuple[int | None, str | None]:
    return one_id(params, "algoId", "clientAlgoId", FUTURES_CLIENT_ID_RANGE)


def _open_weight(params: Params) -> int:
    return 1 if params.sent("symbol") else 40


ROUTES = (
    Route("POST", "/fapi/v1/algoOrder", place, 0, Security.TRADE, orders=1, market=FUTURES),
    Route("GET", "/fapi/v1/algoOrder", get_order, 1, Security.DATA, market=FUTURES),
    Route("DELETE", "/fapi/v1/algoOrder", cancel, 1, Security.TRADE, market=FUTURES),
    Route("DELETE", "/fapi/v1/algoOpenOrders", cancel_all, 1, Security.TRADE, market=FUTURES),
    Route("GET", "/fapi/v1/openAlgoOrders", open_orders, _open_weight, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/allAlgoOrders", all_orders, 5, Security.DATA, market=FUTURES),
)
