"""Committed events, handed on: to handlers in the engine, and to streaming clients with a bounded buffer each.

A handler that raises is isolated and counted; a client that reads too slowly is dropped with a reason. Neither ever
holds up the journal, the engine or another subscriber.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from engine_service.domain.events import Event
from engine_service.storage.port import Recorded

Handler = Callable[[Recorded], None]
BatchHandler = Callable[[Sequence[Recorded]], None]
STREAM_BUFFER = 1_000

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class StreamClient:
    """One reader of the event stream. ``dropped`` says why it was cut off; it may resume from its last sequence."""

    name: str
    queue: asyncio.Queue[Recorded | None] = field(default_factory=lambda: asyncio.Queue(STREAM_BUFFER))
    dropped: str = ""


class EventBus:
    """The one place where committed events fan out, on the engine's own loop."""

    def __init__(self, on_failure: Callable[[str], None], on_drop: Callable[[str], None]) -> None:
        """``on_failure`` and ``on_drop`` hear the subscriber's name, for the metrics."""
        self._on_failure = on_failure
        self._on_drop = on_drop
        self._handlers: dict[str, tuple[Handler, tuple[type[Event], ...]]] = {}
        self._batch_handlers: dict[str, BatchHandler] = {}
        self._by_kind: dict[type[Event], list[tuple[str, Handler]]] = {}
        self._clients: set[StreamClient] = set()

    def subscribe(self, name: str, handler: Handler, *, kinds: tuple[type[Event], ...] = (Event,)) -> None:
        """Call ``handler`` with every committed event of these kinds, in order.

        Raises:
            ValueError: the name is taken.
        """
        self._refuse_taken(name)
        self._handlers[name] = (handler, kinds)
        self._by_kind.clear()

    def subscribe_to_batches(self, name: str, handler: BatchHandler) -> None:
        """Call ``handler`` with all that was committed together, after everyone heard of each event.

        Raises:
            ValueError: the name is taken.
        """
        self._refuse_taken(name)
        self._batch_handlers[name] = handler

    def publish(self, recorded: Recorded) -> None:
        """Hand one committed event to everyone who wants it by itself."""
        concerned = self._by_kind.get(type(recorded.event))
        if concerned is None:
            concerned = self._concerned(type(recorded.event))
        for name, handler in concerned:
            try:
                handler(recorded)
            except Exception:  # noqa: BLE001  # one subscriber's defect must not reach the journal or its neighbours
                _log.exception("subscriber failed", subscriber=name, kind=recorded.kind, seq=recorded.seq)
                self._on_failure(name)
        if self._clients:
            for client in tuple(self._clients):
                self._offer(client, recorded)

    def publish_batch(self, batch: Sequence[Recorded]) -> None:
        """Hand what was committed together to everyone who wants it as one."""
        for name, handler in self._batch_handlers.items():
            try:
                handler(batch)
            except Exception:  # noqa: BLE001  # as above
                _log.exception("subscriber failed", subscriber=name, seq=batch[-1].seq)
                self._on_failure(name)

    def _concerned(self, kind: type[Event]) -> list[tuple[str, Handler]]:
        found = [(name, handler) for name, (handler, kinds) in self._handlers.items() if issubclass(kind, kinds)]
        self._by_kind[kind] = found
        return found

    def _refuse_taken(self, name: str) -> None:
        if name in self._handlers or name in self._batch_handlers:
            raise ValueError(f"the subscriber {name} exists")

    def connect(self, name: str) -> StreamClient:
        """Return a new streaming client; from now on its queue receives every event."""
        client = StreamClient(name)
        self._clients.add(client)
        return client

    def disconnect(self, client: StreamClient) -> None:
        """Forget a client."""
        self._clients.discard(client)

    def close(self) -> None:
        """End every client's stream."""
        for client in tuple(self._clients):
            self.drop(client, "the engine is stopping")

    @property
    def client_count(self) -> int:
        """How many clients stream now."""
        return len(self._clients)

    def _offer(self, client: StreamClient, recorded: Recorded) -> None:
        try:
            client.queue.put_nowait(recorded)
        except asyncio.QueueFull:
            self._on_drop(client.name)
            self.drop(client, "too slow; resume from the last event id")

    def drop(self, client: StreamClient, reason: str) -> None:
        """End a client's stream with a reason."""
        client.dropped = reason
        self._clients.discard(client)
        if client.queue.full():
            client.queue.get_nowait()
        client.queue.put_nowait(None)
