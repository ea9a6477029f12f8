"""The front door: what every request must be before any route sees it, and the way to that route.

Order of the checks: load, framing, host, origin, route, token, scope, media type, size. A stranger never reaches a
parser. Having found the route, the gate calls its endpoint itself: the framework's own stack would look for the route
twice more and wrap each request in guards that have nothing left to do, a third of an order's time.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine_service.api.grants import Principal
from engine_service.api.refusals import refuse, whatever
from engine_service.api.routes import ROUTES, Access
from engine_service.api.tokens import TokenBook
from engine_service.domain.errors import (
    EngineError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Unavailable,
)

MAX_HEADER_BYTES = 8 * 1024
MAX_ADDRESS_BYTES = 8 * 1024
MAX_HEADERS = 64
BODY_DEADLINE_S = 10.0
FAILURES_PER_MINUTE = 10
ONCE = frozenset(
    {b"authorization", b"content-type", b"content-length", b"host", b"idempotency-key", b"x-idempotency-key", b"origin"}
)
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
#: A crowd at the door does not keep anybody from stopping the engine.
_ALWAYS_HEARD = "/control/halt"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Gate:
    """ASGI middleware. ``observe(route, status)`` counts what was answered."""

    app: FastAPI
    routes: Sequence[Route]
    tokens: TokenBook
    allowed_hosts: frozenset[str]
    max_concurrent: int
    observe: Callable[[str, int], None]
    stopping: Callable[[], bool]
    sockets: ASGIApp | None = None
    _instance: str = field(default_factory=lambda: secrets.token_hex(4))
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _running: int = 0
    _failures: dict[str, deque[float]] = field(default_factory=dict)
    _exact: dict[tuple[str, str], Route] = field(init=False)

    def __post_init__(self) -> None:
        plain = [route for route in self.routes if "{" not in route.path]
        self._exact = {(method, route.path): route for route in plain for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if self.sockets is None:
                await send({"type": "websocket.close"})
            else:
                await self.sockets(scope, receive, send)
            return
        request_id = f"{self._instance}{next(self._numbers):08x}"
        scope.setdefault("state", {})["request_id"] = request_id
        template = "unmatched"
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        streaming = scope["path"] == "/stream"
        self._running += not streaming
        try:
            headers = scope["state"]["headers"] = self._headers(scope)
            route = self._route(scope)
            template = route.path
            access = ROUTES[("GET" if scope["method"] == "HEAD" else scope["method"], template)]
            self._authorise(scope, headers, access)
            await self._admit(scope, headers, access, receive)
            await self._call(route, scope, receive, counted)
        except EngineError as error:
            await refuse(error, scope, receive, counted)
        finally:
            self._running -= not streaming
            self.observe(template, status)

    def identify(self, token: str, peer: str) -> Principal:
        """Return whose token this is; failures count against ``peer`` as those over HTTP do.

        Raises:
            InvalidRequest: nobody's.
        """
        return self._principal({b"authorization": b"Bearer " + token.encode("ascii", "replace")}, peer)

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes], access: Access, receive: Receive) -> None:
        if self.stopping() and access.scope is not None:
            raise Unavailable("SHUTTING_DOWN", "The engine is stopping; ask again when it is back.", retry_after_s=5)
        if scope["method"] in WITH_BODY or scope["method"] == "DELETE":
            if access.any_body:
                scope["state"]["body"] = await whatever(receive, access.max_body)
            else:
                scope["state"]["body"] = await self._body(scope, headers, access, receive)

    async def _call(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the endpoint and send its answer; a defect becomes 500 with an id that the log has too."""
        scope["app"] = self.app
        try:
            response = await route.endpoint(Request(scope, receive, send), **scope["path_params"])
        except (EngineError, ClientDisconnect):
            raise
        except sqlite3.Error as error:
            _log.error("the journal cannot be read", request_id=scope["state"]["request_id"], reason=str(error))
            raise Unavailable("JOURNAL_UNAVAILABLE", "The journal cannot be read; nothing was sent.") from error
        except Exception as error:  # the last guard: no defect may end the connection without a word
            request_id = scope["state"]["request_id"]
            _log.error("request failed", request_id=request_id, route=route.path, exc_info=error)
            raise Unavailable("INTERNAL", "The engine failed on this request; nothing is hidden in its log.") from error
        await response(scope, receive, send)

    def _headers(self, scope: Scope) -> dict[bytes, bytes]:
        """Check framing, host and origin; return the headers, the last value of each.

        Raises:
            InvalidRequest: as the codes say.
        """
        if self._running > self.max_concurrent and scope["path"] != _ALWAYS_HEARD:
            raise Unavailable("OVERLOADED", "Too many requests at once.", retry_after_s=1)
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
            raise InvalidRequest("URI_TOO_LONG", f"At most {MAX_ADDRESS_BYTES} bytes.")
        raw: list[tuple[bytes, bytes]] = scope["headers"]
        if len(raw) > MAX_HEADERS or sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
            raise InvalidRequest("HEADERS_TOO_LARGE", f"At most {MAX_HEADERS} headers, {MAX_HEADER_BYTES} bytes.")
        headers: dict[bytes, bytes] = {}
        for name, value in raw:
            if name in headers and name in ONCE:
                raise InvalidRequest("HEADER_DUPLICATED", f"{name.decode('ascii', 'replace')[:40]} stands twice.")
            if not value.isascii() or not value.replace(b"\t", b" ").decode("ascii").isprintable():
                raise InvalidRequest("HEADER_INVALID", "Header values are visible ASCII.")
            headers[name] = value
        if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
            raise InvalidRequest("EXPECTATION_FAILED", "Expect can be 100-continue only.")
        host = headers.get(b"host", b"").decode("ascii")
        if host.rpartition(":")[0] not in self.allowed_hosts and host not in self.allowed_hosts:
            raise InvalidRequest("HOST_NOT_ALLOWED", "Call the engine by its own address.")
        self._check_origin(headers, host)
        return headers

    def _check_origin(self, headers: Mapping[bytes, bytes], host: str) -> None:
        origin = headers.get(b"origin")
        foreign = origin is not None and origin.decode("ascii") != f"http://{host}"
        if foreign or headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
            raise InvalidRequest("ORIGIN_NOT_ALLOWED", "Pages of other origins may not call the engine.")

    def _route(self, scope: Scope) -> Route:
        """Find the declared route and note its path parameters.

        Raises:
            NotFound: no such path. MethodNotAllowed: the path exists with other methods.
        """
        scope["path_params"] = {}
        exact = self._exact.get((scope["method"], scope["path"]))
        if exact is not None:
            return exact
        allowed = {method for method, path in self._exact if path == scope["path"]}
        if allowed:
            raise MethodNotAllowed(allowed)
        for route in self.routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope["path_params"] = found["path_params"]
                return route
            if match is Match.PARTIAL:
                allowed |= set(route.methods or ())
        if allowed:
            raise MethodNotAllowed(allowed)
        raise NotFound("NOT_FOUND", "There is no such route; GET /docs lists them.")

    def _authorise(self, scope: Scope, headers: Mapping[bytes, bytes], access: Access) -> None:
        if access.scope is None:
            return
        peer = (scope.get("client") or ("", 0))[0]
        principal = self._principal(headers, peer)
        if access.scope not in principal.scopes:
            raise InvalidRequest("SCOPE_REQUIRED", f"This route needs the scope {access.scope.value}.")
        scope["state"]["principal"] = principal

    def _principal(self, headers: Mapping[bytes, bytes], peer: str) -> Principal:
        failures = self._failures.setdefault(peer, deque(maxlen=FAILURES_PER_MINUTE))
        now = time.monotonic()
        while failures and now - failures[0] > 60:
            failures.popleft()
        kind, _, token = headers.get(b"authorization", b"").decode("ascii").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise InvalidRequest("TOKEN_MISSING", "Send Authorization: Bearer TOKEN; see tokens.json.")
        principal = self.tokens.identify(token.strip())
        if principal is not None:
            return principal
        if len(failures) >= FAILURES_PER_MINUTE:
            raise InvalidRequest("TOO_MANY_FAILURES", "Wait a minute.", retry_after_s=60)
        failures.append(now)
        raise InvalidRequest("TOKEN_INVALID", "The token is not known to this engine.")

    async def _body(self, scope: Scope, headers: Mapping[bytes, bytes], access: Access, receive: Receive) -> bytes:
        """Read the whole body within its limits.

        Raises:
            InvalidRequest: encoded, of another type, too large or too slow.
        """
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise InvalidRequest("UNSUPPORTED_CONTENT_ENCODING", "Send the body as it is.")
        declared = headers.get(b"content-length")
        if declared is not None and (not declared.isdigit() or int(declared) > access.max_body):
            raise InvalidRequest("BODY_TOO_LARGE", f"At most {access.max_body} bytes.")
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                body = await _read(receive, access.max_body)
        except TimeoutError as error:
            raise InvalidRequest("REQUEST_TIMEOUT", "The body came too slowly.") from error
        if body and not _is_json(headers.get(b"content-type", b"")):
            raise InvalidRequest("UNSUPPORTED_MEDIA_TYPE", "Send application/json in UTF-8.")
        return body


async def _read(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("REQUEST_INVALID", "The connection ended before the body did.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise InvalidRequest("BODY_TOO_LARGE", f"At most {limit} bytes.")
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _is_json(content_type: bytes) -> bool:
    kind, _, rest = content_type.decode("ascii").lower().partition(";")
    charset = rest.strip()
    return kind.strip() == "application/json" and charset in ("", "charset=utf-8", 'charset="utf-8"')
