"""Spot's public endpoints."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from engine_service.exchange_sim.binance_wire import errors, payloads_market
from engine_service.exchange_sim.binance_wire.app_context import Call, Route
from engine_service.exchange_sim.binance_wire.params import Params
from engine_service.exchange_sim.binance_wire.payloads_filters import spot_symbol
from engine_service.exchange_sim.binance_wire.spot_klines import offset_minutes, shifted_klines
from engine_service.exchange_sim.binance_wire.ws_text import fixed
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.model import SymbolSpec

Payload = dict[str, object]
SPOT = Market.SPOT
_AVERAGE_MINUTES = 5
_MOST_LEVELS = 5000
_MOST_ROWS = 1000
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (_MOST_LEVELS, 250))
_TRADING = "TRADING"


class TickerType(StrEnum):
    FULL = "FULL"
    MINI = "MINI"


class SymbolStatus(StrEnum):
    TRADING = "TRADING"
    HALT = "HALT"
    BREAK = "BREAK"


def ping(call: Call) -> object:
    """GET /api/v3/ping"""
    call.params.finish()
    return {}


def time(call: Call) -> object:
    """GET /api/v3/time"""
    call.params.finish()
    return {"serverTime": call.exchange.server_time_ms()}


def exchange_info(call: Call) -> object:
    """GET /api/v3/exchangeInfo"""
    params = call.params
    symbol, symbols = params.optional_symbol(), params.symbols()
    permissions, status = _permissions(params), status_of(params)
    show_sets = params.boolean("showPermissionSets", True)
    params.finish()
    named = symbol is not None or symbols is not None
    if named and (status is not None or permissions is not None or (symbol and symbols)):
        raise errors.bad_combination()
    specs = _chosen(call, symbol, symbols)
    if not named and ((status or _TRADING) != _TRADING or not (permissions is None or "SPOT" in permissions)):
        specs = []
    return {
        "timezone": "UTC",
        "serverTime": call.exchange.server_time_ms(),
        "rateLimits": call.wire.limits[SPOT].limits.listed(),
        "exchangeFilters": [],
        "symbols": [spot_symbol(spec, show_sets) for spec in specs],
    }


def klines(call: Call) -> object:
    """GET /api/v3/klines and /api/v3/uiKlines"""
    params = call.params
    symbol, interval = params.symbol(), params.need_text("interval")
    start_ms, end_ms = params.time_ms("startTime"), params.time_ms("endTime")
    offset = offset_minutes(params.text("timeZone"))
    limit = params.limit(500, _MOST_ROWS)
    params.finish()
    bars = shifted_klines(call.exchange.market_data, symbol, interval, start_ms, end_ms, limit, offset)
    return payloads_market.klines(SPOT, bars)


def depth(call: Call) -> object:
    """GET /api/v3/depth"""
    symbol = call.params.symbol()
    limit = call.params.limit(100, _MOST_LEVELS)
    _need_trading(call.params)
    call.params.finish()
    return payloads_market.depth(SPOT, call.exchange.market_data.depth(SPOT, symbol, limit))


def trades(call: Call) -> object:
    """GET /api/v3/trades"""
    symbol, limit = call.params.symbol(), call.params.limit(500, _MOST_ROWS)
    call.params.finish()
    return payloads_market.trades(SPOT, call.exchange.market_data.recent_trades(SPOT, symbol, limit))


def historical_trades(call: Call) -> object:
    """GET /api/v3/historicalTrades"""
    symbol, limit = call.params.symbol(), call.params.limit(500, _MOST_ROWS)
    from_id = call.params.integer("fromId")
    call.params.finish()
    tape = call.exchange.market_data.historical_trades(SPOT, symbol, from_id, limit)
    return payloads_market.trades(SPOT, tape)


def agg_trades(call: Call) -> object:
    """GET /api/v3/aggTrades"""
    params = call.params
    symbol, limit = params.symbol(), params.limit(500, _MOST_ROWS)
    from_id = params.integer("fromId")
    start_ms, end_ms = params.time_ms("startTime"), params.time_ms("endTime")
    params.finish()
    tape = call.exchange.market_data.agg_trades(SPOT, symbol, from_id, start_ms, end_ms, limit)
    return payloads_market.agg_trades(SPOT, tape)


def average_price(call: Call) -> object:
    """GET /api/v3/avgPrice"""
    symbol = call.params.symbol()
    call.params.finish()
    data = call.exchange.market_data
    price = data.average_price(symbol)
    last = data.recent_trades(SPOT, symbol, 1)
    closed_ms = last[-1].at_ms if last else call.exchange.server_time_ms()
    return {"mins": _AVERAGE_MINUTES, "price": fixed(price), "closeTime": closed_ms}


def ticker_24h(call: Call) -> object:
    """GET /api/v3/ticker/24hr"""
    kind = call.params.choice("type", TickerType, lambda: ExchangeError(-1139, "Invalid ticker type."))

    def build(spec: SymbolSpec) -> Payload:
        data = call.exchange.market_data
        ticker = data.ticker_24h(SPOT, spec.symbol)
        if kind is TickerType.MINI:
            return payloads_market.mini_ticker(spec.symbol, ticker)
        return payloads_market.ticker_24h(SPOT, spec.symbol, ticker, data.book_top(SPOT, spec.symbol))

    return _one_or_many(call, build)


def ticker_price(call: Call) -> object:
    """GET /api/v3/ticker/price"""

    def build(spec: SymbolSpec) -> Payload:
        return {"symbol": spec.symbol, "price": fixed(call.exchange.market_data.last_price(SPOT, spec.symbol))}

    return _one_or_many(call, build)


def book_ticker(call: Call) -> object:
    """GET /api/v3/ticker/bookTicker"""

    def build(spec: SymbolSpec) -> Payload:
        top = call.exchange.market_data.book_top(SPOT, spec.symbol)
        return payloads_market.book_ticker(SPOT, spec.symbol, top)

    return _one_or_many(call, build)


def _one_or_many(call: Call, build: Callable[[SymbolSpec], Payload]) -> object:
    """An object for `symbol`, a list for `symbols` or for all."""
    params = call.params
    symbol, symbols, status = params.optional_symbol(), params.symbols(), status_of(params)
    params.finish()
    if symbol is not None and symbols is not None:
        raise errors.bad_combination()
    specs = _chosen(call, symbol, symbols)
    return without_halted(status, [build(spec) for spec in specs], single=symbol is not None)


def without_halted(status: SymbolStatus | None, rows: list[Payload], *, single: bool) -> object:
    """Keep what has the status asked for: here every symbol trades. Raises -1220 for a single one that has another."""
    other = status is not None and status is not SymbolStatus.TRADING
    if not single:
        return [] if other else rows
    if other:
        raise _status_mismatch()
    return rows[0]


def _chosen(call: Call, symbol: str | None, symbols: list[str] | None) -> list[SymbolSpec]:
    """Raises -1121 for an unknown symbol."""
    data = call.exchange.market_data
    if symbol is not None:
        return [data.spec(SPOT, symbol)]
    if symbols is not None:
        return [data.spec(SPOT, name) for name in symbols]
    return list(data.specs(SPOT))


def _permissions(params: Params) -> list[str] | None:
    """`permissions` as one name or a JSON list of them."""
    value = params.values.get("permissions", "")
    if value.startswith("["):
        return params.names("permissions")
    single = params.text("permissions")
    return None if single is None else [single]


def status_of(params: Params) -> SymbolStatus | None:
    return params.choice("symbolStatus", SymbolStatus, lambda: ExchangeError(-1122, "Invalid symbolStatus."))


def _need_trading(params: Params) -> None:
    if status_of(params) not in (None, SymbolStatus.TRADING):
        raise _status_mismatch()


def _status_mismatch() -> ExchangeError:
    return ExchangeError(-1220, "The symbol's status does not match the requested symbolStatus.")


def _depth_weight(params: Params) -> int:
    limit = params.limit(100, _MOST_LEVELS)
    return next(weight for most, weight in _DEPTH_WEIGHTS if limit <= most)


def _ticker_weight(params: Params) -> int:
    if params.sent("symbol"):
        return 2
    symbols = params.symbols()
    if symbols is None or len(symbols) > 100:
        return 80
    return 2 if len(symbols) <= 20 else 40


def _price_weight(params: Params) -> int:
    return 2 if params.sent("symbol") else 4


ROUTES = (
    Route("GET", "/api/v3/ping", ping),
    Route("GET", "/api/v3/time", time),
    Route("GET", "/api/v3/exchangeInfo", exchange_info, 20),
    Route("GET", "/api/v3/klines", klines, 2),
    Route("GET", "/api/v3/uiKlines", klines, 2),
    Route("GET", "/api/v3/depth", depth, _depth_weight),
    Route("GET", "/api/v3/trades", trades, 25),
    Route("GET", "/api/v3/historicalTrades", historical_trades, 25),
    Route("GET", "/api/v3/aggTrades", agg_trades, 4),
    Route("GET", "/api/v3/avgPrice", average_price, 2),
    Route("GET", "/api/v3/ticker/24hr", ticker_24h, _ticker_weight),
    Route("GET", "/api/v3/ticker/price", ticker_price, _price_weight),
    Route("GET", "/api/v3/ticker/bookTicker", book_ticker, _price_weight),
)
