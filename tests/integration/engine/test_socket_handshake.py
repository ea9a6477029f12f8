"""Handshakes of ``WS /ws`` that are none: each is answered as any bad request, and its connection ends."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from websockets import Origin
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange


def knock(engine: EngineProcess, *lines: str, path: str = "/ws", body: bytes = b"") -> tuple[int, dict[str, Any]]:
    """Send a handshake byte by byte as it is; return its status and its problem, once the connection has ended."""
    head = (
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{engine.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        *lines,
    )
    with socket.create_connection(("127.0.0.1", engine.port), timeout=5) as wire:
        wire.sendall("\r\n".join((*head, "", "")).encode("latin-1") + body)
        said = b"".join(iter(lambda: wire.recv(65_536), b""))
    assert b"content-type: application/problem+json" in said
    return int(said.split()[1]), json.loads(said.partition(b"\r\n\r\n")[2])


KEY, VERSION = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"


@pytest.mark.parametrize(
    ("lines", "path", "status", "code"),
    [
        ((KEY, VERSION, "Content-Length: 5"), "/ws", 400, "REQUEST_INVALID"),
        ((KEY, VERSION, "Transfer-Encoding: chunked"), "/ws", 400, "REQUEST_INVALID"),
        ((VERSION,), "/ws", 400, "REQUEST_INVALID"),
        ((KEY,), "/ws", 400, "REQUEST_INVALID"),
        (("Sec-WebSocket-Key: canary", VERSION), "/ws", 400, "REQUEST_INVALID"),
        ((KEY, KEY, VERSION), "/ws", 400, "HEADER_DUPLICATED"),
        ((KEY, "Sec-WebSocket-Version: canary"), "/ws", 400, "REQUEST_INVALID"),
        ((KEY, VERSION, "Sec-WebSocket-Protocol: ,canary @"), "/ws", 400, "REQUEST_INVALID"),
        ((KEY, VERSION, "X-Filler: canary\xe9"), "/ws", 400, "HEADER_INVALID"),
        ((KEY, VERSION, "X-Filler: " + "x" * 8_100), "/ws", 431, "HEADERS_TOO_LARGE"),
        ((KEY, VERSION, "X-Filler: " + "x" * 70_000), "/ws", 431, "HEADERS_TOO_LARGE"),
        ((KEY, VERSION, *(f"X-{number}: 1" for number in range(200))), "/ws", 431, "HEADERS_TOO_LARGE"),
        ((KEY, VERSION), "/ws" + "a" * 9_000, 414, "URI_TOO_LONG"),
        ((KEY, VERSION), "/" + "a" * 8_185, 414, "URI_TOO_LONG"),
        ((KEY, VERSION), "http://[::1/ws", 400, "REQUEST_INVALID"),
        ((KEY, VERSION, "Connection: canary@("), "/ws", 403, "ORIGIN_NOT_ALLOWED"),
    ],
)
def test_a_handshake_that_is_none_is_refused_as_any_request_and_its_connection_ends(
    engine: EngineProcess, lines: tuple[str, ...], path: str, status: int, code: str
) -> None:
    body = b"hello" if "Content-Length: 5" in lines else b"0\r\n\r\n" if "chunked" in lines[-1] else b""
    found, problem = knock(engine, *lines, path=path, body=body)
    assert (found, problem["code"]) == (status, code)
    assert "canary" not in json.dumps(problem)


def test_strangers_and_bad_bytes_leave_no_fault_in_the_log(exchange: SimulatedExchange, tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, exchange.url)
    process = engine.spawn()
    assert process.stdout is not None
    assert process.stdout.readline() == f"ready {engine.url}\n"
    assert knock(engine, KEY, VERSION, path="/nothing")[0] == 403
    with connect(f"ws://127.0.0.1:{engine.port}/ws", origin=Origin(engine.url), proxy=None) as wire:
        wire.socket.sendall(Frame(Opcode.TEXT, b"\xff\xfe", fin=True).serialize(mask=True))
        with pytest.raises(ConnectionClosed):
            wire.recv(timeout=5)
        assert wire.close_code == 1007
    process.terminate()
    _, said = process.communicate(timeout=20)
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines if line["level"] == "error" or "exception" in line] == []
