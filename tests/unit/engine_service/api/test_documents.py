"""The OpenAPI page is bytes that were written before anybody asked."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from engine_service.api.app import mounted
from engine_service.api.description import describe
from engine_service.api.documents import document_routes

pytestmark = pytest.mark.anyio


async def test_every_answer_is_the_same_bytes() -> None:
    for route in document_routes(describe(mounted("1"))):
        request = Request({"type": "http", "headers": []})
        first, second = [(await route.endpoint(request)).body for _ in range(2)]
        assert first is second
        assert len(first) > 500
