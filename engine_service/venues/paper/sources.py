"""Where a paper venue gets its market from: a live venue's public streams, or prices set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from msgspec import Struct

from engine_service.domain.clock import Clock, ManualClock, SystemClock
from engine_service.domain.ids import Market, local_symbol
from engine_service.domain.instrument import Instrument
from engine_service.venues.binance.parse import ParseError, at_ms, decimal, mapping, symbol_key
from engine_service.venues.binance.public import BinancePublic
from engine_service.venues.binance.session import BinanceSession
from engine_service.venues.paper.fill_model import UNLIMITED, Book, Level, PriceBar
from engine_service.venues.reports import BarReport, MarketEvent, Quote


class BookUpdate(Struct, frozen=True, gc=False):
    """The displayed book of a symbol, whole."""

    symbol: str
    book: Book


class Print(Struct, frozen=True, gc=False):
    """One public trade."""

    symbol: str
    traded: Level
    at_ms: int


class BarTick(Struct, frozen=True, gc=False):
    """A recorded bar that moves the market, before it is told as a closed bar."""

    symbol: str
    bar: PriceBar
    at_ms: int


SourceEvent = MarketEvent | BookUpdate | Print | BarTick


_STANDING_S = 0.5


class PaperSource(Protocol):
    """Market data for a paper venue."""

    @property
    def market(self) -> Market: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def now_ms(self) -> int:
        """Return the source's time in epoch milliseconds."""

    async def instruments(self) -> Sequence[Instrument]: ...

    async def bars(self, symbol: str, interval: str, limit: int) -> Sequence[BarReport]: ...

    def events(self, symbols: Sequence[str], interval: str) -> AsyncGenerator[SourceEvent, None]:
        """Yield quotes, bars, books and public trades for ever."""


class BinanceSource:
    """The public side of a Binance market: twenty levels of depth, every trade, quotes and bars."""

    def __init__(self, session: BinanceSession, *, silence_s: float = 30.0) -> None:
        self._session = session
        self._public = BinancePublic(session, silence_s=silence_s)

    @property
    def market(self) -> Market:
        return self._session.market

    async def open(self) -> None:
        await self._session.synchronise()

    async def close(self) -> None:
        await self._public.close()
        await self._session.close()

    def now_ms(self) -> int:
        return self._session.clock.now_ms()

    async def instruments(self) -> Sequence[Instrument]:
        return await self._public.instruments()

    async def bars(self, symbol: str, interval: str, limit: int) -> Sequence[BarReport]:
        return await self._public.bars(symbol, interval, limit)

    async def events(self, symbols: Sequence[str], interval: str) -> AsyncGenerator[SourceEvent, None]:
        names = [local_symbol(symbol).lower() for symbol in symbols]
        trades = "trade" if self.market is Market.SPOT else "aggTrade"
        books = [f"{name}@depth20@100ms" for name in names]
        rest = [f"{name}@{kind}" for name in names for kind in (trades, f"kline_{interval}")]
        async for event in self._public.merged(self._public.links(books, rest), self._read):
            yield event

    def _read(self, message: Any) -> SourceEvent | None:
        try:
            wrapped = mapping(message)
            payload = mapping(wrapped.get("data"))
            if payload.get("e") in {"trade", "aggTrade"}:
                traded = Level(decimal(payload, "p"), decimal(payload, "q"))
                return Print(symbol_key(payload, "s"), traded, at_ms(payload, "T", "E"))
            if "bids" in payload or payload.get("e") == "depthUpdate":
                return self._book(str(wrapped.get("stream")), payload)
        except ParseError:
            return None
        return self._public.read(message)

    def _book(self, stream: str, payload: Mapping[str, Any]) -> BookUpdate:
        symbol = symbol_key({"symbol": stream.partition("@")[0].upper()})
        bids = _levels(payload.get("bids", payload.get("b")))
        asks = _levels(payload.get("asks", payload.get("a")))
        return BookUpdate(symbol, Book(bids, asks, self.now_ms()))


