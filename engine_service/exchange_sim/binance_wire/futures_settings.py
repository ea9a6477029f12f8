"""USD-M settings of an account: leverage, margin type, position mode, asset mode; the dead-man switch."""

from __future__ import annotations

from engine_service.exchange_sim.binance_wire import errors
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security
from engine_service.exchange_sim.binance_wire.ws_text import plain
from engine_service.exchange_sim.enums import MarginType, Market
from engine_service.exchange_sim.errors import ExchangeError

FUTURES = Market.FUTURES
_DONE = {"code": 200, "msg": "success"}


def set_leverage(call: Call) -> object:
    """POST /fapi/v1/leverage"""
    symbol, leverage = _symbol(call), call.params.need_integer("leverage")
    most = call.exchange.futures.set_leverage(call.account_id, symbol, leverage)
    return {"leverage": leverage, "maxNotionalValue": plain(most), "symbol": symbol}


def set_margin_type(call: Call) -> object:
    """POST /fapi/v1/marginType"""
    symbol = _symbol(call)
    kind = call.params.need_choice("marginType", MarginType)
    call.exchange.futures.set_margin_type(call.account_id, symbol, kind)
    return _DONE


def position_mode(call: Call) -> object:
    """GET /fapi/v1/positionSide/dual"""
    return {"dualSidePosition": call.exchange.futures.is_hedge_mode(call.account_id)}


def set_position_mode(call: Call) -> object:
    """POST /fapi/v1/positionSide/dual"""
    call.params.need_text("dualSidePosition")
    call.exchange.futures.set_hedge_mode(call.account_id, call.params.boolean("dualSidePosition"))
    return _DONE


def asset_mode(_call: Call) -> object:
    """GET /fapi/v1/multiAssetsMargin: single-asset mode, the only one there is."""
    return {"multiAssetsMargin": False}


def set_asset_mode(call: Call) -> object:
    """POST /fapi/v1/multiAssetsMargin"""
    call.params.need_text("multiAssetsMargin")
    if call.params.boolean("multiAssetsMargin"):
        raise ExchangeError(-1020, "This operation is not supported.")
    raise ExchangeError(-4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly.")


def countdown_cancel_all(call: Call) -> object:
    """POST /fapi/v1/countdownCancelAll"""
    symbol, after_ms = _symbol(call), call.params.need_integer("countdownTime")
    if after_ms > 2**31:
        raise errors.invalid_data("countdownTime")
    call.wire.countdowns.set(call.account_id, symbol, after_ms)
    return {"symbol": symbol, "countdownTime": str(after_ms)}


def _symbol(call: Call) -> str:
    return call.exchange.market_data.spec(FUTURES, call.params.symbol()).symbol


ROUTES = (
    Route("POST", "/fapi/v1/leverage", set_leverage, 1, Security.TRADE, market=FUTURES),
    Route("POST", "/fapi/v1/marginType", set_margin_type, 1, Security.TRADE, market=FUTURES),
    Route("GET", "/fapi/v1/positionSide/dual", position_mode, 30, Security.DATA, market=FUTURES),
    Route("POST", "/fapi/v1/positionSide/dual", set_position_mode, 1, Security.TRADE, market=FUTURES),
    Route("GET", "/fapi/v1/multiAssetsMargin", asset_mode, 30, Security.DATA, market=FUTURES),
    Route("POST", "/fapi/v1/multiAssetsMargin", set_asset_mode, 1, Security.TRADE, market=FUTURES),
    Route("POST", "/fapi/v1/countdownCancelAll", countdown_cancel_all, 10, Security.TRADE, market=FUTURES),
)
