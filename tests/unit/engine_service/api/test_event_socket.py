"""A handshake that is not accepted is answered as a request is: with code, cause and way out."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from engine_service.api.event_socket import STRANGERS, EventSocket
from engine_service.api.hosts import allowed_hosts
from engine_service.api.readers import Readers
from engine_service.runtime.engine import Engine

OWN_PAGE = [(b"host", b"127.0.0.1"), (b"origin", b"http://127.0.0.1")]


def answered(headers: list[tuple[bytes, bytes]], *, stopping: bool = False, strangers: int = 0) -> tuple[int, Any, Any]:
    """Return status, headers and body of the answer to a handshake."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    engine = cast("Engine", SimpleNamespace(stopping=stopping))
    socket = EventSocket(engine, cast("Any", None), Readers(lambda _: True), allowed_hosts(), _strangers=strangers)
    scope = {"type": "websocket", "path": "/ws", "query_string": b"", "headers": headers, "subprotocols": []}
    asyncio.run(socket(scope, cast("Any", None), send))
    start, body = sent
    assert (start["type"], body["type"]) == ("websocket.http.response.start", "websocket.http.response.body")
    return start["status"], dict(start["headers"]), orjson.loads(body["body"])


@pytest.mark.parametrize(
    ("options", "code", "wait_s"),
    [({"stopping": True}, "SHUTTING_DOWN", b"5"), ({"strangers": STRANGERS}, "OVERLOADED", b"1")],
)
def test_who_may_knock_again_later_is_told_when(options: dict[str, Any], code: str, wait_s: bytes) -> None:
    status, headers, body = answered(OWN_PAGE, **options)
    assert (status, headers[b"retry-after"], body["code"]) == (503, wait_s, code)


def test_who_may_not_knock_is_told_how_to() -> None:
    status, _, body = answered([(b"host", b"127.0.0.1")])
    assert (status, body["code"]) == (403, "ORIGIN_NOT_ALLOWED")
    assert "Authorization: Bearer TOKEN" in body["detail"]
