"""A WebSocket that comes back: backoff with jitter, silence watched, renewed before the venue's 24 h limit."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any

import orjson
import structlog
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, WebSocketException

from engine_service.venues.binance.text_socket import TextSocket
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import StreamStatus

MAX_FRAME_BYTES = 8_000_000
LIFETIME_S = 23.5 * 3600
_STEADY_S = 10.0
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 30.0
_log = structlog.get_logger(__name__)


class StreamRefused(Exception):
    """The venue answered and did not grant the stream."""


CONNECT_ERRORS = (OSError, TimeoutError, WebSocketException, StreamRefused, VenueUnavailable)


async def dial(url: str) -> TextSocket:
    """Open one WebSocket: no proxy, no compression, frames bounded, pings every 20 s.

    Raises:
        OSError: no connection.
        TimeoutError: no handshake within 5 s.
        WebSocketException: the handshake was refused.
    """
    socket = await open_websocket(
        url,
        create_connection=TextSocket,
        open_timeout=5,
        ping_interval=20,
        ping_timeout=20,
        close_timeout=1,
        max_size=MAX_FRAME_BYTES,
        compression=None,
        proxy=None,
    )
    assert isinstance(socket, TextSocket)  # noqa: S101  (what the line above asked for)
    return socket


class ReconnectingSocket:
    """Yields decoded messages for ever, and a ``StreamStatus`` whenever the stream came up or went down.

    Args:
        name: of the stream, as metrics show it.
        connect: opens a socket and does whatever subscription it needs.
        silence_s: a stream that says nothing for so long is dead; ``None`` where silence is normal (the library's
            own pings then find a dead peer).
        lifetime_s: after which a second socket is opened before the first is closed, so that nothing is lost.
        overlap_s: how long both are heard then.
        select: what of the messages that arrived together is worth telling.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Awaitable[TextSocket]],
        *,
        silence_s: float | None = None,
        lifetime_s: float = LIFETIME_S,
        overlap_s: float = 1.0,
        select: Callable[[list[Any]], list[Any]] = lambda messages: messages,
        rng: random.Random | None = None,
    ) -> None:
        self._name = name
        self._connect = connect
        self._silence_s = silence_s
        self._lifetime_s = lifetime_s
        self._overlap_s = overlap_s
        self._select = select
        self._rng = rng or random.Random()  # noqa: S311  (spreads reconnects; no secret depends on it)
        self._socket: TextSocket | None = None
        self._closed = False

    async def close(self) -> None:
        """End the stream; the iterator stops."""
        self._closed = True
        if self._socket is not None:
            await self._socket.close()

    async def reconnect(self) -> None:
        """Drop the present socket; the iterator reports the gap and opens another."""
        if self._socket is not None:
            await self._socket.close()

    async def messages(self) -> AsyncGenerator[Any, None]:
        """Yield decoded JSON and ``StreamStatus``."""
        failures = 0
        while not self._ended():
            try:
                self._socket = await self._connect()
            except CONNECT_ERRORS as error:
                failures += 1
                yield StreamStatus(stream=self._name, connected=False, reason=_reason(error))
                await asyncio.sleep(self._wait_s(failures))
                continue
            born_s = asyncio.get_running_loop().time()
            yield StreamStatus(stream=self._name, connected=True)
            try:
                async for message in self._live():
                    yield message
            finally:
                await self._drop()
            if not self._ended():
                yield StreamStatus(stream=self._name, connected=False, reason="connection lost")
            steady = asyncio.get_running_loop().time() - born_s >= _STEADY_S
            failures = 1 if steady else failures + 1
            await asyncio.sleep(self._wait_s(failures))

    def _ended(self) -> bool:
        return self._closed

    async def _live(self) -> AsyncGenerator[Any, None]:
        loop = asyncio.get_running_loop()
        renew_at_s = loop.time() + self._lifetime_s
        watch = _SilenceWatch(self._silence_s)
        try:
            while self._socket is not None:
                watch.seen(self._socket)
                for message in self._select(_decoded(await self._socket.messages())):
                    yield message
                if loop.time() >= renew_at_s:
                    async for message in self._renew():
                        yield message
                    renew_at_s = loop.time() + self._lifetime_s
        except ConnectionClosed:
            return
        finally:
            watch.stop()

    async def _renew(self) -> AsyncGenerator[Any, None]:
        """Open the successor, hear both for a moment, then change over.

        What the venue sent before the successor was subscribed is still on its way on the old socket; what it sends
        after comes on both. A consumer sees some messages twice and none is lost.
        """
        old = self._socket
        try:
            self._socket = await self._connect()
        except CONNECT_ERRORS as error:
            _log.warning("stream_renewal_failed", stream=self._name, reason=_reason(error))
            return
        if old is None:
            return
        until_s = asyncio.get_running_loop().time() + self._overlap_s
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            while (left_s := until_s - asyncio.get_running_loop().time()) > 0:
                async with asyncio.timeout(left_s):
                    raw = await old.message()
                with contextlib.suppress(orjson.JSONDecodeError):
                    yield orjson.loads(raw)
        await old.close()

    async def _drop(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    def _wait_s(self, failures: int) -> float:
        ceiling: float = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(failures, 10))
        return ceiling * self._rng.uniform(0.5, 1.0)


class _SilenceWatch:
    """Aborts a socket on which nothing arrived for a while. One timer, not one per message."""

    def __init__(self, silence_s: float | None) -> None:
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._last_s = self._loop.time()
        self._socket: TextSocket | None = None
        self._timer = self._loop.call_later(silence_s / 2, self._check) if silence_s else None

    def seen(self, socket: TextSocket) -> None:
        self._last_s = self._loop.time()
        self._socket = socket

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        if self._silence_s is None or self._socket is None:
            return
        if self._loop.time() - self._last_s > self._silence_s:
            self._socket.transport.abort()
            return
        self._timer = self._loop.call_later(self._silence_s / 2, self._check)


def _decoded(raws: Iterable[bytes]) -> list[Any]:
    found = []
    for raw in raws:
        with contextlib.suppress(orjson.JSONDecodeError):
            found.append(orjson.loads(raw))
    return found


def _reason(error: BaseException) -> str:
    return str(error)[:200] if isinstance(error, StreamRefused | VenueUnavailable) else type(error).__name__
