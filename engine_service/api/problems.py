"""Errors as RFC 9457 problem documents: stable code, cause, way out; never the input, never a trace."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from engine_service.contract.codes import spec_of
from engine_service.domain.errors import EngineError, MethodNotAllowed

MEDIA_TYPE = "application/problem+json"


def problem(error: EngineError, request_id: str, *, instance: str = "") -> Response:
    """Return the answer to a refused request."""
    spec = spec_of(error.code)
    body: dict[str, Any] = {
        "type": f"urn:nhmm:problem:{error.code.lower()}",
        "title": spec.title,
        "status": spec.status,
        "code": error.code,
        "detail": error.detail,
        "errors": [{"field": item.field[:40], "code": item.code} for item in error.errors[:20]],
        "request_id": request_id,
    }
    if instance:
        body["instance"] = instance
    if error.numbers:
        body["numbers"] = error.numbers
    headers = {"X-Request-Id": request_id}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    elif spec.status in (429, 503):
        headers["Retry-After"] = "1"
    if error.location:
        headers["Location"] = error.location
    if spec.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    return Response(orjson.dumps(body), spec.status, headers, MEDIA_TYPE)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer; decimals must be text already."""
    return Response(orjson.dumps(body), status, headers, "application/json")
