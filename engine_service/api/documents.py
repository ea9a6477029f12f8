"""The OpenAPI page and the web page that shows it: written once, when the application is made, and served as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine_service.api.problems import Answer

DESCRIPTION_PATH: Final = "/openapi.json"
WEB_PATH: Final = "/docs"


def document_routes(description: Mapping[str, Any]) -> tuple[Route, ...]:
    """Return the routes of both pages."""
    body = orjson.dumps(description)
    web = get_swagger_ui_html(openapi_url=DESCRIPTION_PATH, title=str(description["info"]["title"])).body
    return (
        _page(DESCRIPTION_PATH, body, "application/json"),
        _page(WEB_PATH, bytes(web), "text/html; charset=utf-8"),
    )


def _page(path: str, body: bytes, media_type: str) -> Route:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    async def page(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Answer(body, 200, headers, media_type)

    return Route(path, page, methods=["GET"])
