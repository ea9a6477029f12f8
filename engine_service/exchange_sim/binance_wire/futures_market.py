"""USD-M's public endpoints."""

from __future__ import annotations

from collections.abc import Callable

from engine_service.exchange_sim.binance_wire import errors, payloads_futures, payloads_market
from engine_service.exchange_sim.binance_wire.app_context import Call, Route
from engine_service.exchange_sim.binance_wire.params import Params
from engine_service.exchange_sim.binance_wire.payloads_filters import futures_symbol
from engine_service.exchange_sim.binance_wire.ws_text import plain
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.model import SymbolSpec

Payload = dict[str, object]
FUTURES = Market.FUTURES
_DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
_KLINE_WEIGHTS = ((99, 1), (499, 2), (1000, 5), (1500, 10))
_MOST_BARS, _MOST_ROWS = 1500, 1000
_FUNDING_HOURS = 8
_FUNDING_CAP = "0.02000000"


def ping(_call: Call) -> object:
    """GET /fapi/v1/ping"""
    return {}


def time(call: Call) -> object:
    """GET /fapi/v1/time"""
    return {"serverTime": call.exchange.server_time_ms()}


def exchange_info(call: Call) -> object:
    """GET /fapi/v1/exchangeInfo"""
    specs = call.exchange.market_data.specs(FUTURES)
    assets = sorted({spec.quote_asset for spec in specs})
    return {
        "timezone": "UTC",
        "serverTime": call.exchange.server_time_ms(),
        "futuresType": "U_MARGINED",
        "rateLimits": call.wire.limits[FUTURES].limits.listed(),
        "exchangeFilters": [],
        "assets": [{"asset": name, "marginAvailable": True, "autoAssetExchange": "0"} for name in assets],
        "symbols": [futures_symbol(spec) for spec in specs],
    }


def klines(call: Call) -> object:
    """GET /fapi/v1/klines"""
    return _klines(call, call.params.symbol())


def continuous_klines(call: Call) -> object:
    """GET /fapi/v1/continuousKlines: the perpetual is the only contract of its pair."""
    if call.params.need_text("contractType") != "PERPETUAL":
        raise ExchangeError(-4104, "Invalid contract type")
    return _klines(call, call.params.need_text("pair"))


def depth(call: Call) -> object:
    """GET /fapi/v1/depth"""
    symbol, limit = call.params.symbol(), call.params.integer("limit")
    if limit is None:
        limit = 500
    if limit not in _DEPTH_WEIGHTS:
        raise ExchangeError(-4021, f"'{limit}' is not valid depth limit.")
    return payloads_market.depth(FUTURES, call.exchange.market_data.depth(FUTURES, symbol, limit))


def trades(call: Call) -> object:
    """GET /fapi/v1/trades"""
    symbol, limit = call.params.symbol(), call.params.limit(500, _MOST_ROWS)
    return payloads_market.trades(FUTURES, call.exchange.market_data.recent_trades(FUTURES, symbol, limit))


def historical_trades(call: Call) -> object:
    """GET /fapi/v1/historicalTrades"""
    symbol, limit = call.params.symbol(), call.params.limit(100, 500)
    from_id = call.params.integer("fromId")
    tape = call.exchange.market_data.historical_trades(FUTURES, symbol, from_id, limit)
    return payloads_market.trades(FUTURES, tape)


def agg_trades(call: Call) -> object:
    """GET /fapi/v1/aggTrades"""
    params = call.params
    symbol, limit = params.symbol(), params.limit(500, _MOST_ROWS)
    from_id = params.integer("fromId")
    start_ms, end_ms = params.time_ms("startTime"), params.time_ms("endTime")
    tape = call.exchange.market_data.agg_trades(FUTURES, symbol, from_id, start_ms, end_ms, limit)
    return payloads_market.agg_trades(FUTURES, tape)


def premium_index(call: Call) -> object:
    """GET /fapi/v1/premiumIndex"""
    data = call.exchange.market_data
    return _one_or_all(call, lambda spec: payloads_futures.premium_index(data.mark_price(spec.symbol)))


def funding_rate(call: Call) -> object:
    """GET /fapi/v1/fundingRate"""
    params = call.params
    symbol, limit = params.optional_symbol(), params.limit(100, _MOST_ROWS)
    start_ms, end_ms = params.time_ms("startTime"), params.time_ms("endTime")
    if symbol is not None:
        call.exchange.market_data.spec(FUTURES, symbol)
    rows = call.exchange.market_data.funding_history(symbol, start_ms, end_ms, limit)
    return [payloads_futures.funding_rate(row) for row in rows]


def funding_info(call: Call) -> object:
    """GET /fapi/v1/fundingInfo"""
    return [
        {
            "symbol": spec.symbol,
            "adjustedFundingRateCap": _FUNDING_CAP,
            "adjustedFundingRateFloor": f"-{_FUNDING_CAP}",
            "fundingIntervalHours": _FUNDING_HOURS,
            "disclaimer": False,
        }
        for spec in call.exchange.market_data.specs(FUTURES)
    ]


