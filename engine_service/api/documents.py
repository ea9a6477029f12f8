"""The OpenAPI page and the web page that shows it: written once, when the application is made, and served as bytes.

The web page loads nothing from elsewhere: an engine often has no way out, and a stranger's script has no business on
the origin that orders are placed at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import orjson
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine_service.api.problems import Answer

DESCRIPTION_PATH: Final = "/openapi.json"
WEB_PATH: Final = "/docs"
_SCRIPT, _STYLE, _ICON = (f"{WEB_PATH}/{name}" for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"))
_MEDIA: Final = {_SCRIPT: "text/javascript", _STYLE: "text/css", _ICON: "image/png"}
#: Every path of this module, all of them open to anyone who reaches the engine.
PATHS: Final = (DESCRIPTION_PATH, WEB_PATH, *_MEDIA)
_FROM_HERE_ALONE: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def document_routes(description: Mapping[str, Any]) -> tuple[Route, ...]:
    """Return the routes of both pages and of what the web page is made of."""
    web = get_swagger_ui_html(
        openapi_url=DESCRIPTION_PATH,
        title=str(description["info"]["title"]),
        swagger_js_url=_SCRIPT,
        swagger_css_url=_STYLE,
        swagger_favicon_url=_ICON,
    ).body
    policy = {"Content-Security-Policy": _FROM_HERE_ALONE}
    parts = files("fastapi_offline") / "static"
    return (
        _page(DESCRIPTION_PATH, orjson.dumps(description), "application/json"),
        _page(WEB_PATH, bytes(web), "text/html; charset=utf-8", policy),
        *(_page(path, (parts / path.rpartition("/")[2]).read_bytes(), media) for path, media in _MEDIA.items()),
    )


def _page(path: str, body: bytes, media_type: str, more: Mapping[str, str] | None = None) -> Route:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", **(more or {})}

    async def page(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Answer(body, 200, headers, media_type)

    return Route(path, page, methods=["GET"])
