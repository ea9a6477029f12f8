"""Order entry over the WebSocket API: one persistent socket, requests matched to answers by id.

A request on a socket costs a fraction of an HTTP exchange. What can be known about a lost one is the same: nothing
left while there was no socket; once a frame was handed to the socket and no answer came, the outcome is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import msgspec
import orjson
from websockets.exceptions import ConnectionClosed

from engine_service.domain.ids import Market
from engine_service.venues.binance.outcomes import Failure, Meaning, failure_of
from engine_service.venues.binance.parse import error_fields
from engine_service.venues.binance.parse_market import limit_window_s
from engine_service.venues.binance.sign import Scalar
from engine_service.venues.binance.socket import ReconnectingSocket, dial
from engine_service.venues.binance.text_socket import TextSocket
from engine_service.venues.reports import StreamStatus

#: A result or what its failure means, and the venue's order counts by window in seconds.
Reply = tuple[Any, dict[int, int]]
_LOST = Failure(Meaning.UNKNOWN, "VENUE_NO_ANSWER", "the socket was lost before the answer")
_LATE = Failure(Meaning.UNKNOWN, "VENUE_NO_ANSWER", "TimeoutError")


class _Awaited(msgspec.Struct):
    """A request on its way; ``until_s`` is on the loop's clock."""

    answer: asyncio.Future[Reply]
    until_s: float

    def settle(self, reply: Reply) -> None:
        """Hand the first word to whoever waits; later ones come too late."""
        if not self.answer.done():
            self.answer.set_result(reply)


class OrderSocket:
    """A socket of the venue's request and response API, reconnecting by itself.

    Args:
        timeout_s: for one answer; the venue itself gives up after 10 s.
    """

    def __init__(self, url: str, market: Market, *, timeout_s: float = 12.0) -> None:
        self._url = url
        self._market = market
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._waiting: dict[str, _Awaited] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._link: TextSocket | None = None
        self._stream = ReconnectingSocket("orders", self._connect)
        self._reader: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """True while a request can be handed to a socket."""
        return self._link is not None

    def start(self) -> None:
        """Begin to connect in the background."""
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Close the socket; whoever still waits learns that the outcome is unknown."""
        await self._stream.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None
        self._forget()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def request(self, method: str, params: dict[str, Scalar]) -> Reply:
        """Send one signed request at most once.

        Returns:
            Its result, or what its failure means; and the order counts that the venue reported with it.
        """
        link = self._link
        if link is None:
            return Failure(Meaning.NOT_DONE, "VENUE_UNREACHABLE", "no socket", not_sent=True), {}
        loop = asyncio.get_running_loop()
        number = str(next(self._numbers))
        awaited = _Awaited(loop.create_future(), loop.time() + self._timeout_s)
        self._waiting[number] = awaited
        if self._sweep is None:
            self._sweep = loop.call_at(awaited.until_s, self._give_up)
        try:
            await link.writable()
            # An order that was held up for so long that nobody waits for it any more must not go out behind our back.
            if not awaited.answer.done():
                link.send_text(orjson.dumps({"id": number, "method": method, "params": params}))
            return await awaited.answer
        except ConnectionClosed as error:
            return Failure(Meaning.UNKNOWN, "VENUE_NO_ANSWER", type(error).__name__), {}
        finally:
            self._waiting.pop(number, None)

    def _give_up(self) -> None:
        """Answer whoever has waited long enough. One timer for all: who asked first is at the front of the table."""
        loop = asyncio.get_running_loop()
        self._sweep = None
        for awaited in self._waiting.values():
            if awaited.until_s > loop.time():
                self._sweep = loop.call_at(awaited.until_s, self._give_up)
                return
            awaited.settle((_LATE, {}))

    async def _connect(self) -> TextSocket:
        self._link = await dial(self._url)
        return self._link

    async def _read(self) -> None:
        try:
            async with contextlib.aclosing(self._stream.messages()) as messages:
                async for message in messages:
                    if isinstance(message, StreamStatus):
                        if not message.connected:
                            self._forget()
                    elif isinstance(message, dict):
                        self._resolve(message)
        finally:
            # Nobody hears an answer any more, whatever ended this: orders go over REST from here on.
            self._forget()

    def _resolve(self, message: dict[str, Any]) -> None:
        awaited = self._waiting.get(str(message.get("id")))
        if awaited is not None:
            awaited.settle((self._meaning(message), _order_counts(message.get("rateLimits"))))

    def _meaning(self, message: dict[str, Any]) -> Any | Failure:
        told = message.get("status")
        status = told if isinstance(told, int) else 500
        if status == 200 and "result" in message:
            return message["result"]
        error = message.get("error")
        code, text = error_fields(error)
        data = error.get("data") if isinstance(error, dict) else None
        waiting_s = _waiting_s(data) if status in {418, 429} else 0.0
        failure = failure_of(status, code, text, self._market, waiting_s)
        return failure if data is None else failure.with_data(data)

    def _forget(self) -> None:
        self._link = None
        for awaited in self._waiting.values():
            awaited.settle((_LOST, {}))


def _order_counts(value: object) -> dict[int, int]:
    """Return the order counts that an answer reports, by window in seconds."""
    if not isinstance(value, list):
        return {}
    return {
        limit_window_s(row): int(row["count"])
        for row in value
        if isinstance(row, dict) and row.get("rateLimitType") == "ORDERS" and isinstance(row.get("count"), int)
    }


def _waiting_s(data: object) -> float:
    """Return how long a limit lasts: the venue gives its own time and the time to come back, in milliseconds."""
    if not isinstance(data, dict):
        return 60.0
    now_ms, again_ms = data.get("serverTime"), data.get("retryAfter")
    if isinstance(now_ms, int) and isinstance(again_ms, int) and again_ms > now_ms:
        return (again_ms - now_ms) / 1000
    return 60.0
