"""Who listens to which market stream, and the exchange watched for exactly those."""

from __future__ import annotations

from typing import get_args

from engine_service.exchange_sim.binance_wire.ws_stream_names import CHANNELS, StreamSpec
from engine_service.exchange_sim.binance_wire.ws_topics import StreamClient, Topic, make_topic
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.events import AccountEvent, MarketEvent, StreamKey
from engine_service.exchange_sim.exchange import Exchange


class MarketHub:
    """All topics with at least one subscriber."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._topics: dict[tuple[Market, str], Topic] = {}
        self._by_key: dict[StreamKey, list[Topic]] = {}
        exchange.subscribe(self.on_event, *get_args(MarketEvent))

    def on_event(self, event: MarketEvent | AccountEvent) -> None:
        """Hand a market event to the topics of its key; account events belong to the user streams."""
        if isinstance(event, MarketEvent):
            for topic in self._by_key.get(event.key, ()):
                topic.feed(event)

    def subscribe(self, client: StreamClient, spec: StreamSpec) -> None:
        """Deliver a stream to a client. A symbol that is not listed is accepted and stays silent."""
        topic = self._topics.get((spec.market, spec.name)) or self._open(spec)
        if topic is not None:
            topic.clients[client] = None

    def unsubscribe(self, client: StreamClient, spec: StreamSpec) -> None:
        """Stop delivering a stream to a client."""
        topic = self._topics.get((spec.market, spec.name))
        if topic is None or client not in topic.clients:
            return
        del topic.clients[client]
        if not topic.clients:
            self._close(topic)

    def _open(self, spec: StreamSpec) -> Topic | None:
        keys = self._keys(spec)
        if not keys:
            return None
        topic = make_topic(spec, self._exchange)
        self._topics[spec.market, spec.name] = topic
        for key in keys:
            self._by_key.setdefault(key, []).append(topic)
            self._exchange.watch(key)
        return topic

    def _close(self, topic: Topic) -> None:
        topic.stop()
        del self._topics[topic.spec.market, topic.spec.name]
        for key in self._keys(topic.spec):
            self._by_key[key].remove(topic)
            if not self._by_key[key]:
                del self._by_key[key]
            self._exchange.unwatch(key)

    def _keys(self, spec: StreamSpec) -> list[StreamKey]:
        channel = CHANNELS[spec.kind]
        if not spec.symbol:
            listed = self._exchange.market_data.specs(spec.market)
            return [StreamKey(channel, spec.market, item.symbol, spec.interval) for item in listed]
        try:
            self._exchange.market_data.spec(spec.market, spec.symbol)
        except ExchangeError:
            return []
        return [StreamKey(channel, spec.market, spec.symbol, spec.interval)]
