"""The public side of a Binance market, without keys: instruments, bars, and the market streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine_service.domain.ids import Market, local_symbol
from engine_service.domain.instrument import Instrument
from engine_service.venues.binance import parse_market
from engine_service.venues.binance.parse import ParseError, mapping
from engine_service.venues.binance.rest import MAX_BULK_BYTES
from engine_service.venues.binance.session import BinanceSession, Call, unreadable
from engine_service.venues.binance.sign import Scalar
from engine_service.venues.binance.socket import ReconnectingSocket, dial
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import BarReport, BookReport, MarketEvent, ReadFailed, StreamStatus

_STREAMS_PER_SOCKET = 100
_QUEUE_EVENTS = 20_000
_SILENCE_S = 30.0
_PATHS = {
    Market.SPOT: ("/api/v3/exchangeInfo", 20, "/api/v3/klines"),
    Market.FUTURES: ("/fapi/v1/exchangeInfo", 1, "/fapi/v1/klines"),
}
_DEPTH = {Market.SPOT: Call("GET", "/api/v3/depth", 5), Market.FUTURES: Call("GET", "/fapi/v1/depth", 5)}
_MAX_DEPTH = 100
MAX_BARS = {Market.SPOT: 1000, Market.FUTURES: 1500}
Reader = Callable[[Any], MarketEvent | None]


@dataclass(frozen=True, slots=True)
class Link:
    """One socket: the name of its stream, as metrics show it, and its address."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None


def klines_weight(market: Market, limit: int) -> int:
    """Return the documented weight of a kline request for ``limit`` bars."""
    if market is Market.SPOT:
        return 2
    return next(weight for bound, weight in ((99, 1), (499, 2), (1000, 5), (1500, 10)) if limit <= bound)


