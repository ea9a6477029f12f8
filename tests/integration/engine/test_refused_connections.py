"""A refused caller gets its answer and, where more of its request is to come, loses its connection."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.integration.engine.process import EngineProcess

ORDER = b'{"symbol":"BTCUSDT.BINANCE","side":"BUY","quantity":"0.001"}'


def head(engine: EngineProcess, *lines: str, who: str = "admin") -> bytes:
    tokens = json.loads((engine.home / "engine" / "tokens.json").read_text(encoding="utf-8"))
    own = (f"Host: 127.0.0.1:{engine.port}", f"Authorization: Bearer {tokens.get(who, who)}")
    framed = ("POST /orders/market HTTP/1.1", *own, "Content-Type: application/json", *lines, "", "")
    return "\r\n".join(framed).encode()


def until_closed(engine: EngineProcess, first: bytes, then: bytes, within_s: float) -> bytes:
    """Send ``first``, go on sending ``then``, and return what came until the engine ended the connection."""
    with socket.create_connection(("127.0.0.1", engine.port)) as caller:
        caller.settimeout(0.05)
        caller.sendall(first)
        answer, deadline = b"", time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                part = caller.recv(65_536)
                if not part:
                    return answer
                answer += part
            except TimeoutError:
                try:
                    caller.sendall(then)
                except OSError:
                    return answer
            except ConnectionResetError:
                return answer
    pytest.fail("the connection stays open")


@pytest.mark.parametrize(
    ("lines", "who", "status"),
    [
        (("Content-Length: 1000000000",), "admin", 413),
        (("Content-Length: 1000000000",), "a stranger's token, long enough to be one", 401),
        (("Content-Length: 1000000000", "Content-Encoding: gzip"), "admin", 415),
        (("Transfer-Encoding: chunked",), "read", 403),
    ],
)
def test_what_was_announced_and_refused_is_not_listened_to(
    engine: EngineProcess, lines: tuple[str, ...], who: str, status: int
) -> None:
    chunked = "Transfer-Encoding: chunked" in lines
    more = b"1000\r\n" + b"x" * 4_096 + b"\r\n" if chunked else b"x" * 4_096
    answer = until_closed(engine, head(engine, "Idempotency-Key: announced-1", *lines, who=who), more, 5)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:100]
    assert b"connection: close" in answer.lower()


def test_a_body_that_drips_ends_with_its_connection(engine: EngineProcess) -> None:
    first = head(engine, "Content-Length: 10000", "Idempotency-Key: dripping-1")
    answer = until_closed(engine, first, b" ", 15)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_refused_request_that_is_complete_keeps_its_connection(engine: EngineProcess) -> None:
    wrong = head(engine, f"Content-Length: {len(ORDER)}") + ORDER
    with socket.create_connection(("127.0.0.1", engine.port)) as caller:
        caller.settimeout(5)
        for _ in range(2):
            caller.sendall(wrong)
            answer = b""
            while not answer.endswith(b"}"):
                answer += caller.recv(65_536)
            assert b"IDEMPOTENCY_KEY_MISSING" in answer


def test_bytes_that_are_no_request_are_answered_like_any_other_mistake(engine: EngineProcess) -> None:
    answer = until_closed(engine, b"\x00\x01\r\n\r\n", b"", 3)
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (body["status"], body["code"]) == (400, "REQUEST_INVALID")
    assert b"application/problem+json" in answer


def test_a_cursor_is_its_callers_own(engine: EngineProcess) -> None:
    for number in range(2):
        body = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": f"0.000{5 + number}"}
        placed = engine.call("POST", "/orders/market", json=body, headers={"Idempotency-Key": f"cursor-{number:06d}"})
        assert placed.status_code == 201
    cursor = engine.call("GET", "/orders", params={"limit": "1"}).json()["cursor"]
    mine = engine.call("GET", "/orders", params={"limit": "1", "cursor": cursor})
    assert mine.status_code == 200
    theirs = engine.call("GET", "/orders", params={"limit": "1", "cursor": cursor}, token="read")
    assert (theirs.status_code, theirs.json()["code"]) == (400, "CURSOR_INVALID")
