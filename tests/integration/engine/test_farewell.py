"""A server that stops: who was let in gets an answer, is told that it is the last, and nobody is let in any more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from engine_service.api import server as module
from engine_service.api.gate import Gate
from engine_service.api.server import Server, listen, server_of

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def hello(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, int, asyncio.Task[None]]]:
    listener = listen("127.0.0.1", 0)
    port = int(listener.getsockname()[1])
    server = server_of(cast("Gate", hello))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server, port, task
    server.should_exit = True
    await asyncio.wait_for(task, 5)


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(REQUEST)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    return head + await reader.readexactly(5)


async def until_nobody_is_let_in(port: int) -> None:
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                await asyncio.sleep(0.01)


def test_a_request_that_comes_during_the_stop_is_answered_and_told_to_be_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FAREWELL_S", 1.0)

    async def scenario() -> None:
        async with serving() as (server, port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert b"connection: close" not in await asked(reader, writer)
            server.should_exit = True
            await until_nobody_is_let_in(port)
            assert b"connection: close" in await asked(reader, writer)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    asyncio.run(scenario())


def test_a_request_that_is_not_read_yet_when_its_connection_would_be_closed_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FAREWELL_S", 0.0)

    async def scenario() -> None:
        async with serving() as (server, port, task):
            with socket.create_connection(("127.0.0.1", port)) as caller:
                while not server.server_state.connections:  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.01)
                # In one turn of the loop: the bytes are in the kernel, and nobody has read them.
                caller.sendall(REQUEST)
                for connection in list(server.server_state.connections):
                    connection.shutdown()
                server.should_exit = True
                await asyncio.wait_for(asyncio.shield(task), 5)
                answer = caller.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b"hello")

    asyncio.run(scenario())
