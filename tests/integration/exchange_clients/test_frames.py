"""The exchange's own way of reading and writing text frames, against raw bytes of a client."""

from __future__ import annotations

import asyncio
import base64
import struct
import threading
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket

from engine_service.exchange_sim.binance_wire.ws_connection import StreamConnection
from engine_service.exchange_sim.binance_wire.ws_frames import FramesProtocol
from tests.integration.simulated_exchange import free_port

pytestmark = pytest.mark.anyio
_TEXT, _CONTINUED, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x0, 0x2, 0x8, 0x9, 0xA
_MASK = b"\x0f\xf0\x55\xaa"


def frame(payload: bytes, opcode: int = _TEXT, *, final: bool = True) -> bytes:
    """Return a masked frame, its length written as short as it can be."""
    first = bytes([opcode | (0x80 if final else 0)])
    size = len(payload)
    if size < 126:
        head = first + bytes([0x80 | size])
    elif size < 65_536:
        head = first + struct.pack("!BH", 0x80 | 126, size)
    else:
        head = first + struct.pack("!BQ", 0x80 | 127, size)
    return head + _MASK + bytes(byte ^ _MASK[at % 4] for at, byte in enumerate(payload))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that sends every text back, in capitals."""
    app = FastAPI()

    async def echo(websocket: WebSocket) -> None:
        await asyncio.sleep(0.05)
        await websocket.accept()
        connection = StreamConnection(websocket)

        async def answer(text: str) -> None:
            connection.push(text.upper())

        await connection.serve(answer)

    app.add_api_websocket_route("/", echo)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", ws=FramesProtocol))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    yield port
    server.should_exit = True
    thread.join()


class Client:
    """A connection after the handshake, or in the middle of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def shake_hands(self, *, behind: bytes = b"") -> None:
        key = base64.b64encode(b"sixteen bytes...")
        self._writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        if behind:
            await asyncio.sleep(0.01)
            self._writer.write(behind)
        await self._reader.readuntil(b"\r\n\r\n")

    async def send(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self._writer.write(chunk)
            await self._writer.drain()
            await asyncio.sleep(0.002)

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the server's next frame."""
        async with asyncio.timeout(10):
            first, size = await self._reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self._reader.readexactly(2))
            elif size == 127:
                size = int.from_bytes(await self._reader.readexactly(8))
            return first & 0x0F, await self._reader.readexactly(size)

    async def frames(self, count: int) -> list[tuple[int, bytes]]:
        return [await self.frame() for _ in range(count)]

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
async def client(port: int) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    yield client
    client.close()


def pieces(stream: bytes, size: int) -> Sequence[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


async def test_texts_of_every_length_come_back_whole(client: Client) -> None:
    await client.shake_hands()
    payloads = [b"", b"a", b"b" * 125, b"c" * 126, b"d" * 65_535, b"e" * 70_000]
    await client.send(b"".join(frame(payload) for payload in payloads))
    assert await client.frames(len(payloads)) == [(_TEXT, payload.upper()) for payload in payloads]


@pytest.mark.parametrize("size", [1, 3, 5, 11])
async def test_a_stream_in_small_pieces_is_the_same_stream(client: Client, size: int) -> None:
    await client.shake_hands()
    looks_like_more = b"x" + frame(b"not a frame")[1:] + b"y" * 130
    stream = frame(b"one") + frame(looks_like_more.hex().encode()) + frame(b"", _PING) + frame(b"three")
    await client.send(*pieces(stream, size))
    answers = await client.frames(4)
    texts = [payload for opcode, payload in answers if opcode == _TEXT]
    assert texts == [b"ONE", looks_like_more.hex().upper().encode(), b"THREE"]
    assert (_PONG, b"") in answers


async def test_a_text_in_fragments_is_one_text_and_a_ping_between_them_is_answered(client: Client) -> None:
    await client.shake_hands()
    await client.send(
        frame(b"before") + frame(b"frag", final=False) + frame(b"still there?", _PING),
        frame(b"men", _CONTINUED, final=False) + frame(b"ts", _CONTINUED) + frame(b"after"),
    )
    answers = await client.frames(4)
    assert [payload for opcode, payload in answers if opcode == _TEXT] == [b"BEFORE", b"FRAGMENTS", b"AFTER"]
    assert (_PONG, b"still there?") in answers


async def test_bytes_are_taken_as_text_between_texts(client: Client) -> None:
    await client.shake_hands()
    await client.send(frame(b"one") + frame(b"two", _BINARY) + frame(b"three"))
    assert await client.frames(3) == [(_TEXT, b"ONE"), (_TEXT, b"TWO"), (_TEXT, b"THREE")]


async def test_a_client_that_speaks_before_it_was_let_in_is_heard_whole(client: Client) -> None:
    stream = frame(b"early" * 30) + frame(b"second")
    await client.shake_hands(behind=stream[:40])
    await client.send(stream[40:], frame(b"third"))
    assert await client.frames(3) == [(_TEXT, b"EARLY" * 30), (_TEXT, b"SECOND"), (_TEXT, b"THIRD")]


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        pytest.param(b"\x81\x02hi", 1002, id="not masked"),
        pytest.param(b"\xc1" + frame(b"hi")[1:], 1002, id="compressed though nothing was agreed"),
        pytest.param(b"\x83" + frame(b"hi")[1:], 1002, id="an opcode that does not exist"),
        pytest.param(frame(b"a", final=False) + frame(b"b"), 1002, id="a new text inside another"),
        pytest.param(frame(b"b", _CONTINUED), 1002, id="a continuation of nothing"),
        pytest.param(struct.pack("!BBQ", 0x81, 0xFF, 1 << 40) + _MASK, 1009, id="far too large"),
        pytest.param(frame(b"\xff\xfe"), 1007, id="no UTF-8"),
    ],
)
async def test_what_breaks_the_protocol_ends_the_connection_by_its_code(
    client: Client, broken: bytes, code: int
) -> None:
    await client.shake_hands()
    await client.send(frame(b"good"))
    assert await client.frame() == (_TEXT, b"GOOD")
    await client.send(broken + frame(b"never heard") * 40)
    opcode, payload = await client.frame()
    assert (opcode, int.from_bytes(payload[:2])) == (_CLOSE, code)


async def test_a_farewell_is_returned(client: Client) -> None:
    await client.shake_hands()
    await client.send(frame(b"last words"))
    assert await client.frame() == (_TEXT, b"LAST WORDS")
    await client.send(frame(struct.pack("!H", 1000), _CLOSE))
    assert await client.frame() == (_CLOSE, struct.pack("!H", 1000))
