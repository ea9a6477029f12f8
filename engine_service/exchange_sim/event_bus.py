"""Delivery of events to the stream layer, and which market streams anyone watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.events import AccountEvent, Channel, MarketEvent, StreamKey

Subscriber = Callable[[MarketEvent | AccountEvent], None]


class EventBus:
    """Callbacks and watch counts."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[Subscriber, tuple[type, ...]]] = []
        self._by_kind: dict[type, tuple[Subscriber, ...]] = {}
        self._watched: Counter[StreamKey] = Counter()
        self._intervals: dict[tuple[Market, str], tuple[str, ...]] = {}

    def subscribe(self, callback: Subscriber, *kinds: type) -> None:
        """Deliver every event, or those of certain kinds."""
        self._subscribers.append((callback, kinds))
        self._by_kind.clear()

    def publish(self, event: MarketEvent | AccountEvent) -> None:
        kind = type(event)
        callbacks = self._by_kind.get(kind)
        if callbacks is None:
            callbacks = tuple(call for call, kinds in self._subscribers if not kinds or kind in kinds)
            self._by_kind[kind] = callbacks
        for callback in callbacks:
            callback(event)

    def watch(self, key: StreamKey) -> None:
        self._watched[key] += 1
        self._note_intervals(key)

    def unwatch(self, key: StreamKey) -> None:
        if self._watched[key] <= 1:
            del self._watched[key]
        else:
            self._watched[key] -= 1
        self._note_intervals(key)

    def is_watched(self, key: StreamKey) -> bool:
        return key in self._watched

    def kline_intervals(self, market: Market, symbol: str) -> tuple[str, ...]:
        """Kline intervals watched for a symbol."""
        return self._intervals.get((market, symbol), ())

    def _note_intervals(self, key: StreamKey) -> None:
        if key.channel is not Channel.KLINE:
            return
        place = (key.market, key.symbol)
        found = {k.interval for k in self._watched if k.channel is Channel.KLINE and k[1:3] == place}
        self._intervals[place] = tuple(sorted(found))