def open_interest(call: Call) -> object:
    """GET /fapi/v1/openInterest"""
    symbol = call.params.symbol()
    call.exchange.market_data.spec(FUTURES, symbol)
    held = call.exchange.futures_ledger.open_interest(symbol)
    return {"openInterest": plain(held), "symbol": symbol, "time": call.exchange.server_time_ms()}


def ticker_24h(call: Call) -> object:
    """GET /fapi/v1/ticker/24hr"""
    data = call.exchange.market_data

    def build(spec: SymbolSpec) -> Payload:
        ticker, top = data.ticker_24h(FUTURES, spec.symbol), data.book_top(FUTURES, spec.symbol)
        return payloads_market.ticker_24h(FUTURES, spec.symbol, ticker, top)

    return _one_or_all(call, build)


def ticker_price(call: Call) -> object:
    """GET /fapi/v1/ticker/price and /fapi/v2/ticker/price"""
    data, now_ms = call.exchange.market_data, call.exchange.server_time_ms()

    def build(spec: SymbolSpec) -> Payload:
        price = plain(data.last_price(FUTURES, spec.symbol))
        return {"symbol": spec.symbol, "price": price, "time": now_ms}

    return _one_or_all(call, build)


def book_ticker(call: Call) -> object:
    """GET /fapi/v1/ticker/bookTicker"""
    data = call.exchange.market_data

    def build(spec: SymbolSpec) -> Payload:
        return payloads_market.book_ticker(FUTURES, spec.symbol, data.book_top(FUTURES, spec.symbol))

    return _one_or_all(call, build)


def _klines(call: Call, symbol: str) -> object:
    params = call.params
    interval, limit = params.need_text("interval"), _kline_limit(params)
    start_ms, end_ms = params.time_ms("startTime"), params.time_ms("endTime")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise ExchangeError(-1023, "Start time is greater than end time.")
    if interval == "1s":  # spot's own, USD-M begins at 1m
        raise ExchangeError(-1120, "Invalid interval.")
    bars = call.exchange.market_data.klines(FUTURES, symbol, interval, start_ms, end_ms, limit)
    return payloads_market.klines(FUTURES, bars)


def _kline_limit(params: Params) -> int:
    limit = params.integer("limit")
    if limit is None:
        return 500
    if not 1 <= limit <= _MOST_BARS:
        raise errors.invalid_data("limit")
    return limit


def _one_or_all(call: Call, build: Callable[[SymbolSpec], Payload]) -> object:
    symbol = call.params.optional_symbol()
    data = call.exchange.market_data
    if symbol is not None:
        return build(data.spec(FUTURES, symbol))
    return [build(spec) for spec in data.specs(FUTURES)]


def _depth_weight(params: Params) -> int:
    return _DEPTH_WEIGHTS.get(params.integer("limit") or 500, 2)


def _kline_weight(params: Params) -> int:
    limit = _kline_limit(params)
    return next(weight for most, weight in _KLINE_WEIGHTS if limit <= most)


def _by_symbol(one: int, every: int) -> Callable[[Params], int]:
    return lambda params: one if params.sent("symbol") else every


ROUTES = (
    Route("GET", "/fapi/v1/ping", ping, market=FUTURES),
    Route("GET", "/fapi/v1/time", time, market=FUTURES),
    Route("GET", "/fapi/v1/exchangeInfo", exchange_info, market=FUTURES),
    Route("GET", "/fapi/v1/klines", klines, _kline_weight, market=FUTURES),
    Route("GET", "/fapi/v1/continuousKlines", continuous_klines, _kline_weight, market=FUTURES),
    Route("GET", "/fapi/v1/depth", depth, _depth_weight, market=FUTURES),
    Route("GET", "/fapi/v1/trades", trades, 5, market=FUTURES),
    Route("GET", "/fapi/v1/historicalTrades", historical_trades, 20, market=FUTURES),
    Route("GET", "/fapi/v1/aggTrades", agg_trades, 20, market=FUTURES),
    Route("GET", "/fapi/v1/premiumIndex", premium_index, _by_symbol(1, 10), market=FUTURES),
    Route("GET", "/fapi/v1/fundingRate", funding_rate, 0, market=FUTURES),
    Route("GET", "/fapi/v1/fundingInfo", funding_info, 0, market=FUTURES),
    Route("GET", "/fapi/v1/openInterest", open_interest, market=FUTURES),
    Route("GET", "/fapi/v1/ticker/24hr", ticker_24h, _by_symbol(1, 40), market=FUTURES),
    Route("GET", "/fapi/v1/ticker/price", ticker_price, _by_symbol(1, 2), market=FUTURES),
    Route("GET", "/fapi/v2/ticker/price", ticker_price, _by_symbol(1, 2), market=FUTURES),
    Route("GET", "/fapi/v1/ticker/bookTicker", book_ticker, _by_symbol(2, 5), market=FUTURES),
)