class BinancePublic:
    """Public data of one market, over the session's budget."""

    def __init__(self, session: BinanceSession, *, silence_s: float = _SILENCE_S) -> None:
        self._session = session
        self._silence_s = silence_s
        self._sockets: list[ReconnectingSocket] = []

    async def close(self) -> None:
        for socket in self._sockets:
            await socket.close()
        self._sockets.clear()

    async def instruments(self) -> Sequence[Instrument]:
        """Return the trading rules of every instrument and take over the venue's own limits.

        Raises:
            VenueUnavailable: no usable answer came.
        """
        path, weight, _ = _PATHS[self._session.market]
        body = await self._session.public(Call("GET", path, weight, max_bytes=MAX_BULK_BYTES))
        try:
            allowance, orders = parse_market.weight_limits(body)
            found = parse_market.instruments(body, self._session.market)
        except ParseError as error:
            raise unreadable(error) from error
        self._session.budget.weight_per_minute = allowance or self._session.budget.weight_per_minute
        self._session.budget.orders.limits = orders
        return found

    async def order_book(self, symbol: str, levels: int) -> BookReport | ReadFailed:
        """Return the displayed book, up to 100 levels of either side."""
        asked: dict[str, Scalar] = {"symbol": local_symbol(symbol), "limit": min(levels, _MAX_DEPTH)}
        try:
            body = await self._session.public(_DEPTH[self._session.market], asked)
            return parse_market.book(mapping(body), symbol, self._session.market)
        except VenueUnavailable as error:
            return ReadFailed(reason=error.code, retry_after_s=error.retry_after_s)
        except ParseError as error:
            return ReadFailed(reason=f"VENUE_ANSWER_UNREADABLE: {error}")

    async def bars(self, symbol: str, interval: str, limit: int) -> Sequence[BarReport]:
        """Return the last ``limit`` closed bars, oldest first.

        Raises:
            VenueUnavailable: no usable answer came.
        """
        market = self._session.market
        length_ms = parse_market.interval_ms(interval)
        end_ms = self._session.clock.now_ms()
        start_ms = end_ms - end_ms % length_ms - limit * length_ms
        found: list[BarReport] = []
        while len(found) < limit:
            page = await self._page(symbol, interval, start_ms, min(MAX_BARS[market], limit - len(found)))
            closed = [bar for bar in page if bar.closed]
            found += closed
            if len(closed) < len(page) or not closed:
                break
            start_ms = closed[-1].close_at_ms
        return found

    async def _page(self, symbol: str, interval: str, start_ms: int, limit: int) -> list[BarReport]:
        market = self._session.market
        call = Call("GET", _PATHS[market][2], klines_weight(market, limit))
        params: dict[str, Scalar] = {
            "symbol": local_symbol(symbol),
            "interval": interval,
            "startTime": start_ms,
            "limit": limit,
        }
        body = await self._session.public(call, params)
        now_ms = self._session.clock.now_ms()
        try:
            rows = [parse_market.bar_row(row) for row in body if isinstance(body, list)]
        except (ParseError, TypeError) as error:
            raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", str(error)) from error
        return [parse_market.bar_report(row, symbol, market, interval, now_ms) for row in rows]

    async def market_events(self, symbols: Sequence[str], interval: str) -> AsyncGenerator[MarketEvent, None]:
        """Yield quotes and bars for ever, reconnecting by itself."""
        names = [local_symbol(symbol).lower() for symbol in symbols]
        books = [f"{name}@bookTicker" for name in names]
        bars = [f"{name}@kline_{interval}" for name in names]
        async for event in self.merged(self.links(books, bars), self.read):
            yield event

    def links(self, books: Sequence[str], others: Sequence[str]) -> list[Link]:
        """Return the sockets that carry these streams: book data has a base of its own where the venue splits them."""
        hosts = self._session.hosts
        if hosts.public_stream == hosts.market_stream:
            return [Link("market", url) for url in stream_urls(hosts.market_stream, [*books, *others])]
        parted = [Link("book", url) for url in stream_urls(hosts.public_stream, books)]
        return parted + [Link("market", url) for url in stream_urls(hosts.market_stream, others)]

    async def merged(self, links: Sequence[Link], read: Callable[[Any], Any]) -> AsyncGenerator[Any, None]:
        """Yield what ``read`` makes of every message of several sockets, in order of arrival.

        The queue is bounded: a slow consumer slows the sockets down instead of filling the memory. An error that
        nobody foresaw ends the stream and shows.
        """
        queue: asyncio.Queue[Any] = asyncio.Queue(_QUEUE_EVENTS)
        tasks = [asyncio.create_task(self._pump(link, read, queue)) for link in links]
        for task in tasks:
            task.add_done_callback(lambda ended: _tell_end(ended, queue))
        try:
            while True:
                event = await queue.get()
                if isinstance(event, _Ended):
                    if event.error is not None:
                        raise event.error
                    return
                yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, link: Link, read: Callable[[Any], Any], queue: asyncio.Queue[Any]) -> None:
        socket = ReconnectingSocket(link.name, lambda: dial(link.url), silence_s=self._silence_s)
        self._sockets.append(socket)
        try:
            async with contextlib.aclosing(socket.messages()) as messages:
                async for message in messages:
                    event = message if isinstance(message, StreamStatus) else read(message)
                    if event is not None:
                        await queue.put(event)
        finally:
            self._sockets.remove(socket)

    def read(self, message: Any) -> MarketEvent | None:
        """Read one message of a combined stream; what cannot be read is left out, the stream goes on."""
        try:
            payload = mapping(mapping(message).get("data"))
            if payload.get("e") == "kline":
                return parse_market.stream_bar(payload, self._session.market)
            if "b" in payload and "B" in payload:
                return parse_market.quote(payload, self._session.market, self._session.local_clock.monotonic_s())
        except ParseError:
            return None
        return None


def stream_urls(base: str, streams: Sequence[str]) -> list[str]:
    """Return the combined stream addresses for ``streams``, a bounded number on each socket."""
    size = _STREAMS_PER_SOCKET
    chunks = (streams[at : at + size] for at in range(0, len(streams), size))
    return [f"{base}/stream?streams={'/'.join(chunk)}" for chunk in chunks]


def _tell_end(task: asyncio.Task[None], queue: asyncio.Queue[Any]) -> None:
    """Tell the consumer that a socket's task ended: closed on purpose, or by an error that must show."""
    if task.cancelled():
        return
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(_Ended(task.exception()))
