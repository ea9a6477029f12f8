"""Spot's statistics over a window of one's own: the last minutes, hours or days, and the day of a time zone."""

from __future__ import annotations

import re

from engine_service.exchange_sim.binance_wire import errors, payloads_market
from engine_service.exchange_sim.binance_wire.app_context import Call, Route
from engine_service.exchange_sim.binance_wire.params import Params
from engine_service.exchange_sim.binance_wire.spot_klines import offset_minutes
from engine_service.exchange_sim.binance_wire.spot_market import TickerType, status_of, without_halted
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.intervals import DAY_MS, MINUTE_MS

WINDOW_RANGE = "^([1-9]|[1-5][0-9])m$|^([1-9]|1[0-9]|2[0-3])h$|^[1-7]d$"
_WINDOW = re.compile(WINDOW_RANGE, re.ASCII)
_UNITS_MS = {"m": MINUTE_MS, "h": 60 * MINUTE_MS, "d": DAY_MS}
_MOST_SYMBOLS = 100
_SYMBOL_WEIGHT, _MOST_WEIGHT = 4, 200


def rolling_window(call: Call) -> object:
    """GET /api/v3/ticker: from the full minute in which the window begins up to now."""
    size = call.params.text("windowSize") or "1d"
    if not _WINDOW.fullmatch(size):
        raise errors.illegal_characters("windowSize", WINDOW_RANGE)
    now_ms = call.exchange.server_time_ms()
    start_ms = now_ms - int(size[:-1]) * _UNITS_MS[size[-1]]
    return _tickers(call, start_ms - start_ms % MINUTE_MS, now_ms)


def trading_day(call: Call) -> object:
    """GET /api/v3/ticker/tradingDay: from the zone's midnight to the next."""
    offset_ms = offset_minutes(call.params.text("timeZone")) * MINUTE_MS
    local_ms = call.exchange.server_time_ms() + offset_ms
    start_ms = local_ms - local_ms % DAY_MS - offset_ms
    return _tickers(call, start_ms, start_ms + DAY_MS - 1)


def _tickers(call: Call, start_ms: int, close_ms: int) -> object:
    """An object for `symbol`, a list for `symbols`; one of them must be sent."""
    params, data = call.params, call.exchange.market_data
    kind = params.choice("type", TickerType, lambda: ExchangeError(-1139, "Invalid ticker type."))
    symbol, symbols, status = params.optional_symbol(), params.symbols(), status_of(params)
    params.finish()
    if symbol is None and symbols is None:
        raise errors.one_of_two("symbol", "symbols")
    if symbol is not None and symbols is not None:
        raise errors.bad_combination()
    if symbols is not None and len(symbols) > _MOST_SYMBOLS:
        raise ExchangeError(-1101, f"Too many symbols; at most {_MOST_SYMBOLS} are allowed.")
    rows = [
        payloads_market.window_ticker(
            name, data.window(Market.SPOT, name, start_ms, close_ms), mini=kind is TickerType.MINI
        )
        for name in symbols or [symbol or ""]
    ]
    return without_halted(status, rows, single=symbol is not None)


def _weight(params: Params) -> int:
    symbols = params.symbols()
    return _SYMBOL_WEIGHT if symbols is None else min(_MOST_WEIGHT, _SYMBOL_WEIGHT * len(symbols))


ROUTES = (
    Route("GET", "/api/v3/ticker", rolling_window, _weight),
    Route("GET", "/api/v3/ticker/tradingDay", trading_day, _weight),
)
