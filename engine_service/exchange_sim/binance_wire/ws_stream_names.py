"""Names of market streams: what `btcusdt@kline_1m` asks for, and on which base it is delivered.

USD-M serves its streams on two bases: book data on `/public`, everything else on `/market`. A name subscribed on
the wrong base is acknowledged and stays silent, as on the venue; so does a name that nobody knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.events import Channel


class StreamKind(StrEnum):
    """How a stream is made from the exchange's events."""

    TRADE = "trade"
    AGG_TRADE = "aggTrade"
    KLINE = "kline"
    CONTINUOUS_KLINE = "continuousKline"
    MINI_TICKER = "miniTicker"
    TICKER = "ticker"
    BOOK_TICKER = "bookTicker"
    DEPTH = "depth"
    PARTIAL_DEPTH = "partialDepth"
    AVERAGE_PRICE = "avgPrice"
    MARK_PRICE = "markPrice"


class Base(StrEnum):
    """Where a connection came in."""

    SPOT = "spot"
    PUBLIC = "public"
    MARKET = "market"
    PRIVATE = "private"

    @property
    def market(self) -> Market:
        return Market.SPOT if self is Base.SPOT else Market.FUTURES


CHANNELS = {
    StreamKind.TRADE: Channel.TRADE,
    StreamKind.AGG_TRADE: Channel.AGG_TRADE,
    StreamKind.KLINE: Channel.KLINE,
    StreamKind.CONTINUOUS_KLINE: Channel.KLINE,
    StreamKind.MINI_TICKER: Channel.TICKER,
    StreamKind.TICKER: Channel.TICKER,
    StreamKind.AVERAGE_PRICE: Channel.TICKER,
    StreamKind.BOOK_TICKER: Channel.BOOK_TICKER,
    StreamKind.DEPTH: Channel.DEPTH,
    StreamKind.PARTIAL_DEPTH: Channel.DEPTH,
    StreamKind.MARK_PRICE: Channel.MARK_PRICE,
}

_COMMON_INTERVALS = frozenset(
    ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
)
_INTERVALS = {Market.SPOT: _COMMON_INTERVALS | {"1s"}, Market.FUTURES: _COMMON_INTERVALS}
_DEPTH_SPEEDS_MS = {
    Market.SPOT: {"": 1000, "1000ms": 1000, "100ms": 100},
    Market.FUTURES: {"": 250, "500ms": 500, "250ms": 250, "100ms": 100},
}
_DEPTH = re.compile(r"depth(?P<levels>5|10|20)?(?:@(?P<speed>\d+ms))?")
_PLAIN = {
    "trade": StreamKind.TRADE,
    "aggTrade": StreamKind.AGG_TRADE,
    "miniTicker": StreamKind.MINI_TICKER,
    "ticker": StreamKind.TICKER,
    "bookTicker": StreamKind.BOOK_TICKER,
}
_WHOLE_MARKET = {
    "!miniTicker@arr": StreamKind.MINI_TICKER,
    "!ticker@arr": StreamKind.TICKER,
}
_PUBLIC_KINDS = frozenset({StreamKind.TRADE, StreamKind.BOOK_TICKER, StreamKind.DEPTH, StreamKind.PARTIAL_DEPTH})


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream. `symbol` is empty for a stream of the whole market; `period_ms` 0 sends each event."""

    name: str
    market: Market
    kind: StreamKind
    symbol: str = ""
    interval: str = ""
    depth_levels: int = 0
    period_ms: int = 0

    @property
    def base(self) -> Base:
        """The only base that delivers it."""
        if self.market is Market.SPOT:
            return Base.SPOT
        return Base.PUBLIC if self.kind in _PUBLIC_KINDS else Base.MARKET


def parse_stream(market: Market, name: str) -> StreamSpec | None:
    """Read a stream name (symbols lower case, the rest case-sensitive); None for one that is never delivered."""
    if name.startswith("!"):
        return _whole_market(market, name)
    symbol, _, rest = name.partition("@")
    if not rest or symbol != symbol.lower():
        return None
    if symbol.endswith("_perpetual") and market is Market.FUTURES:
        return _continuous(name, symbol.removesuffix("_perpetual").upper(), rest)
    return _of_symbol(market, name, symbol.upper(), rest)


def _whole_market(market: Market, name: str) -> StreamSpec | None:
    if name in _WHOLE_MARKET:
        return StreamSpec(name, market, _WHOLE_MARKET[name], period_ms=1000)
    if market is Market.SPOT:
        return None
    if name == "!bookTicker":
        return StreamSpec(name, market, StreamKind.BOOK_TICKER)
    if name in ("!markPrice@arr", "!markPrice@arr@1s"):
        return StreamSpec(name, market, StreamKind.MARK_PRICE, period_ms=_mark_period_ms(name))
    return None


def _mark_period_ms(name: str) -> int:
    return 1000 if name.endswith("@1s") else 3000


def _continuous(name: str, symbol: str, rest: str) -> StreamSpec | None:
    interval = rest.removeprefix("continuousKline_")
    if rest == interval or interval not in _INTERVALS[Market.FUTURES]:
        return None
    return StreamSpec(name, Market.FUTURES, StreamKind.CONTINUOUS_KLINE, symbol, interval)


def _of_symbol(market: Market, name: str, symbol: str, rest: str) -> StreamSpec | None:
    if rest in _PLAIN:
        return StreamSpec(name, market, _PLAIN[rest], symbol)
    if rest.startswith("kline_"):
        interval = rest.removeprefix("kline_")
        known = interval in _INTERVALS[market]
        return StreamSpec(name, market, StreamKind.KLINE, symbol, interval) if known else None
    if rest.startswith("depth"):
        return _depth(market, name, symbol, rest)
    if rest == "avgPrice" and market is Market.SPOT:
        return StreamSpec(name, market, StreamKind.AVERAGE_PRICE, symbol)
    if rest in ("markPrice", "markPrice@1s") and market is Market.FUTURES:
        return StreamSpec(name, market, StreamKind.MARK_PRICE, symbol, period_ms=_mark_period_ms(name))
    return None


def _depth(market: Market, name: str, symbol: str, rest: str) -> StreamSpec | None:
    match = _DEPTH.fullmatch(rest)
    if match is None:
        return None
    period_ms = _DEPTH_SPEEDS_MS[market].get(match["speed"] or "")
    if period_ms is None:
        return None
    count = int(match["levels"] or 0)
    kind = StreamKind.PARTIAL_DEPTH if count else StreamKind.DEPTH
    return StreamSpec(name, market, kind, symbol, depth_levels=count, period_ms=period_ms)
