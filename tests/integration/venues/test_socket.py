"""Streams that break, fall silent or grow old, against a real WebSocket server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from engine_service.venues.binance.socket import ReconnectingSocket, dial
from engine_service.venues.reports import StreamStatus
from tests.integration.venues.rig import Recorder, eventually

pytestmark = pytest.mark.anyio


class Ticker:
    """Sends the next whole number to everyone every 5 ms; can be told to fall silent."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.connections: set[ServerConnection] = set()
        self.ever = 0
        self.silent = False
        self.refusing = False

    async def serve(self, connection: ServerConnection) -> None:
        if self.refusing:
            await connection.close(1013)
            return
        self.ever += 1
        self.connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self.connections.discard(connection)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            if not self.silent:
                number = next(self.numbers)
                for connection in tuple(self.connections):
                    # One that is closing is still in the set for a moment; the others must go on hearing.
                    with contextlib.suppress(ConnectionClosed):
                        await connection.send(orjson.dumps({"n": number}))


@pytest.fixture
async def ticker() -> AsyncIterator[tuple[Ticker, str]]:
    ticker = Ticker()
    server: Server = await serve(ticker.serve, "127.0.0.1", 0)
    task = asyncio.create_task(ticker.run())
    port = next(iter(server.sockets)).getsockname()[1]
    yield ticker, f"ws://127.0.0.1:{port}"
    task.cancel()
    server.close()


def numbers(seen: list[Any]) -> list[int]:
    return [event["n"] for event in seen if isinstance(event, dict)]


def statuses(seen: list[Any]) -> list[bool]:
    return [event.connected for event in seen if isinstance(event, StreamStatus)]


async def test_an_old_socket_is_renewed_without_a_gap_and_without_a_lost_message(ticker: tuple[Ticker, str]) -> None:
    server, url = ticker
    socket = ReconnectingSocket("test", lambda: dial(url), lifetime_s=0.2, overlap_s=0.1)
    recorder = Recorder(socket.messages())

    async def renewed() -> int:
        return server.ever

    await eventually(renewed, lambda count: count >= 3)
    await recorder.stop()
    assert statuses(recorder.seen) == [True]
    heard = sorted(set(numbers(recorder.seen)))
    assert heard == list(range(heard[0], heard[-1] + 1))


async def test_a_silent_socket_is_given_up_and_opened_anew(ticker: tuple[Ticker, str]) -> None:
    server, url = ticker
    socket = ReconnectingSocket("test", lambda: dial(url), silence_s=0.2)
    recorder = Recorder(socket.messages())
    await recorder.until(dict)
    server.silent = True
    await recorder.until(StreamStatus, lambda status: not status.connected)
    server.silent = False

    async def told() -> list[bool]:
        return statuses(recorder.seen)

    await eventually(told, lambda seen: seen[-1] is True and len(seen) >= 3)
    await recorder.stop()


async def test_a_server_that_hangs_up_at_once_is_not_hammered(ticker: tuple[Ticker, str]) -> None:
    server, url = ticker
    server.refusing = True
    tries = 0

    async def connect() -> Any:
        nonlocal tries
        tries += 1
        return await dial(url)

    recorder = Recorder(ReconnectingSocket("test", connect).messages())
    await asyncio.sleep(1.5)
    await recorder.stop()
    assert 2 <= tries <= 5


async def test_nobody_listening_is_told_as_a_lost_stream_and_tried_again(ticker: tuple[Ticker, str]) -> None:
    _, url = ticker
    addresses = iter(["ws://127.0.0.1:1", url])
    socket = ReconnectingSocket("test", lambda: dial(next(addresses)))
    recorder = Recorder(socket.messages())
    await recorder.until(dict)
    await recorder.stop()
    assert statuses(recorder.seen)[:2] == [False, True]
