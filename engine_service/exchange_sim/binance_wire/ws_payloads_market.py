"""Payloads of the market streams, as Binance documents them. Pure: an event in, a JSON object out.

Every builder takes the event and the time unit of the connection (`timeUnit=MICROSECOND` on spot). Spot and USD-M
name the same things alike; where their payloads differ the builder asks the event's market.
"""

from __future__ import annotations

from decimal import Decimal

from engine_service.exchange_sim.binance_wire.ws_text import MILLISECOND, TimeUnit, levels, number, plain
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.events import (
    AggTradeEvent,
    BookTickerEvent,
    DepthEvent,
    KlineEvent,
    MarkPriceEvent,
    TickerEvent,
    TradeEvent,
)
from engine_service.exchange_sim.public_data import Depth

Payload = dict[str, object]


def trade(event: TradeEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """`<symbol>@trade`."""
    market, item = event.key.market, event.trade
    payload: Payload = {
        "e": "trade",
        "E": event.at_ms * unit,
        "s": event.key.symbol,
        "t": item.trade_id,
        "p": number(market, item.price),
        "q": number(market, item.quantity),
        "T": item.at_ms * unit,
        "m": item.is_buyer_maker,
    }
    payload.update({"M": True} if market is Market.SPOT else {"X": "MARKET"})
    return payload


def agg_trade(event: AggTradeEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """`<symbol>@aggTrade`."""
    market, item = event.key.market, event.trade
    payload: Payload = {
        "e": "aggTrade",
        "E": event.at_ms * unit,
        "s": event.key.symbol,
        "a": item.agg_id,
        "p": number(market, item.price),
        "q": number(market, item.quantity),
        "f": item.first_trade_id,
        "l": item.last_trade_id,
        "T": item.at_ms * unit,
        "m": item.is_buyer_maker,
    }
    if market is Market.SPOT:
        payload["M"] = True
    return payload


def kline(event: KlineEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """`<symbol>@kline_<interval>`."""
    inner = {"s": event.key.symbol, **_candle(event, unit)}
    return {"e": "kline", "E": event.at_ms * unit, "s": event.key.symbol, "k": inner}


def continuous_kline(event: KlineEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """USD-M `<pair>_perpetual@continuousKline_<interval>`."""
    return {
        "e": "continuous_kline",
        "E": event.at_ms * unit,
        "ps": event.key.symbol,
        "ct": "PERPETUAL",
        "k": _candle(event, unit),
    }


def _candle(event: KlineEvent, unit: TimeUnit) -> Payload:
    market, bar = event.key.market, event.bar
    return {
        "t": bar.open_ms * unit,
        "T": (bar.close_ms + 1) * unit - 1,
        "i": event.key.interval,
        "f": bar.first_trade_id,
        "L": bar.last_trade_id,
        "o": number(market, bar.open),
        "c": number(market, bar.close),
        "h": number(market, bar.high),
        "l": number(market, bar.low),
        "v": number(market, bar.volume),
        "n": bar.trades,
        "x": event.closed,
        "q": number(market, bar.quote_volume),
        "V": number(market, bar.taker_volume),
        "Q": number(market, bar.taker_quote_volume),
        "B": "0",
    }


def mini_ticker(event: TickerEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """`<symbol>@miniTicker` and the elements of `!miniTicker@arr`."""
    market, ticker = event.key.market, event.ticker
    return {
        "e": "24hrMiniTicker",
        "E": event.at_ms * unit,
        "s": event.key.symbol,
        "c": number(market, ticker.last),
        "o": number(market, ticker.open),
        "h": number(market, ticker.high),
        "l": number(market, ticker.low),
        "v": number(market, ticker.volume),
        "q": number(market, ticker.quote_volume),
    }


def ticker_24h(event: TickerEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """`<symbol>@ticker` and the elements of `!ticker@arr`. Only spot carries the top of the book in it."""
    market, ticker = event.key.market, event.ticker
    payload: Payload = {
        "e": "24hrTicker",
        "E": event.at_ms * unit,
        "s": event.key.symbol,
        "p": number(market, ticker.last - ticker.open),
        "P": _change_percent(ticker.open, ticker.last),
        "w": number(market, ticker.weighted_average),
        "c": number(market, ticker.last),
        "Q": number(market, ticker.last_quantity),
        "o": number(market, ticker.open),
        "h": number(market, ticker.high),
        "l": number(market, ticker.low),
        "v": number(market, ticker.volume),
        "q": number(market, ticker.quote_volume),
        "O": ticker.open_ms * unit,
        "C": ticker.close_ms * unit,
        "F": ticker.first_trade_id,
        "L": ticker.last_trade_id,
        "n": ticker.trades,
    }
    if market is Market.SPOT:
        payload["x"] = number(market, ticker.previous_close)
        payload.update(_top(event.top.bid_price, event.top.bid_quantity, event.top.ask_price, event.top.ask_quantity))
    return payload


def _change_percent(first: Decimal, last: Decimal) -> str:
    return format((last - first) / first * 100 if first else Decimal(0), ".3f")


def _top(bid: Decimal, bid_quantity: Decimal, ask: Decimal, ask_quantity: Decimal, futures: bool = False) -> Payload:
    market = Market.FUTURES if futures else Market.SPOT
    return {
        "b": number(market, bid),
        "B": number(market, bid_quantity),
        "a": number(market, ask),
        "A": number(market, ask_quantity),
    }


def book_ticker(event: BookTickerEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """`<symbol>@bookTicker`. Spot sends neither an event type nor a time."""
    top, futures = event.top, event.key.market is Market.FUTURES
    payload: Payload = {"u": top.update_id, "s": event.key.symbol}
    payload |= _top(top.bid_price, top.bid_quantity, top.ask_price, top.ask_quantity, futures)
    if futures:
        payload |= {"e": "bookTicker", "E": event.at_ms * unit, "T": top.at_ms * unit}
    return payload


def depth_update(event: DepthEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """`<symbol>@depth[@speed]`: the diff. USD-M adds the transaction time and the previous event's last id."""
    market = event.key.market
    payload: Payload = {
        "e": "depthUpdate",
        "E": event.at_ms * unit,
        "s": event.key.symbol,
        "U": event.first_update_id,
        "u": event.last_update_id,
        "b": levels(market, event.bids),
        "a": levels(market, event.asks),
    }
    if market is Market.FUTURES:
        payload |= {"T": event.at_ms * unit, "pu": event.previous_update_id}
    return payload


def partial_depth(market: Market, symbol: str, depth: Depth, unit: TimeUnit = MILLISECOND) -> Payload:
    """`<symbol>@depth<levels>[@speed]`: the top of the book. USD-M sends it in the shape of a diff."""
    bids, asks = levels(market, depth.bids), levels(market, depth.asks)
    if market is Market.SPOT:
        return {"lastUpdateId": depth.last_update_id, "bids": bids, "asks": asks}
    return {
        "e": "depthUpdate",
        "E": depth.at_ms * unit,
        "T": depth.at_ms * unit,
        "s": symbol,
        "U": depth.last_update_id,
        "u": depth.last_update_id,
        "pu": depth.last_update_id - 1,
        "b": bids,
        "a": asks,
    }


def average_price(symbol: str, price: Decimal, at_ms: int, unit: TimeUnit = MILLISECOND) -> Payload:
    """Spot `<symbol>@avgPrice` over five minutes."""
    return {
        "e": "avgPrice",
        "E": at_ms * unit,
        "s": symbol,
        "i": "5m",
        "w": number(Market.SPOT, price),
        "T": at_ms * unit,
    }


def mark_price(event: MarkPriceEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """USD-M `<symbol>@markPrice[@1s]` and the elements of `!markPrice@arr`."""
    mark = event.mark
    return {
        "e": "markPriceUpdate",
        "E": event.at_ms * unit,
        "s": mark.symbol,
        "p": plain(mark.mark),
        "ap": plain(mark.mark),
        "P": plain(mark.settle),
        "i": plain(mark.index),
        "r": format(mark.funding_rate, ".8f"),
        "T": mark.next_funding_ms * unit,
    }


def server_shutdown(at_ms: int, unit: TimeUnit = MILLISECOND) -> Payload:
    """Sent before the exchange closes its streams."""
    return {"e": "serverShutdown", "E": at_ms * unit}
