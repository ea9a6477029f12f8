"""From exchange events to stream messages: one topic per stream name, shared by all its subscribers.

A topic is fed every event of its keys and publishes at its own speed: at once, merged over a period (depth), as a
snapshot per period (partial depth), or as an array of the whole market.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from engine_service.exchange_sim.binance_wire import ws_payloads_market as payloads
from engine_service.exchange_sim.binance_wire.ws_stream_names import StreamKind, StreamSpec
from engine_service.exchange_sim.binance_wire.ws_text import TimeUnit
from engine_service.exchange_sim.events import DepthEvent, MarketEvent
from engine_service.exchange_sim.exchange import Exchange
from engine_service.exchange_sim.public_data import Level

_BATCH_WAIT_S = 0.02  # events of one tick arrive together; the array is sent when the tick is over


class StreamClient(Protocol):
    """Who listens: in which time unit, wrapped or raw."""

    unit: TimeUnit
    combined: bool

    def push(self, text: str) -> None: ...


# A stream's kind fixes its channel, and with it the only type of event its builder meets.
_BUILDERS: Mapping[StreamKind, Callable[[Any, TimeUnit], payloads.Payload]] = {
    StreamKind.TRADE: payloads.trade,
    StreamKind.AGG_TRADE: payloads.agg_trade,
    StreamKind.KLINE: payloads.kline,
    StreamKind.CONTINUOUS_KLINE: payloads.continuous_kline,
    StreamKind.MINI_TICKER: payloads.mini_ticker,
    StreamKind.TICKER: payloads.ticker_24h,
    StreamKind.BOOK_TICKER: payloads.book_ticker,
    StreamKind.DEPTH: payloads.depth_update,
    StreamKind.MARK_PRICE: payloads.mark_price,
}


def encode(payload: object) -> str:
    """JSON as the venue sends it, without spaces."""
    try:
        return orjson.dumps(payload).decode()
    except orjson.JSONEncodeError:  # a client's own text with half a surrogate pair, echoed to it
        return json.dumps(payload, separators=(",", ":"))


class Topic:
    """A stream with subscribers; subclasses decide when to publish."""

    def __init__(self, spec: StreamSpec, exchange: Exchange) -> None:
        self.spec = spec
        self._exchange = exchange
        self.clients: dict[StreamClient, None] = {}  # in the order of subscription

    def feed(self, event: MarketEvent) -> None:
        """Take one event of the topic's keys."""
        builder = _BUILDERS[self.spec.kind]
        self.publish(lambda unit: builder(event, unit))

    def publish(self, build: Callable[[TimeUnit], object]) -> None:
        """Send a payload to every subscriber, encoding it once per form in which it is wanted."""
        rendered: dict[tuple[TimeUnit, bool], str] = {}
        for client in list(self.clients):
            form = (client.unit, client.combined)
            if form not in rendered:
                payload = build(client.unit)
                rendered[form] = encode({"stream": self.spec.name, "data": payload} if client.combined else payload)
            client.push(rendered[form])

    def stop(self) -> None:
        """Forget what waits to be sent."""


