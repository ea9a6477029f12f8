"""What one socket wants to hear, and how it is told: past events from the journal, then live ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket

from engine_service.api.body import NumberText
from engine_service.api.missed_events import BEYOND_THE_END, event_number, missed_events
from engine_service.api.views import event_view
from engine_service.runtime.engine import Engine
from engine_service.storage.codec import KINDS
from engine_service.storage.port import Recorded

SERVICE_RESTART, TRY_AGAIN_LATER = 1012, 1013
CHANNEL: Final = "events"


@dataclass(slots=True)
class Subscription:
    """``after`` is the last sequence number that was told; ``kinds`` narrows what is told (empty: everything).

    ``changed`` tells that a new wish starts from another place.
    """

    after: int
    kinds: frozenset[str] = frozenset()
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self, message: Mapping[str, Any] | None, account: str, newest: int) -> dict[str, Any]:
        """Do what a message asks, and return the answer to it; ``newest`` is the journal's last number."""
        match message:
            case None:
                return _error("JSON_INVALID", "A message is one JSON object.")
            case {"type": "subscribe"}:
                return self._subscribe(message, account, newest)
            case {"type": "ping"}:
                return {"type": "pong"}
            case _:
                return _error("MESSAGE_UNKNOWN", "Known: subscribe, ping. Orders are not taken here.")

    def _subscribe(self, message: Mapping[str, Any], account: str, newest: int) -> dict[str, Any]:
        kinds = message.get("kinds", [])
        named = message.get("channel", CHANNEL), message.get("account", account)
        known = isinstance(kinds, list) and all(isinstance(kind, str) and kind in KINDS for kind in kinds)
        if named != (CHANNEL, account) or not known or set(message) - {"type", "channel", "account", "kinds", "after"}:
            return _error(
                "SUB_UNKNOWN", "There is one channel, events, of this engine's account; kinds are its events'."
            )
        after = message.get("after")
        if after is not None:
            number = event_number(after) if isinstance(after, NumberText) else None
            if number is None:
                return _error("SUB_UNKNOWN", "after is a sequence number.")
            if number > newest:
                return _error("SUB_UNKNOWN", BEYOND_THE_END)
            self.after = number
            self.changed.set()
        self.kinds = frozenset(kinds)
        return {"type": "subscribed", "channel": CHANNEL, "after": self.after}

    def frame(self, recorded: Recorded) -> str | None:
        """Return what is told of an event, and note that it was; ``None`` where nobody asked for it."""
        self.after = recorded.seq
        if self.kinds and recorded.kind not in self.kinds:
            return None
        return orjson.dumps({"type": "event", **event_view(recorded)}).decode()


async def send_events(engine: Engine, socket: WebSocket, subscription: Subscription) -> None:
    """Tell events until the reader is too slow or the engine stops."""
    client = engine.bus.connect("socket")
    try:
        async for page in missed_events(engine, subscription.after):
            await _tell(socket, subscription, page)
        while True:
            recorded = await client.queue.get()
            if recorded is None:
                code = TRY_AGAIN_LATER if client.dropped.startswith("too slow") else SERVICE_RESTART
                await socket.close(code, client.dropped)
                return
            if recorded.seq > subscription.after:
                await _tell(socket, subscription, [recorded])
    finally:
        engine.bus.disconnect(client)


async def _tell(socket: WebSocket, subscription: Subscription, events: list[Recorded]) -> None:
    for recorded in events:
        text = subscription.frame(recorded)
        if text is not None:
            await socket.send_text(text)


def _error(code: str, detail: str) -> dict[str, Any]:
    return {"type": "error", "code": code, "detail": detail}
