"""A journal that cannot be read is a reason to come back later, not a defect without a name."""

from __future__ import annotations

import json
import sqlite3

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from engine_service.api.gate import Gate
from engine_service.api.tokens import TokenBook

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def unreadable(request: Request) -> Response:
    raise sqlite3.OperationalError("disk I/O error")


async def test_a_store_that_cannot_be_read_is_answered_503_and_by_its_code() -> None:
    app = FastAPI()
    routes = (Route("/healthz", unreadable, methods=["GET"]),)
    gate = Gate(app, routes, TokenBook({}), frozenset({"127.0.0.1"}), 8, lambda route, status: None, lambda: False)
    told: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        told.append(message)

    head = {"type": "http", "method": "GET", "path": "/healthz", "raw_path": b"/healthz", "query_string": b""}
    await gate({**head, "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1)}, receive, send)
    body = json.loads(told[1]["body"])
    assert (told[0]["status"], body["code"]) == (503, "JOURNAL_UNAVAILABLE")
    assert "disk I/O" not in told[1]["body"].decode()
    assert (b"retry-after", b"1") in told[0]["headers"]