class PeriodicTopic(Topic):
    """Publishes at most once per period, with what came in meanwhile."""

    def __init__(self, spec: StreamSpec, exchange: Exchange) -> None:
        super().__init__(spec, exchange)
        self._timer: asyncio.TimerHandle | None = None
        self._next_at_s = 0.0

    def _schedule(self, at_least_s: float = 0.0) -> None:
        """Call `_flush` when the period allows it."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(self._next_at_s, loop.time() + at_least_s), self._due)

    def _due(self) -> None:
        self._timer = None
        # A little less than the period: an event stream of the same speed must not fall into every second slot.
        self._next_at_s = asyncio.get_running_loop().time() + self.spec.period_ms * 0.9 / 1000
        self._flush()

    def _flush(self) -> None:
        """Publish; subclasses say what."""

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class DepthTopic(PeriodicTopic):
    """Diffs merged over the period, their update ids joined without a gap."""

    def __init__(self, spec: StreamSpec, exchange: Exchange) -> None:
        super().__init__(spec, exchange)
        self._waiting: list[DepthEvent] = []

    def feed(self, event: MarketEvent) -> None:
        if isinstance(event, DepthEvent):
            self._waiting.append(event)
            self._schedule()

    def _flush(self) -> None:
        merged = merge_depth(self._waiting)
        self._waiting = []
        self.publish(lambda unit: payloads.depth_update(merged, unit))

    def stop(self) -> None:
        super().stop()
        self._waiting = []


class PartialDepthTopic(PeriodicTopic):
    """The best levels of the book, once per period while it moves."""

    def feed(self, event: MarketEvent) -> None:
        self._schedule()

    def _flush(self) -> None:
        spec = self.spec
        depth = self._exchange.market_data.depth(spec.market, spec.symbol, spec.depth_levels)
        self.publish(lambda unit: payloads.partial_depth(spec.market, spec.symbol, depth, unit))


class LatestTopic(PeriodicTopic):
    """The newest event of one symbol, once per period."""

    def __init__(self, spec: StreamSpec, exchange: Exchange) -> None:
        super().__init__(spec, exchange)
        self._latest: MarketEvent | None = None

    def feed(self, event: MarketEvent) -> None:
        self._latest = event
        self._schedule()

    def _flush(self) -> None:
        if self._latest is not None:
            super().feed(self._latest)


class ArrayTopic(PeriodicTopic):
    """The newest event of every symbol that moved, as one array."""

    def __init__(self, spec: StreamSpec, exchange: Exchange) -> None:
        super().__init__(spec, exchange)
        self._latest: dict[str, MarketEvent] = {}

    def feed(self, event: MarketEvent) -> None:
        self._latest[event.key.symbol] = event
        self._schedule(_BATCH_WAIT_S)

    def _flush(self) -> None:
        events = [self._latest[symbol] for symbol in sorted(self._latest)]
        self._latest = {}
        builder = _BUILDERS[self.spec.kind]
        self.publish(lambda unit: [builder(event, unit) for event in events])


class AveragePriceTopic(Topic):
    """The five-minute average price, with each ticker event."""

    def feed(self, event: MarketEvent) -> None:
        symbol = self.spec.symbol
        price = self._exchange.market_data.average_price(symbol)
        self.publish(lambda unit: payloads.average_price(symbol, price, event.at_ms, unit))


def make_topic(spec: StreamSpec, exchange: Exchange) -> Topic:
    """The topic that publishes a stream at its documented speed."""
    if spec.kind is StreamKind.DEPTH:
        return DepthTopic(spec, exchange)
    if spec.kind is StreamKind.PARTIAL_DEPTH:
        return PartialDepthTopic(spec, exchange)
    if spec.kind is StreamKind.AVERAGE_PRICE:
        return AveragePriceTopic(spec, exchange)
    if not spec.period_ms:
        return Topic(spec, exchange)
    return LatestTopic(spec, exchange) if spec.symbol else ArrayTopic(spec, exchange)


def merge_depth(events: list[DepthEvent]) -> DepthEvent:
    """Join consecutive diffs into one: the last quantity of each price, the first and last update id.

    Raises:
        IndexError: `events` is empty.
    """
    first, last = events[0], events[-1]
    return DepthEvent(
        key=last.key,
        first_update_id=first.first_update_id,
        last_update_id=last.last_update_id,
        previous_update_id=first.previous_update_id,
        bids=_merge_side([event.bids for event in events], best_first=-1),
        asks=_merge_side([event.asks for event in events], best_first=1),
        at_ms=last.at_ms,
    )


def _merge_side(sides: list[tuple[Level, ...]], best_first: int) -> tuple[Level, ...]:
    newest = {level.price: level for side in sides for level in side}
    return tuple(newest[price] for price in sorted(newest, key=lambda price: price * best_first))
