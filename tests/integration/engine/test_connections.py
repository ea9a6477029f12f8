"""The engine's HTTP connection, over sockets: slow callers, pipelines, odd framing, applications that fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine_service.api import gate, http_protocol, outflow
from engine_service.api.bearer import FAILURES_PER_MINUTE
from engine_service.api.gate import Gate
from engine_service.api.hosts import allowed_hosts
from engine_service.api.problems import json_response
from engine_service.api.server import Server, listen, server_of
from engine_service.api.tokens import TokenBook

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
GET = b"GET /%b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"


async def read_body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


async def answer(send: Any, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body = await read_body(receive)
    await answer(send, f"{scope['method']} {scope['path']} {scope['query_string'].decode()} ".encode() + body)


@contextlib.asynccontextmanager
async def serving(app: App) -> AsyncIterator[tuple[Server, int]]:
    listener = listen("127.0.0.1", 0)
    port = int(listener.getsockname()[1])
    server = server_of(cast("Gate", app))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server, port
    server.should_exit = True
    await asyncio.wait_for(task, 10)


async def told(port: int, *parts: bytes, pause_s: float = 0.02) -> bytes:
    """Send parts with a pause between them; return all that comes until the connection ends, or is silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        while part := await asyncio.wait_for(reader.read(65_536), 0.5):
            heard += part
    except (TimeoutError, ConnectionResetError):
        pass
    finally:
        writer.close()
    return heard


