"""``WS /ws``: who is let in, what is told, and how each kind of bad manners ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as socket_module
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from engine_service.api.callers import issue, revoke
from tests.integration.engine.process import EngineProcess

pytestmark = pytest.mark.anyio


def origin(engine: EngineProcess) -> str:
    return f"http://127.0.0.1:{engine.port}"


@contextlib.asynccontextmanager
async def opened(engine: EngineProcess, path: str = "/ws", **options: Any) -> AsyncIterator[ClientConnection]:
    options.setdefault("origin", origin(engine))
    async with connect(f"ws://127.0.0.1:{engine.port}{path}", proxy=None, **options) as socket:
        yield socket


@contextlib.asynccontextmanager
async def let_in(engine: EngineProcess, who: str = "read", **first: Any) -> AsyncIterator[ClientConnection]:
    async with opened(engine) as socket:
        await socket.send(json.dumps({"type": "auth", "token": engine.token(who), **first}))
        assert json.loads(await socket.recv())["type"] == "ready"
        yield socket


async def code_of_close(socket: ClientConnection, within_s: float = 5) -> int:
    async with asyncio.timeout(within_s):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/ws", {"origin": None}),
        ("/ws", {"origin": "https://evil.example"}),
        ("/ws", {"origin": "null"}),
        ("/ws?token=anything", {}),
        ("/orders/market", {}),
    ],
)
async def test_who_may_not_knock_is_refused_before_the_handshake(
    engine: EngineProcess, path: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with opened(engine, path, **options):
            pass
    response = refused.value.response
    assert response.status_code == 403
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(response.body)
    assert (problem["status"], problem["code"]) == (403, "ORIGIN_NOT_ALLOWED")
    assert "Authorization: Bearer TOKEN" in problem["detail"]


@pytest.mark.parametrize(
    "options",
    [
        {"subprotocols": ["bearer.{}"]},
        {"subprotocols": ["bearer", "{}"]},
        {"origin": None, "additional_headers": {"Authorization": "Bearer {}"}},
    ],
)
async def test_a_token_may_come_with_the_handshake(engine: EngineProcess, options: dict[str, Any]) -> None:
    token = engine.token("read")
    filled = json.loads(json.dumps(options).replace("{}", token))
    async with opened(engine, **filled) as socket:
        assert json.loads(await socket.recv())["type"] == "ready"


@pytest.mark.parametrize("first", [b'{"type":"auth","token":"nobody"}', "not JSON", '{"type":"auth"}', "[]"])
async def test_a_first_message_without_a_token_that_is_known_ends_it(engine: EngineProcess, first: str | bytes) -> None:
    async with opened(engine) as socket:
        await socket.send(first)
        assert await code_of_close(socket) == 4401


async def test_who_says_nothing_for_five_seconds_is_shown_out(engine: EngineProcess) -> None:
    async with opened(engine) as socket:
        assert await code_of_close(socket, 8) == 4401


async def test_every_event_comes_once_and_in_order_from_where_the_reader_left(engine: EngineProcess) -> None:
    async with let_in(engine) as socket:
        body = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.0007"}
        placed = await asyncio.to_thread(engine.order, body, "socket-order-1")
        cid = placed.json()["order"]["client_order_id"]
        seen: list[dict[str, Any]] = []
        async with asyncio.timeout(5):
            while not seen or seen[-1]["kind"] != "AnswerRecorded":
                seen.append(json.loads(await socket.recv()))
    assert [event["seq"] for event in seen] == list(range(seen[0]["seq"], seen[0]["seq"] + len(seen)))
    assert {"OrderInitialized", "OrderFilled"} <= {event["kind"] for event in seen}
    assert cid in json.dumps(seen)
    async with let_in(engine, after=seen[0]["seq"]) as socket:
        again = [json.loads(await socket.recv()) for _ in seen[1:]]
    assert again == seen[1:]


@pytest.mark.parametrize("after", [-1, 1.5, True, "x", 10**30, 10**12])
async def test_who_goes_on_from_an_event_that_is_not_here_is_told(engine: EngineProcess, after: object) -> None:
    """A number of a journal that was put aside used to be waited for, in silence; no number meant "from now"."""
    async with opened(engine) as socket:
        await socket.send(json.dumps({"type": "auth", "token": engine.token("read"), "after": after}))
        assert await code_of_close(socket) == 1008


@pytest.mark.parametrize("resume", [{"headers": {"Last-Event-ID": "999999999"}}, {"params": {"after": "999999999"}}])
async def test_a_stream_that_would_go_on_from_an_event_that_is_not_here_is_refused(
    engine: EngineProcess, resume: dict[str, Any]
) -> None:
    client = httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {engine.token('read')}"})
    async with client, client.stream("GET", f"{engine.url}/stream", **resume) as answer:
        assert answer.status_code == 422
        assert (await answer.aread()).find(b"QUERY_INVALID") > 0


async def test_a_stream_ends_with_its_callers_token(engine: EngineProcess) -> None:
    path = engine.home / "engine" / "callers.json"
    token = issue(path, "listener", "read", 1, time.time_ns() // 1_000_000)
    await asyncio.sleep(1.1)
    client = httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {token}"})
    async with client, client.stream("GET", f"{engine.url}/stream") as answer:
        assert answer.status_code == 200
        revoke(path, "listener")
        async with asyncio.timeout(5):
            heard = [line async for line in answer.aiter_lines()]
    assert "event: dropped" in heard
    assert "the token counts no more" in heard[-2]


async def test_one_caller_has_fifty_streams_at_most(engine: EngineProcess) -> None:
    headers = {"Authorization": f"Bearer {engine.token('read')}"}
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(trust_env=False, headers=headers, limits=limits) as client:
        async with contextlib.AsyncExitStack() as streams:
            opened = [
                await streams.enter_async_context(client.stream("GET", f"{engine.url}/stream")) for _ in range(51)
            ]
            assert [answer.status_code for answer in opened] == [200] * 50 + [429]
            assert opened[-1].headers["Retry-After"] == "10"
        for _ in range(50):
            async with client.stream("GET", f"{engine.url}/stream") as again:
                if again.status_code == 200:
                    break
            await asyncio.sleep(0.1)
        assert again.status_code == 200


async def test_a_reader_may_choose_kinds_and_go_back(engine: EngineProcess) -> None:
    async with let_in(engine) as socket:
        await socket.send(
            json.dumps({"type": "subscribe", "channel": "events", "kinds": ["EngineStarted"], "after": 0})
        )
        async with asyncio.timeout(5):
            heard = [json.loads(await socket.recv()) for _ in range(2)]
    assert {message.get("kind", message["type"]) for message in heard} == {"subscribed", "EngineStarted"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "subscribe", "channel": "tea leaves"}, "SUB_UNKNOWN"),
        ({"type": "subscribe", "account": "somebody else's"}, "SUB_UNKNOWN"),
        ({"type": "subscribe", "kinds": ["NoSuchEvent"]}, "SUB_UNKNOWN"),
        ({"type": "order", "symbol": "BTCUSDT.BINANCE"}, "MESSAGE_UNKNOWN"),
        ({"type": "subscribe", "after": 999_999_999}, "SUB_UNKNOWN"),
        (["subscribe"], "JSON_INVALID"),
    ],
)
async def test_what_is_not_known_is_said_and_nothing_ends(engine: EngineProcess, message: object, code: str) -> None:
    async with let_in(engine) as socket:
        for wish, answer in ((message, code), ({"type": "ping"}, None)):
            await socket.send(json.dumps(wish))
            async with asyncio.timeout(5):
                while (heard := json.loads(await socket.recv()))["type"] == "event":
                    pass
            assert heard.get("code") == answer


async def test_who_is_revoked_is_shown_out_and_refused_over_http(engine: EngineProcess) -> None:
    path = engine.home / "engine" / "callers.json"
    token = issue(path, "visitor", "read", 1, time.time_ns() // 1_000_000)
    bearer = {"Authorization": f"Bearer {token}"}
    await asyncio.sleep(1.1)
    assert (await asyncio.to_thread(engine.call, "GET", "/portfolio", headers=bearer)).status_code == 200
    assert (await asyncio.to_thread(engine.call, "POST", "/reconcile", headers=bearer)).status_code == 403
    async with opened(engine) as socket:
        await socket.send(json.dumps({"token": token}))
        assert json.loads(await socket.recv())["type"] == "ready"
        assert revoke(path, "visitor")
        assert await code_of_close(socket) == 4401
    assert (await asyncio.to_thread(engine.call, "GET", "/portfolio", headers=bearer)).status_code == 401


async def raw(socket: ClientConnection, *frames: Frame) -> None:
    for frame in frames:
        socket.transport.write(frame.serialize(mask=True))
    await asyncio.sleep(0)


async def test_a_message_of_more_than_16_kib_ends_it(engine: EngineProcess) -> None:
    async with let_in(engine) as socket:
        await socket.send("x" * (16 * 1024 + 1))
        assert await code_of_close(socket) == 1009


async def test_text_that_is_not_utf_8_ends_it(engine: EngineProcess) -> None:
    async with let_in(engine) as socket:
        await raw(socket, Frame(Opcode.TEXT, b"\xff\xfe", fin=True))
        assert await code_of_close(socket) == 1007


async def test_a_flood_of_pings_ends_it(engine: EngineProcess) -> None:
    async with let_in(engine) as socket:
        await raw(socket, *(Frame(Opcode.PING, struct.pack("!I", n), fin=True) for n in range(500)))
        assert await code_of_close(socket) == 1008


async def test_a_flood_of_fragments_ends_it(engine: EngineProcess) -> None:
    async with let_in(engine) as socket:
        await raw(socket, Frame(Opcode.TEXT, b"", fin=False))
        await raw(socket, *(Frame(Opcode.CONT, b"", fin=False) for _ in range(500)))
        assert await code_of_close(socket) == 1008


async def test_a_flood_of_messages_ends_it(engine: EngineProcess) -> None:
    async with let_in(engine) as socket:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(200):
                await socket.send('{"type":"ping"}')
        assert await code_of_close(socket) == 1008


async def test_one_caller_has_fifty_connections_at_most(engine: EngineProcess) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(50):
            await stack.enter_async_context(let_in(engine, "trade"))
        late = await stack.enter_async_context(opened(engine))
        await late.send(json.dumps({"type": "auth", "token": engine.token("trade")}))
        assert await code_of_close(late) == 4429
        async with let_in(engine, "read"):
            pass
    await asyncio.sleep(0.2)
    async with let_in(engine, "trade"):
        pass


@pytest.mark.slow
async def test_a_reader_who_does_not_read_is_told_where_to_go_on_and_holds_nobody_up(engine: EngineProcess) -> None:
    for number in range(60):
        body = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": f"0.000{100 + number}"}
        await asyncio.to_thread(engine.order, body, f"something-to-tell-{number}")
    narrow = socket_module.socket()
    narrow.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 65_536)
    narrow.connect(("127.0.0.1", engine.port))
    async with opened(engine, sock=narrow, subprotocols=[f"bearer.{engine.token('read')}"]) as socket:
        socket.transport.pause_reading()
        rewind = json.dumps({"type": "subscribe", "after": 0})
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(20):
                while True:
                    await socket.send(rewind)
                    await asyncio.sleep(0.06)
        began = asyncio.get_running_loop().time()
        assert (await asyncio.to_thread(engine.call, "GET", "/portfolio")).status_code == 200
        assert asyncio.get_running_loop().time() - began < 2
        socket.transport.resume_reading()
        assert await code_of_close(socket, 15) == 1013
