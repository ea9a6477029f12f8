"""A server that stops: who was let in gets an answer, is told that it is the last, and nobody is let in any more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest

from engine_service.api import server as module
from engine_service.api.gate import Gate
from engine_service.api.http_protocol import DeadlineProtocol
from engine_service.api.server import Server, listen, server_of

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def hello(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@contextlib.asynccontextmanager
async def serving(app: Any = hello) -> AsyncIterator[tuple[Server, int, asyncio.Task[None]]]:
    listener = listen("127.0.0.1", 0)
    port = int(listener.getsockname()[1])
    server = server_of(cast("Gate", app))
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


def test_a_request_that_is_here_when_its_connection_has_been_silent_too_long_is_answered() -> None:
    async def scenario() -> None:
        async with serving() as (server, port, _):
            with socket.create_connection(("127.0.0.1", port)) as caller:
                while not server.server_state.connections:  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.01)
                caller.settimeout(0)
                caller.sendall(REQUEST)
                for connection in list(server.server_state.connections):
                    cast("DeadlineProtocol", connection).close_if_late(time.monotonic() + 3_600)
                await asyncio.sleep(0.2)
                assert caller.recv(4096).endswith(b"hello")

    asyncio.run(scenario())


def test_a_request_that_crosses_the_end_of_its_connection_finds_an_answer_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FAREWELL_S", 0.0)

    async def scenario() -> None:
        async with serving() as (_, port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asked(reader, writer)
        # The server has ended. A caller that knows nothing of it yet asks, and reads that nothing was read.
        writer.write(REQUEST)
        heard = await asyncio.wait_for(reader.read(), 5)
        head, _, body = heard.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert {b"connection: close", b"retry-after: 5"} <= set(head.lower().split(b"\r\n"))
        assert orjson.loads(body)["code"] == "SHUTTING_DOWN"

    asyncio.run(scenario())


def test_a_request_that_the_end_of_the_process_cuts_off_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAREWELL_S", 0.0)

    async def never(_scope: dict[str, Any], _receive: Any, _send: Any) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with serving(never) as (server, port, _):
            server.config.timeout_graceful_shutdown = 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            while not server.server_state.tasks:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)
        heard = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert heard.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert orjson.loads(heard.partition(b"\r\n\r\n")[2])["code"] == "SHUTTING_DOWN"

    asyncio.run(scenario())


def test_a_caller_whom_nobody_has_let_in_yet_when_the_listener_closes_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FAREWELL_S", 0.0)

    async def scenario() -> None:
        async with serving() as (server, port, task):
            real_shutdown = server.shutdown

            async def shutdown(sockets: list[socket.socket] | None = None) -> None:
                # In the turn of the loop in which the listener closes: the kernel has made the connection already.
                callers.append(socket.create_connection(("127.0.0.1", port)))
                callers[0].sendall(REQUEST)
                await real_shutdown(sockets)

            callers: list[socket.socket] = []
            monkeypatch.setattr(server, "shutdown", shutdown)
            server.should_exit = True
            await asyncio.wait_for(asyncio.shield(task), 5)
        with callers[0] as caller:
            caller.settimeout(5)
            heard = caller.recv(4096)
        assert heard.startswith(b"HTTP/1.1 200"), heard
        assert heard.endswith(b"hello")

    asyncio.run(scenario())