def on(app: App, scenario: Callable[[int], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(app) as (_, port):
            await scenario(port)

    asyncio.run(run())


async def is_closed_within(port: int, sent: bytes, seconds: float) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        while await asyncio.wait_for(reader.read(65_536), seconds):
            pass
    except TimeoutError:
        return False
    finally:
        writer.close()
    return True


@pytest.mark.parametrize("sent", [b"", b"POST / HT", POST[:-4] % 3])
def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_DEADLINE_S", 0.2)

    async def scenario(port: int) -> None:
        assert await is_closed_within(port, sent, 5)

    on(echo, scenario)


def test_a_connection_on_which_nothing_more_is_asked_is_closed() -> None:
    async def run() -> None:
        async with serving(echo) as (server, port):
            server.config.timeout_keep_alive = 0
            assert await is_closed_within(port, GET % b"", 5)

    asyncio.run(run())


def test_an_answer_may_take_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_DEADLINE_S", 0.2)

    async def late(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
        await asyncio.sleep(2.5)
        await answer(send, b"late")

    async def scenario(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET % b"")
        assert (await asyncio.wait_for(reader.read(4096), 10)).endswith(b"late")
        writer.close()

    on(late, scenario)


def test_requests_in_a_row_are_answered_in_their_order() -> None:
    running = 0

    async def one_at_a_time(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.01)
        running -= 1
        await echo(scope, receive, send)

    async def scenario(port: int) -> None:
        heard = await told(port, b"".join(GET % b"%d" % number for number in range(8)))
        assert [b"GET /%d " % number in heard for number in range(8)] == [True] * 8
        places = [heard.index(b"GET /%d " % number) for number in range(8)]
        assert places == sorted(places)

    on(one_at_a_time, scenario)


@pytest.mark.parametrize(
    "tail", [b"}", b"NO REQUEST\r\n\r\n", GET % b"kept" + b"\x16\x03\x01", POST[:-4] % -1 + b"\r\n\r\n"]
)
def test_what_is_no_request_is_refused_after_the_answers_to_what_came_before_it(tail: bytes) -> None:
    """The refusal used to go out first: it stood for the answer of an order that was carried out."""

    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await read_body(receive)
        await asyncio.sleep(0.05)
        await answer(send, scope["path"].encode())

    async def scenario(port: int) -> None:
        heard = await told(port, POST % 2 + b"ok" + tail)
        statuses = [part[:3] for part in heard.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200"] * (len(statuses) - 1) + [b"400"]
        assert len(statuses) == 2 + (b"kept" in tail)
        assert b"REQUEST_INVALID" in heard

    on(slow, scenario)


def test_a_body_that_breaks_is_refused_after_the_answers_to_what_came_before_it() -> None:
    seen: list[str] = []

    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await read_body(receive)
        await asyncio.sleep(0.05)
        await answer(send, b"done")

    async def scenario(port: int) -> None:
        broken = b"POST /broken HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        heard = await told(port, POST % 2 + b"ok" + broken)
        assert [part[:3] for part in heard.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
        assert seen == ["/"]

    on(slow, scenario)


def test_a_body_comes_whole_however_it_is_cut() -> None:
    body = bytes(range(33, 120)) * 4_000

    async def scenario(port: int) -> None:
        whole = await told(port, POST % len(body) + body)
        cut = await told(port, POST % len(body), body[:10], body[10:200_000], body[200_000:])
        head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked = await told(port, head + b"5\r\nhello\r\n", b"6\r\n world\r\n0\r\nX-Late: 1\r\n\r\n")
        assert whole.endswith(b"POST /  " + body)
        assert cut.endswith(b"POST /  " + body)
        assert chunked.endswith(b"POST /  hello world")

    on(echo, scenario)


def test_a_body_whose_end_comes_by_itself_has_ended() -> None:
    async def scenario(port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        heard = await told(port, head, b"5\r\nhello\r\n", b"0\r\n\r\n", GET % b"next")
        assert heard.count(b"HTTP/1.1 200 OK\r\n") == 2, heard
        assert b"POST /  hello" in heard

    on(echo, scenario)


def test_trailers_are_no_headers() -> None:
    async def names(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await read_body(receive)
        await answer(send, b",".join(name for name, _ in scope["headers"]))

    async def scenario(port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await told(port, head, b"0\r\nAuthorization: x\r\n\r\n")).endswith(b"host,transfer-encoding")

    on(names, scenario)


def test_a_caller_that_waits_for_a_word_gets_it_when_the_body_is_wanted() -> None:
    async def scenario(port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        heard = await told(port, head, b"ok", pause_s=0.2)
        assert heard.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert heard.endswith(b"POST /  ok")

    on(echo, scenario)


def test_targets_are_split_and_decoded() -> None:
    async def scenario(port: int) -> None:
        assert (await told(port, GET % b"a%20b?c=%64")).endswith(b"GET /a b c=%64 ")
        long = b"x" * 1_000
        assert (await told(port, GET % long)).endswith(b"GET /" + long + b"  ")

    on(echo, scenario)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"])
def test_a_caller_that_wants_one_answer_gets_one(head: bytes) -> None:
    async def scenario(port: int) -> None:
        heard = await told(port, head)
        assert b"\r\nconnection: close\r\n" in heard
        assert await is_closed_within(port, head, 5)

    on(echo, scenario)


def test_an_answer_says_when_it_was_given_and_how_long_it_is() -> None:
    async def scenario(port: int) -> None:
        heard = await told(port, GET % b"")
        assert heard.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
        assert b"\r\ncontent-length: 7\r\n\r\nGET /  " in heard

    on(echo, scenario)


def test_the_head_alone_has_no_body() -> None:
    async def scenario(port: int) -> None:
        heard = await told(port, (GET % b"").replace(b"GET", b"HEAD"), GET % b"next")
        assert heard.count(b"HTTP/1.1 200 OK") == 2
        assert heard.endswith(b"GET /next  ")
        assert b"HEAD /" not in heard

    on(echo, scenario)


def test_what_is_no_http_is_answered_and_ends() -> None:
    async def scenario(port: int) -> None:
        for sent in (b"\x00\x01\r\n\r\n", GET % b"" + b"nonsense\r\n\r\n", b"GET http:// HTTP/1.1\r\n\r\n"):
            heard = await told(port, sent)
            assert b"HTTP/1.1 400 Bad Request\r\n" in heard, sent
            assert await is_closed_within(port, sent, 5)

    on(echo, scenario)


def test_nothing_is_changed_to_another_protocol_than_websocket() -> None:
    async def scenario(port: int) -> None:
        head = b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        assert (await told(port, head)).endswith(b"GET /up  ")
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
        post = (POST % 5).replace(b"\r\n\r\n", b"\r\n" + offer + b"\r\n")
        chunked = post.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
        for request in (post + b"hello", chunked + b"5\r\nhello\r\n0\r\n\r\n"):
            heard = await told(port, request + head + request, GET % b"next")
            assert heard.count(b"HTTP/1.1 200 OK") == 4, heard
            assert heard.count(b"POST /  hello") == 2
            assert heard.endswith(b"GET /next  ")
            assert (await told(port, *(request[at : at + 1] for at in range(len(request))), pause_s=0)).endswith(
                b"hello"
            )
        assert b" 400 " in await told(port, b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: a\r\n\r\n")

    on(echo, scenario)


async def raises(_scope: dict[str, Any], _receive: Any, _send: Any) -> None:
    raise LookupError("a defect")


async def says_nothing(_scope: dict[str, Any], _receive: Any, _send: Any) -> None:
    return


async def breaks_a_line(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
    await answer(send, b"", (b"x-name", b"a\r\nset-cookie: b"))


async def says_too_much(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"two"})


async def says_too_little(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"two"})


@pytest.mark.parametrize("app", [raises, says_nothing, breaks_a_line, says_too_much, says_too_little])
def test_an_application_that_fails_is_answered_for(app: App) -> None:
    async def scenario(port: int) -> None:
        heard = await told(port, GET % b"")
        assert heard.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        head, _, body = heard.partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert orjson.loads(body)["code"] == "INTERNAL"
        assert heard.count(b"HTTP/1.1") == 1

    on(app, scenario)


def test_an_answer_that_breaks_off_ends_the_connection() -> None:
    async def breaks_off(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("a defect")

    async def scenario(port: int) -> None:
        heard = await told(port, GET % b"")
        assert heard.endswith(b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        assert await is_closed_within(port, GET % b"", 5)

    on(breaks_off, scenario)


@pytest.mark.parametrize("requests", [GET % b"", GET % b"" * 3])
def test_who_takes_in_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, requests: bytes) -> None:
    monkeypatch.setattr(outflow, "READ_WITHIN_S", 1.0)

    async def large(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
        await answer(send, b"x" * 20_000_000)

    async def scenario(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(requests)
        await asyncio.sleep(4)
        heard = 0
        while part := await asyncio.wait_for(reader.read(65_536), 5):
            heard += len(part)
        assert heard < 20_000_000, "what the kernel had taken, and the end"
        assert (await told(port, GET % b"")).endswith(b"xxx")
        writer.close()

    on(large, scenario)


def test_who_takes_in_little_at_a_time_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outflow, "READ_WITHIN_S", 1.5)
    size = 20_000_000

    async def large(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
        await answer(send, b"x" * size)

    async def scenario(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(GET % b"")
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.5)
            await reader.readexactly(size // 10)
        writer.close()

    on(large, scenario)


def test_a_stream_waits_for_a_slow_reader_and_ends_with_it() -> None:
    sent = 0
    over = asyncio.Event()

    async def endless(_scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal sent
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def pour() -> None:
            nonlocal sent
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
                sent += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(pour())
        assert (await receive())["type"] == "http.disconnect"
        task.cancel()
        over.set()

    async def scenario(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET % b"")
        await reader.readexactly(1_000)
        await asyncio.sleep(0.5)
        before = sent
        await asyncio.sleep(0.3)
        assert sent == before < 1_000
        await reader.readexactly(30_000_000)
        assert sent > before
        writer.transport.abort()
        await asyncio.wait_for(over.wait(), 5)

    on(endless, scenario)


# --- through the gate -------------------------------------------------------------------------------------------


async def length_of_body(request: Request) -> Response:
    return json_response({"length": len(request.scope["state"]["body"])}, headers={"Location": "/there"})


def gate_of(stopping: Callable[[], bool] = lambda: False) -> Gate:
    routes = [Route("/orders/market", length_of_body, methods=["POST"])]
    tokens = TokenBook({"trade": "t" * 43, "admin": "a" * 43})
    return Gate(cast("Any", None), routes, tokens, allowed_hosts(), 8, lambda _route, _status: None, stopping)


def order(body: bytes, token: str = "t" * 43, length: int = -1) -> bytes:
    declared = len(body) if length < 0 else length
    head = "POST /orders/market HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Authorization: Bearer {token}\r\nContent-Length: {declared}\r\n\r\n".encode() + body


def test_a_body_that_does_not_come_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BODY_DEADLINE_S", 0.2)

    async def scenario(port: int) -> None:
        heard = await told(port, order(b"{", length=20), b"}", pause_s=0.5)
        assert heard.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b'"code":"REQUEST_TIMEOUT"' in heard

    on(gate_of(), scenario)


async def crowd(port: int, head: bytes, number: int) -> list[asyncio.StreamWriter]:
    """Send so many requests, each on a connection of its own, and read nothing."""
    writers = []
    for _ in range(number):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        writers.append(writer)
    await asyncio.sleep(0.1)
    return writers


def test_one_caller_whose_bodies_do_not_come_leaves_room_for_others() -> None:
    async def scenario(port: int) -> None:
        slow = await crowd(port, order(b"{", length=20), 20)
        assert (await told(port, order(b"{}", "a" * 43))).startswith(b"HTTP/1.1 200 OK")
        heard = await told(port, order(b"{}"))
        assert heard.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"OVERLOADED"' in heard
        assert b"at most 6 requests" in heard
        for writer in slow:
            writer.transport.abort()
        await asyncio.sleep(0.1)
        assert (await told(port, order(b"{}"))).startswith(b"HTTP/1.1 200 OK")

    on(gate_of(), scenario)


def test_who_is_refused_with_a_body_to_come_takes_nobodys_place() -> None:
    async def scenario(port: int) -> None:
        strangers = await crowd(port, order(b"{", "", length=20), 20)
        assert (await told(port, order(b"{}"))).startswith(b"HTTP/1.1 200 OK")
        for writer in strangers:
            writer.transport.abort()

    on(gate_of(), scenario)


def test_an_order_whose_body_comes_after_the_stop_was_asked_for_is_not_begun() -> None:
    asked = iter((False, True))

    async def scenario(port: int) -> None:
        heard = await told(port, order(b"{", length=2), b"}")
        assert heard.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b'"code":"SHUTTING_DOWN"' in heard

    on(gate_of(lambda: next(asked)), scenario)


def test_a_body_is_measured_whole_or_in_pieces() -> None:
    async def scenario(port: int) -> None:
        for parts in ((order(b"{}"),), (order(b"", length=2), b"{", b"}")):
            heard = await told(port, *parts)
            assert heard.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
            assert heard.endswith(
                b'location: /there\r\ncontent-length: 12\r\ncontent-type: application/json\r\n\r\n{"length":2}'
            )
        chunks = order(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        heard = await told(port, chunks + b"4001\r\n" + b"x" * 0x4001 + b"\r\n0\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 413 ")

    on(gate_of(), scenario)


def test_a_stranger_who_guesses_is_stopped_and_who_knows_is_not() -> None:
    async def scenario(port: int) -> None:
        for number in range(FAILURES_PER_MINUTE):
            assert b'"code":"TOKEN_INVALID"' in await told(port, order(b"{}", f"guess-{number}")), number
            assert (await told(port, order(b"{}"))).startswith(b"HTTP/1.1 200 OK")
        assert b'"code":"TOO_MANY_FAILURES"' in await told(port, order(b"{}", "guess"))
        assert (await told(port, order(b"{}"))).startswith(b"HTTP/1.1 200 OK")

    on(gate_of(), scenario)


def test_behind_another_server_the_gate_answers_the_same() -> None:
    """Without an exchange in the scope, body and answer go by ``receive`` and ``send``."""

    async def other(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await gate_of()({key: value for key, value in scope.items() if key != "nhmm.exchange"}, receive, send)

    async def scenario(port: int) -> None:
        heard = await told(port, order(b"{}"))
        assert heard.endswith(
            b'location: /there\r\ncontent-length: 12\r\ncontent-type: application/json\r\n\r\n{"length":2}'
        )

    on(other, scenario)