class FixedSource:
    """Prices that stand still until they are set: for trials, benches and tests."""

    def __init__(
        self, instruments: Sequence[Instrument], prices: Mapping[str, Decimal], *, clock: Clock | None = None
    ) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._prices = dict(prices)
        self._clock: Clock = clock or SystemClock()
        self._queue: asyncio.Queue[SourceEvent] = asyncio.Queue(100_000)

    @property
    def market(self) -> Market:
        return next(iter(self._instruments.values())).market

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def now_ms(self) -> int:
        return self._clock.now_ms()

    async def instruments(self) -> Sequence[Instrument]:
        return tuple(self._instruments.values())

    async def bars(self, symbol: str, interval: str, limit: int) -> Sequence[BarReport]:
        return ()

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Move the market: one tick of spread, deep on both sides."""
        self._prices[symbol] = price
        self.push(self._standing(symbol))

    def push(self, event: SourceEvent) -> None:
        """Hand any market event to the venue."""
        self._queue.put_nowait(event)

    async def events(self, symbols: Sequence[str], interval: str) -> AsyncGenerator[SourceEvent, None]:
        for symbol in self._prices:
            yield self._standing(symbol)
        while True:
            try:
                async with asyncio.timeout(_STANDING_S):
                    event = await self._queue.get()
            except TimeoutError:
                # A market that stands still is still there: unless told so now and then, its marks would go stale.
                for symbol in self._prices:
                    yield self._standing(symbol)
            else:
                yield event

    def _standing(self, symbol: str) -> BookUpdate:
        price, tick = self._prices[symbol], self._instruments[symbol].tick
        book = Book((Level(price, UNLIMITED),), (Level(price + tick, UNLIMITED),), self.now_ms())
        return BookUpdate(symbol, book)


class BarsSource:
    """Recorded bars, one after the other: each moves the market, then is told as closed.

    The time is that of the bar just told, so a paper venue on this source lives in the recording; a ``clock`` that is
    given is moved along, for an engine that lives there too.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        bars: Sequence[BarReport],
        *,
        market: Market = Market.SPOT,
        clock: ManualClock | None = None,
    ) -> None:
        self._instruments = tuple(instruments)
        self._bars = sorted(bars, key=lambda bar: (bar.close_at_ms, bar.symbol))
        self._market = market
        self._clock = clock or ManualClock(self._bars[0].open_at_ms if self._bars else 0)

    @property
    def market(self) -> Market:
        return self._market

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def now_ms(self) -> int:
        return self._clock.now_ms()

    async def instruments(self) -> Sequence[Instrument]:
        return self._instruments

    async def bars(self, symbol: str, interval: str, limit: int) -> Sequence[BarReport]:
        told = [bar for bar in self._bars if bar.symbol == symbol and bar.close_at_ms <= self.now_ms()]
        return told[-limit:]

    async def events(self, symbols: Sequence[str], interval: str) -> AsyncGenerator[SourceEvent, None]:
        wanted = set(symbols)
        for bar in self._bars:
            if bar.symbol in wanted:
                self._clock.set_ms(bar.close_at_ms)
                yield BarTick(bar.symbol, exact(bar), bar.close_at_ms)
                yield bar


def exact(bar: BarReport) -> PriceBar:
    """Return a bar's prices as the exact decimals they were written as."""
    o, h, low, c, v = (Decimal(repr(value)) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume))
    return PriceBar(o, h, low, c, v)


def quote_of(symbol: str, book: Book, market: Market, received_at_s: float) -> Quote | None:
    """Return the best of a displayed book as a quote; ``None`` where a side is empty."""
    if not book.bids or not book.asks:
        return None
    bid, ask = book.bids[0], book.asks[0]
    return Quote(
        symbol=symbol,
        market=market,
        bid=bid.price,
        ask=ask.price,
        bid_quantity=bid.quantity,
        ask_quantity=ask.quantity,
        received_at_s=received_at_s,
    )


def _levels(value: object) -> tuple[Level, ...]:
    if not isinstance(value, list):
        raise ParseError("a list of levels was expected")
    return tuple(Level(decimal({"p": row[0]}, "p"), decimal({"q": row[1]}, "q")) for row in value)
