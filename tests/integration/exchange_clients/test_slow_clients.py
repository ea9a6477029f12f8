"""A client that does not read is dropped, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from engine_service.exchange_sim.binance_wire.ws_connection import StreamConnection
from tests.integration.simulated_exchange import free_port

pytestmark = pytest.mark.anyio
FRAME = "x" * 4096
BUFFERS = {"sleeper": 50, "reader": 1_000_000}


class Flood:
    """An application that pushes frames at its clients as fast as the loop turns."""

    def __init__(self) -> None:
        self.ended: dict[str, str] = {}
        self.app = FastAPI()
        self.app.add_api_websocket_route("/{name}", self.serve)

    async def serve(self, websocket: WebSocket) -> None:
        await websocket.accept()
        name = str(websocket.path_params["name"])
        connection = StreamConnection(websocket, buffer_size=BUFFERS[name])
        pump = asyncio.create_task(self.pump(connection))
        await connection.serve(self.ignore)
        pump.cancel()
        self.ended[name] = connection.close_reason

    async def pump(self, connection: StreamConnection) -> None:
        while connection.is_open:
            connection.push(FRAME)
            await asyncio.sleep(0)

    async def ignore(self, text: str) -> None:
        """Nothing is asked of a flood."""


@contextmanager
def serving(flood: Flood) -> Iterator[str]:
    port = free_port()
    config = uvicorn.Config(flood.app, port=port, log_level="error", ws_per_message_deflate=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    yield f"ws://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


async def test_a_client_that_reads_nothing_is_dropped_while_others_are_served() -> None:
    flood = Flood()
    with serving(flood) as url:
        async with connect(f"{url}/reader", max_queue=None) as reader:
            sleeper = await connect(f"{url}/sleeper", max_queue=1)
            sleeper.transport.pause_reading()
            try:
                async with asyncio.timeout(20):
                    while "sleeper" not in flood.ended:
                        assert await reader.recv() == FRAME
                assert await reader.recv() == FRAME
            finally:
                sleeper.transport.abort()
        assert flood.ended["sleeper"] == "slow consumer"


async def test_a_client_that_talks_too_much_is_disconnected() -> None:
    app = FastAPI()

    async def serve(websocket: WebSocket) -> None:
        await websocket.accept()
        connection = StreamConnection(websocket, messages_per_s=5)

        async def echo(text: str) -> None:
            connection.push(text)

        await connection.serve(echo)

    app.add_api_websocket_route("/", serve)
    flood = Flood()
    flood.app = app
    with serving(flood) as url:
        async with connect(url) as client:
            for number in range(6):
                await client.send(str(number))
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
