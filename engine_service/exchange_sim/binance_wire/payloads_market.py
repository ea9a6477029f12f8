"""Public market data of both markets as REST answers it: pure builders.

Spot writes every number with eight decimals, USD-M without trailing zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal

from engine_service.exchange_sim.binance_wire.ws_text import fixed, levels, plain
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.public_data import AggTrade, Bar, BookTop, Depth, PublicTrade, Ticker24h

Payload = dict[str, object]
_PERCENT_DIGITS = Decimal("0.001")


def writer(market: Market) -> Callable[[Decimal], str]:
    """How a market writes numbers."""
    return fixed if market is Market.SPOT else plain


def klines(market: Market, bars: Iterable[Bar]) -> list[list[object]]:
    """Rows of klines; the last column is unused."""
    write = writer(market)
    return [
        [
            bar.open_ms,
            write(bar.open),
            write(bar.high),
            write(bar.low),
            write(bar.close),
            write(bar.volume),
            bar.close_ms,
            write(bar.quote_volume),
            bar.trades,
            write(bar.taker_volume),
            write(bar.taker_quote_volume),
            "0",
        ]
        for bar in bars
    ]


def depth(market: Market, book: Depth) -> Payload:
    """A snapshot of the book; USD-M adds output and transaction time."""
    body: Payload = {"lastUpdateId": book.last_update_id}
    if market is Market.FUTURES:
        body["E"] = body["T"] = book.at_ms
    body["bids"] = levels(market, book.bids)
    body["asks"] = levels(market, book.asks)
    return body


def trades(market: Market, tape: Iterable[PublicTrade]) -> list[Payload]:
    """Rows of trades and historicalTrades."""
    write = writer(market)
    rows: list[Payload] = [
        {
            "id": trade.trade_id,
            "price": write(trade.price),
            "qty": write(trade.quantity),
            "quoteQty": write(trade.price * trade.quantity),
            "time": trade.at_ms,
            "isBuyerMaker": trade.is_buyer_maker,
        }
        for trade in tape
    ]
    if market is Market.SPOT:
        for row in rows:
            row["isBestMatch"] = True
    return rows


def agg_trades(market: Market, tape: Iterable[AggTrade]) -> list[Payload]:
    """Rows of aggTrades."""
    write = writer(market)
    rows: list[Payload] = [
        {
            "a": trade.agg_id,
            "p": write(trade.price),
            "q": write(trade.quantity),
            "f": trade.first_trade_id,
            "l": trade.last_trade_id,
            "T": trade.at_ms,
            "m": trade.is_buyer_maker,
        }
        for trade in tape
    ]
    if market is Market.SPOT:
        for row in rows:
            row["M"] = True
    return rows


def ticker_24h(market: Market, symbol: str, ticker: Ticker24h, top: BookTop) -> Payload:
    """The FULL 24-hour statistics; only spot's carry the best bid and ask."""
    write = writer(market)
    change = ticker.last - ticker.open
    body: Payload = {
        "symbol": symbol,
        "priceChange": write(change),
        "priceChangePercent": _percent(change, ticker.open),
        "weightedAvgPrice": write(ticker.weighted_average),
    }
    if market is Market.SPOT:
        body["prevClosePrice"] = write(ticker.previous_close)
    body["lastPrice"] = write(ticker.last)
    body["lastQty"] = write(ticker.last_quantity)
    if market is Market.SPOT:
        body |= {
            "bidPrice": write(top.bid_price),
            "bidQty": write(top.bid_quantity),
            "askPrice": write(top.ask_price),
            "askQty": write(top.ask_quantity),
        }
    return body | _window(market, ticker)


def mini_ticker(symbol: str, ticker: Ticker24h) -> Payload:
    """Spot's MINI 24-hour statistics."""
    window = _window(Market.SPOT, ticker)
    prices = {name: window.pop(name) for name in ("openPrice", "highPrice", "lowPrice")}
    return {"symbol": symbol, **prices, "lastPrice": fixed(ticker.last), **window}


def window_ticker(symbol: str, ticker: Ticker24h, *, mini: bool) -> Payload:
    """Spot's statistics of another window, FULL or MINI."""
    if mini:
        return mini_ticker(symbol, ticker)
    window, change = _window(Market.SPOT, ticker), ticker.last - ticker.open
    prices = {name: window.pop(name) for name in ("openPrice", "highPrice", "lowPrice")}
    return {
        "symbol": symbol,
        "priceChange": fixed(change),
        "priceChangePercent": _percent(change, ticker.open),
        "weightedAvgPrice": fixed(ticker.weighted_average),
        **prices,
        "lastPrice": fixed(ticker.last),
        **window,
    }


def book_ticker(market: Market, symbol: str, top: BookTop) -> Payload:
    """Best bid and ask; USD-M adds the time."""
    write = writer(market)
    body: Payload = {
        "symbol": symbol,
        "bidPrice": write(top.bid_price),
        "bidQty": write(top.bid_quantity),
        "askPrice": write(top.ask_price),
        "askQty": write(top.ask_quantity),
    }
    if market is Market.FUTURES:
        body["time"] = top.at_ms
    return body


def _window(market: Market, ticker: Ticker24h) -> Payload:
    write = writer(market)
    return {
        "openPrice": write(ticker.open),
        "highPrice": write(ticker.high),
        "lowPrice": write(ticker.low),
        "volume": write(ticker.volume),
        "quoteVolume": write(ticker.quote_volume),
        "openTime": ticker.open_ms,
        "closeTime": ticker.close_ms,
        "firstId": ticker.first_trade_id,
        "lastId": ticker.last_trade_id,
        "count": ticker.trades,
    }


def _percent(change: Decimal, base: Decimal) -> str:
    if not base:
        return "0.000"
    return format((change * 100 / base).quantize(_PERCENT_DIGITS, ROUND_HALF_UP), "f")
