"""A request whose taking in fails: the engine says that it failed, not that the caller wrote nonsense, and why."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from engine_service.api.http_exchange import Exchange
from tests.integration.engine.test_farewell import serving

REQUEST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}"


def test_want_of_memory_is_no_fault_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(self: Exchange, body: bytes) -> None:
        raise MemoryError("no room for the body")

    monkeypatch.setattr(Exchange, "body_came", no_room)

    async def scenario() -> bytes:
        async with serving(waits_for_the_body) as (_, port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
        return answer

    with capture_logs() as said:
        answer = asyncio.run(scenario())
    assert answer.startswith(b"HTTP/1.1 500")
    assert b'"code":"INTERNAL"' in answer
    (told,) = [line for line in said if line["log_level"] == "error"]
    assert isinstance(told["exc_info"], MemoryError)


async def waits_for_the_body(scope: dict[str, object], receive: object, send: object) -> None:
    assert callable(receive)
    await receive()
