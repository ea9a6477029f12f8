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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from engine_service.api.bearer import BearerCheck
from engine_service.api.grants import Principal
from engine_service.api.http_exchange import EXCHANGE
from engine_service.api.once import once
from engine_service.api.places import Places
from engine_service.api.problems import problem
from engine_service.api.read_pace import ReadPace
from engine_service.api.refusals import refuse, whatever
from engine_service.api.request_head import check_address, check_framing, check_target, is_json, read_headers
from engine_service.api.routes import ROUTES, Access
from engine_service.api.tokens import TokenBook
from engine_service.domain.errors import (
    EngineError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ShuttingDown,
    Unavailable,
)

BODY_DEADLINE_S = 10.0
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: A crowd at the door does not keep anybody from stopping the engine, and who stops it takes nobody's place.
_ALWAYS_HEARD = "/control/halt"
#: A stream stands for hours; it has a limit of its own.
_WITHOUT_PLACE = frozenset({_ALWAYS_HEARD, "/stream"})

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
    reads: ReadPace = field(default_factory=ReadPace)
    _instance: str = field(default_factory=lambda: secrets.token_hex(4))
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _places: Places = field(init=False)
    _bearers: BearerCheck = field(init=False)
    _exact: dict[tuple[str, str], tuple[Route, Access]] = field(init=False)

    def __post_init__(self) -> None:
        self._places = Places(self.max_concurrent)
        self._bearers = BearerCheck(self.tokens)
        plain = [route for route in self.routes if "{" not in route.path]
        self._exact = {
            (method, route.path): (route, _access(method, route)) for route in plain for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if self.sockets is None:
                await send({"type": "websocket.close"})
            else:
                await self.sockets(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # a copy: the server leaves the body out, and reads the method for it
        state: dict[str, Any] = scope.setdefault("state", {})
        request_id = state["request_id"] = f"{self._instance}{next(self._numbers):08x}"
        template = "unmatched"
        status = 500
        caller: str | None = None
        try:
            try:
                headers = state["headers"] = self._headers(scope)
                route, access = self._route(scope)
                template = route.path
                if access.scope is not None:
                    self._authorise(scope, headers, access)
                caller = self._placed(scope)
                if scope["method"] in WITH_BODY:
                    state["body"] = await _body(scope, headers, access, receive)
                    # The stop may have been asked for while the body was on its way.
                    self._refuse_if_stopping(access)
                response = await self._called(route, access, scope, receive, send)
                status = response.status_code
                await response(scope, receive, send)
            except EngineError as error:
                refusal = problem(error, request_id)
                status = refusal.status_code
                if caller is not None:
                    # Who sends a body that nobody wants is heard for a while, but holds nobody up by it.
                    self._places.leave(caller)
                    caller = None
                await refuse(refusal, scope, receive, send)
        finally:
            if caller is not None:
                self._places.leave(caller)
            self.observe(template, status)

    def identify(self, token: str, peer: str) -> Principal:
        """Return whose token this is; failures count against ``peer`` as those over HTTP do.

        Raises:
            InvalidRequest: nobody's.
        """
        return self._bearers.identify(b"Bearer " + token.encode("ascii", "replace"), peer)

    async def _called(self, route: Route, access: Access, scope: Scope, receive: Receive, send: Send) -> Response:
        """Return what the endpoint answers; a defect becomes 500 with an id that the log has too."""
        scope["app"] = self.app
        try:
            request, parameters = Request(scope, receive, send), scope["path_params"]
            if access.once:
                return await once(request, route, access)
            response: Response = await (
                route.endpoint(request, **parameters) if parameters else route.endpoint(request)
            )
        except (EngineError, ClientDisconnect):
            raise
        except sqlite3.Error as error:
            _log.error("the journal cannot be read", request_id=scope["state"]["request_id"], reason=str(error))
            raise Unavailable("JOURNAL_UNAVAILABLE", "The journal cannot be read; nothing was sent.") from error
        except Exception as error:  # the last guard: no defect may end the connection without a word
            request_id = scope["state"]["request_id"]
            _log.error("request failed", request_id=request_id, route=route.path, exc_info=error)
            raise Unavailable("INTERNAL", "The engine failed on this request; nothing is hidden in its log.") from error
        return response

    def _headers(self, scope: Scope) -> dict[bytes, bytes]:
        """Check load, framing, host and origin; return the headers, the last value of each.

        Raises:
            InvalidRequest, Unavailable: as the codes say.
        """
        if scope["path"] != _ALWAYS_HEARD:
            self._places.check()
        check_target(scope["raw_path"], scope["query_string"])
        headers = read_headers(scope["headers"])
        check_framing(headers)
        check_address(headers, self.allowed_hosts)
        return headers

    def _route(self, scope: Scope) -> tuple[Route, Access]:
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
                return route, _access(scope["method"], route)
            if match is Match.PARTIAL:
                allowed |= set(route.methods or ())
        if allowed:
            raise MethodNotAllowed(allowed)
        raise NotFound("NOT_FOUND", "There is no such route; GET /docs lists them.")

    def _authorise(self, scope: Scope, headers: Mapping[bytes, bytes], access: Access) -> None:
        """Note who calls.

        Raises:
            InvalidRequest: nobody who may, or who reads too often. Unavailable: the engine is stopping.
        """
        peer = (scope.get("client") or ("", 0))[0]
        principal = self._bearers.identify(headers.get(b"authorization", b""), peer)
        if not access.admits(principal.scopes):
            raise InvalidRequest("SCOPE_REQUIRED", f"This route needs the scope {access.named}.")
        scope["state"]["principal"] = principal
        self._refuse_if_stopping(access)
        if access.is_read:
            self.reads.take(principal.name)

    def _placed(self, scope: Scope) -> str | None:
        """Take a place among the requests that are carried out; return whose it is, ``None`` where none is needed.

        Raises:
            Unavailable: there is none left, or the caller has its share.
        """
        if scope["path"] in _WITHOUT_PLACE:
            return None
        principal: Principal | None = scope["state"].get("principal")
        caller = "" if principal is None else principal.name
        self._places.take(caller)
        return caller

    def _refuse_if_stopping(self, access: Access) -> None:
        if access.scope is not None and self.stopping():
            raise ShuttingDown


async def _body(scope: Scope, headers: Mapping[bytes, bytes], access: Access, receive: Receive) -> bytes:
    """Return the whole body within its limits; where it is all here already nobody waits for it.

    Raises:
        InvalidRequest: encoded, of another type, too large or too slow.
    """
    if access.any_body:
        return await whatever(receive, access.max_body)
    _check_declared(headers, access.max_body)
    exchange = scope.get(EXCHANGE)
    body: bytes | None = None if exchange is None else exchange.whole_body
    if body is None:
        body = await _read_in_time(receive, access.max_body)
    _check_body(body, headers, access.max_body)
    return body


def _check_declared(headers: Mapping[bytes, bytes], limit: int) -> None:
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise InvalidRequest("UNSUPPORTED_CONTENT_ENCODING", "Send the body as it is.")
    declared = headers.get(b"content-length")
    if declared is not None and (not declared.isdigit() or int(declared) > limit):
        raise _too_large(limit)


def _check_body(body: bytes, headers: Mapping[bytes, bytes], limit: int) -> None:
    if len(body) > limit:
        raise _too_large(limit)
    if body and not is_json(headers.get(b"content-type", b"")):
        raise InvalidRequest("UNSUPPORTED_MEDIA_TYPE", "Send application/json in UTF-8.")


async def _read_in_time(receive: Receive, limit: int) -> bytes:
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            return await _read(receive, limit)
    except TimeoutError as error:
        raise InvalidRequest("REQUEST_TIMEOUT", "The body came too slowly.") from error


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
            raise _too_large(limit)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> InvalidRequest:
    return InvalidRequest("BODY_TOO_LARGE", f"At most {limit} bytes.")


def _access(method: str, route: Route) -> Access:
    return ROUTES[("GET" if method == "HEAD" else method, route.path)]
