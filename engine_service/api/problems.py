"""Errors as RFC 9457 problem documents: stable code, cause, way out; never the input, never a trace."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypedDict

import orjson
from msgspec import Meta
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine_service.api.http_exchange import EXCHANGE
from engine_service.contract.codes import spec_of
from engine_service.domain.errors import EngineError, MethodNotAllowed

MEDIA_TYPE = "application/problem+json"
_NONE: Mapping[str, str] = MappingProxyType({})


class FieldProblem(TypedDict):
    """One field of the request, and the code of what is wrong with it."""

    field: str
    code: str


class _Always(TypedDict):
    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    code: Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$")]
    detail: str
    errors: list[FieldProblem]
    request_id: str


class Problem(_Always, total=False):
    """A problem document (RFC 9457): a stable code, the cause, the way out, and the numbers behind it.

    `instance` is the order that was refused; `numbers` what was measured, the limit, and what would be accepted.
    """

    instance: str
    numbers: dict[str, str]


class Answer(Response):
    """A whole answer: its head is written once, as bytes, and it is sent at once where the connection takes it."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str], media_type: str) -> None:
        """Write the head.

        Raises:
            ValueError: a header with a line break.
        """
        # Starlette's own makes a list of pairs, looks through it for what is missing, and has it written elsewhere.
        self.status_code = status
        self.background = None
        self.body = body
        lines = "".join([f"{name.lower()}: {value}\r\n" for name, value in headers.items()])
        if not lines.count("\r") == lines.count("\n") == len(headers):
            raise ValueError("a header with a line break")
        self.head = f"{lines}content-length: {len(body)}\r\ncontent-type: {media_type}\r\n".encode("latin-1")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = scope.get(EXCHANGE)
        if exchange is not None and exchange.answer(self.status_code, self.head, self.body):
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.pairs()})
        await send({"type": "http.response.body", "body": self.body})

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Let headers come with it that were not known when it was made."""
        self.head = "".join([f"{name.lower()}: {value}\r\n" for name, value in headers.items()]).encode() + self.head

    def own_headers(self) -> dict[str, str]:
        """Return the headers beside those that every answer has."""
        every = (b"content-length", b"content-type")
        return {name.decode(): value.decode("latin-1") for name, value in self.pairs() if name not in every}

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI wants them."""
        split = (line.partition(b": ") for line in self.head.splitlines())
        return [(name, value) for name, _, value in split]


def problem(error: EngineError, request_id: str, *, instance: str = "", more: Mapping[str, str] = _NONE) -> Answer:
    """Return the answer to a refused request; ``more`` are headers that come with it."""
    spec = spec_of(error.code)
    body: Problem = {
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
    headers = {"X-Request-Id": request_id, **more}
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
    return Answer(orjson.dumps(body), spec.status, headers, MEDIA_TYPE)


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] = _NONE) -> Answer:
    """Return a JSON answer; decimals must be text already."""
    return Answer(orjson.dumps(body), status, headers, "application/json")
