"""Before the exchange closes its sockets it says so on every spot connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from engine_service.domain.clock import SystemClock
from engine_service.exchange_sim.binance_wire.app import ExchangeApp, create_app
from engine_service.exchange_sim.bootstrap import build_exchange
from engine_service.exchange_sim.config import ExchangeConfig
from engine_service.exchange_sim.ticker import run_ticker
from tests.integration.exchange_clients.wire import Socket
from tests.integration.simulated_exchange import free_port

pytestmark = pytest.mark.anyio


class Server(uvicorn.Server):
    """uvicorn's server that takes leave of the streams first."""

    def __init__(self, app: ExchangeApp, port: int) -> None:
        super().__init__(uvicorn.Config(app, port=port, lifespan="off", log_level="error"))
        self._app = app
        self.serves = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serves.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.streams.shut_down()
        await super().shutdown(sockets)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, str]]:
    """The whole exchange in this process, on a real port."""
    clock, port = SystemClock(), free_port()
    exchange = build_exchange(ExchangeConfig(accounts=(), history_s=60), clock)
    server = Server(create_app(exchange), port)
    tasks = [asyncio.create_task(server.serve()), asyncio.create_task(run_ticker(exchange, clock))]
    await server.serves.wait()
    try:
        yield server, f"ws://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await tasks[0]
        tasks[1].cancel()


async def test_shutting_down_is_announced_on_spot_and_closes_every_connection() -> None:
    async with (
        serving() as (server, url),
        connect(f"{url}/ws/btcusdt@trade") as raw,
        connect(f"{url}/stream?streams=btcusdt@trade") as combined,
        connect(f"{url}/ws-api/v3") as api,
        connect(f"{url}/market/ws/btcusdt@aggTrade") as futures,
    ):
        await Socket(raw).receive()
        server.should_exit = True
        bare = await Socket(raw).until(lambda frame: frame.get("e") == "serverShutdown")
        wrapped = await Socket(combined).until(lambda frame: frame["stream"] == "!serverShutdown")
        event = await Socket(api).until(lambda frame: "event" in frame)
        assert set(bare) == {"e", "E"}
        assert (wrapped["data"]["e"], event["event"]["e"]) == ("serverShutdown", "serverShutdown")
        for connection in (raw, combined, api, futures):
            with pytest.raises(ConnectionClosed) as closed:
                await Socket(connection).until(lambda frame: frame.get("e") == "serverShutdown")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
