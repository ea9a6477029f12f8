"""Frames however they arrive: cut at any byte, in pieces, with pings between them, too large, against the rules."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from engine_service.domain.ids import Market
from engine_service.venues.binance import text_socket
from engine_service.venues.binance.outcomes import Meaning
from engine_service.venues.binance.socket import MAX_FRAME_BYTES, dial
from engine_service.venues.binance.text_socket import TextSocket
from engine_service.venues.binance.ws_api import OrderSocket
from tests.integration.venues.rig import eventually

pytestmark = pytest.mark.anyio
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CONTINUED, _CLOSE, _PING, _PONG = 0x1, 0x0, 0x8, 0x9, 0xA
_FINAL = 0x80


def frame(payload: bytes, opcode: int = _TEXT, *, final: bool = True) -> bytes:
    """Return an unmasked frame, its length written as short as it can be."""
    first = bytes([opcode | (_FINAL if final else 0)])
    if len(payload) < 126:
        return first + bytes([len(payload)]) + payload
    wide = struct.pack("!BH", 126, len(payload)) if len(payload) < 65_536 else struct.pack("!BQ", 127, len(payload))
    return first + wide + payload


@dataclass
class Peer:
    """A server that sends the bytes it is given, chunk by chunk, and keeps what it hears."""

    chunks: Sequence[bytes] = ()
    with_handshake: bytes = b""
    heard: bytearray = field(default_factory=bytearray)
    hangs_up: bool = True
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_accepted(await reader.readuntil(b"\r\n\r\n")) + self.with_handshake)
        for chunk in self.chunks:
            await writer.drain()
            await asyncio.sleep(0.001)
            writer.write(chunk)
        await asyncio.sleep(0.02)
        if self.hangs_up:
            writer.close()
            return
        while data := await reader.read(65_536):
            self.heard += data


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield peer
    server.close()


async def everything(url: str) -> tuple[list[bytes], ConnectionClosed]:
    """Return every message until the connection ends, and how it ended."""
    socket = await dial(url)
    heard: list[bytes] = []
    try:
        while True:
            heard += await socket.messages()
    except ConnectionClosed as end:
        return heard, end


async def test_frames_of_every_length_arrive_whole_wherever_the_stream_is_cut(peer: Peer) -> None:
    payloads = [b"", b"a", b"b" * 125, b"c" * 126, b"d" * 300, b"e" * 65_535, b"f" * 70_000]
    stream = b"".join(frame(payload) for payload in payloads)
    peer.chunks = [
        stream[:1],
        stream[1:3],
        stream[3:4],
        stream[4:131],
        stream[131:134],
        stream[134:1000],
        stream[1000:],
    ]
    assert (await everything(peer.url))[0] == payloads


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_a_stream_in_small_pieces_is_the_same_stream(peer: Peer, size: int) -> None:
    payloads = [b"one", b"two" * 50, b"three"]
    stream = frame(payloads[0]) + frame(b"x", _PING) + frame(payloads[1]) + frame(payloads[2])
    peer.chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert (await everything(peer.url))[0] == payloads


async def test_frames_that_come_with_the_answer_to_the_handshake_are_not_lost(peer: Peer) -> None:
    looks_like_one = b"ab" + frame(b"zz") + frame(b"yy")
    peer.with_handshake = frame(b"first") + frame(looks_like_one)[:4]
    peer.chunks = [frame(looks_like_one)[4:] + frame(b"third")]
    assert (await everything(peer.url))[0] == [b"first", looks_like_one, b"third"]


async def test_a_message_in_fragments_keeps_its_place_and_a_ping_between_them_is_answered(peer: Peer) -> None:
    peer.hangs_up = False
    peer.chunks = [
        frame(b"before") + frame(b"frag", final=False) + frame(b"are you there", _PING),
        frame(b"men", _CONTINUED, final=False) + frame(b"ts", _CONTINUED) + frame(b"after"),
    ]
    socket = await dial(peer.url)
    heard: list[bytes] = []
    while len(heard) < 3:
        heard += await socket.messages()
    assert heard == [b"before", b"fragments", b"after"]
    socket.send_text(b"said")
    await asyncio.sleep(0.1)
    frames = _unmasked(bytes(peer.heard))
    assert frames == [(_PONG, b"are you there"), (_TEXT, b"said")]
    socket.transport.abort()


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        pytest.param(bytes([0x81, 0x80 | 2]) + b"mask" + b"hi", 1002, id="masked by the server"),
        pytest.param(bytes([0xC1, 2]) + b"hi", 1002, id="compressed though nothing was agreed"),
        pytest.param(bytes([0x83, 2]) + b"hi", 1002, id="an opcode that does not exist"),
        pytest.param(frame(b"a", final=False) + frame(b"b"), 1002, id="a new message inside another"),
        pytest.param(frame(b"b", _CONTINUED), 1002, id="a continuation of nothing"),
        pytest.param(struct.pack("!BBQ", 0x81, 127, MAX_FRAME_BYTES + 1), 1009, id="larger than allowed"),
        pytest.param(struct.pack("!BBQ", 0x81, 127, 2**63), 1009, id="an absurd length"),
    ],
)
async def test_what_breaks_the_protocol_ends_the_connection_after_what_came_before(
    peer: Peer, broken: bytes, code: int
) -> None:
    peer.chunks = [frame(b"good") + broken + frame(b"never heard") * 30]
    heard, end = await everything(peer.url)
    assert heard == [b"good"]
    assert end.sent is not None
    assert end.sent.code == code


async def test_a_whole_frame_that_is_too_large_is_refused_as_well(peer: Peer) -> None:
    peer.chunks = [frame(b"a" * 100) + frame(b"b" * 101) + frame(b"c")]
    async with connect(peer.url, create_connection=TextSocket, max_size=100, compression=None) as socket:
        assert isinstance(socket, TextSocket)
        assert await socket.message() == b"a" * 100
        with pytest.raises(ConnectionClosed) as end:
            await socket.message()
    assert end.value.sent is not None
    assert end.value.sent.code == 1009


async def test_a_farewell_is_answered_and_told(peer: Peer) -> None:
    peer.chunks = [frame(b"last words") + frame(struct.pack("!H", 1012) + b"restart", _CLOSE)]
    heard, end = await everything(peer.url)
    assert heard == [b"last words"]
    assert end.rcvd is not None
    assert (end.rcvd.code, end.rcvd.reason) == (1012, "restart")


async def test_a_consumer_that_falls_behind_makes_the_peer_wait_and_loses_nothing(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_socket, "MOST_WAITING", 10)
    peer.hangs_up = False
    peer.chunks = [frame(b"%d" % number) * 5 for number in range(20)]
    socket = await dial(peer.url)
    await asyncio.sleep(0.1)
    assert not socket.transport.is_reading()
    heard = [await socket.message() for _ in range(100)]
    assert heard == [b"%d" % (number // 5) for number in range(100)]
    assert socket.transport.is_reading()
    socket.transport.abort()


async def test_nothing_is_handed_to_a_socket_that_is_gone(peer: Peer) -> None:
    socket = await dial(peer.url)
    with pytest.raises(ConnectionClosed):
        await socket.messages()
    with pytest.raises(ConnectionClosedError):
        socket.send_text(b"too late")


async def test_nothing_is_handed_to_a_socket_whose_farewell_was_answered_a_moment_ago(peer: Peer) -> None:
    peer.chunks, peer.hangs_up = [frame(struct.pack("!H", 1001), _CLOSE)], False
    socket = await dial(peer.url)

    async def farewell() -> object:
        return socket.protocol.close_rcvd and socket.protocol.close_sent

    await eventually(farewell, lambda both: both)
    with pytest.raises(ConnectionClosed, match="1001"):
        socket.send_text(b"{}")
    await socket.close()


async def test_a_socket_aborted_a_moment_ago_takes_nothing_either(peer: Peer) -> None:
    socket = await dial(peer.url)
    socket.transport.abort()
    await asyncio.sleep(0)
    with pytest.raises(ConnectionClosed):
        socket.send_text(b"too late")


async def test_an_order_held_up_until_nobody_waits_for_it_does_not_go_out_later() -> None:
    may_read, heard = asyncio.Event(), bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_accepted(await reader.readuntil(b"\r\n\r\n")))
        await may_read.wait()
        while data := await reader.read(1 << 20):
            heard.extend(data)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    orders = OrderSocket(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", Market.SPOT, timeout_s=0.5)
    orders.start()

    async def ready() -> bool:
        return orders.ready

    await eventually(ready, bool)
    large = {"padding": "x" * 1_000_000}
    requests = [asyncio.create_task(orders.request(f"order.{number}", dict(large))) for number in range(30)]
    await asyncio.sleep(1)
    may_read.set()
    answers = [answer for answer, _ in await asyncio.gather(*requests)]
    await asyncio.sleep(0.2)
    await orders.close()
    server.close()
    assert {(answer.meaning, answer.code) for answer in answers} == {(Meaning.UNKNOWN, "VENUE_NO_ANSWER")}
    assert 1 <= len(heard) // 1_000_000 < len(requests)


def _accepted(request: bytes) -> bytes:
    """Return the answer that lets a client in."""
    lines = request.split(b"\r\n")
    key = next(line.split(b": ")[1] for line in lines if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324  (the protocol's own)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _unmasked(stream: bytes) -> list[tuple[int, bytes]]:
    """Return opcode and payload of short masked frames."""
    found = []
    while stream:
        length = stream[1] & 0x7F
        mask, masked = stream[2:6], stream[6 : 6 + length]
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
        found.append((stream[0] & 0x0F, payload))
        stream = stream[6 + length :]
    return found
