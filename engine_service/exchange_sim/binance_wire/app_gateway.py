"""The REST door: from raw ASGI request to raw answer, without a framework in between.

One request walks: parse, fault plan, weight, signature, order count, handler, headers. A dropped answer closes the
TCP connection without a byte, so that a client sees what a lost connection looks like.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from engine_service.exchange_sim.binance_wire import errors
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security, Wire
from engine_service.exchange_sim.binance_wire.auth import Signer, rest_payload
from engine_service.exchange_sim.binance_wire.errors import LimitExceeded
from engine_service.exchange_sim.binance_wire.params import Params, parse_pairs
from engine_service.exchange_sim.binance_wire.ws_api_envelope import in_unit
from engine_service.exchange_sim.binance_wire.ws_text import MICROSECOND, MILLISECOND, TimeUnit
from engine_service.exchange_sim.enums import Market, Permission
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.faults import FaultAnswer, RequestPlan

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_MAX_BODY_BYTES = 1 << 20
_UNITS: dict[str, TimeUnit] = {"MILLISECOND": MILLISECOND, "MICROSECOND": MICROSECOND}
_JSON = (b"content-type", b"application/json;charset=UTF-8")


class Answer:
    """A handler's result where status or headers differ from the usual."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: object, headers: Headers | None = None) -> None:
        self.status = status
        self.body = body
        self.headers: Headers = headers or []


@dataclass(frozen=True, slots=True)
class _Request:
    """What was sent. `broken`: why its parameters cannot be read; `unit`: of the answer's time stamps."""

    route: Route
    values: dict[str, str]
    broken: ExchangeError | None
    key: str
    payload: bytes
    address: str
    unit: TimeUnit


class Gateway:
    """Serves the routes it was given."""

    def __init__(self, wire: Wire, routes: Iterable[Route]) -> None:
        self._wire = wire
        self._routes = {(route.method, route.path): route for route in routes}
        self._paths = {path for _, path in self._routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        body = await _read_body(receive)
        query = scope["query_string"].decode("latin-1")
        if body is None:
            await _write(send, Answer(413, {"code": -1000, "msg": "Request body too large."}))
            return
        method, path = scope["method"], scope["path"]
        route = self._routes.get((method, path))
        if route is None:
            await _write(send, self._not_found(method, path))
            return
        request = _request(route, scope, query, body)
        plan = self._wire.exchange.faults.before_request(
            path, method, request.values, route.market, self._account_of(request.key)
        )
        if plan.delay_ms:
            await asyncio.sleep(plan.delay_ms / 1000)
        if plan.drop_before:
            await drop_connection(receive, send)
            return
        if plan.answer_before is not None:
            await _write(send, _fault_answer(plan.answer_before))
            return
        await self._deliver(plan, self._answer(request), receive, send)

    async def _deliver(self, plan: RequestPlan, answer: Answer, receive: Receive, send: Send) -> None:
        if plan.delay_answer_ms:
            await asyncio.sleep(plan.delay_answer_ms / 1000)
        if plan.drop_after:
            await drop_connection(receive, send)
            return
        await _write(send, answer if plan.answer_after is None else _fault_answer(plan.answer_after))

    def _answer(self, request: _Request) -> Answer:
        """The whole synchronous part of a request."""
        route, params = request.route, Params(request.values)
        limits = self._wire.limits[route.market]
        headers: Headers = []
        try:
            headers = _weight_headers(limits.use(request.address, _weigh(route, params)))
            if request.broken is not None:
                return _refusal(request.broken, headers)
            signer = self._signer(request)
            if route.orders and signer is not None:
                limits.count_order(signer.account_id, route.orders)
            result = route.handler(Call(self._wire, route.market, params, signer))
        except ExchangeError as error:
            return _refusal(error, headers)
        answer = result if isinstance(result, Answer) else Answer(200, result)
        answer.body = in_unit(answer.body, request.unit)
        answer.headers += headers
        if (route.orders or route.shows_orders) and signer is not None:
            for limit, count in limits.order_counts(signer.account_id):
                answer.headers.append((limit.header.encode(), str(count).encode()))
        return answer

    def _signer(self, request: _Request) -> Signer | None:
        security = request.route.security
        if security is Security.NONE:
            return None
        if security is Security.KEY:
            return self._wire.auth.by_key(request.key)
        return self._wire.auth.signed(request.key, request.payload, request.values, _permission(request.route))

    def _account_of(self, key: str) -> str:
        found = self._wire.exchange.accounts.by_key(key) if key else None
        return "" if found is None else found[0].account_id

    def _not_found(self, method: str, path: str) -> Answer:
        if path in self._paths:
            body = {"code": -1020, "msg": f"Request method '{method}' not supported"}
            return Answer(405, body)
        return Answer(404, {"code": -5000, "msg": f"Path {path}, Method {method} is invalid"})


async def drop_connection(receive: Receive, send: Send) -> None:
    """Close the client's connection without sending a byte.

    ASGI has no word for it, so the server's own transport is taken from the `send` it gave us; with another server
    than uvicorn the request ends unanswered.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        return
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


def _weigh(route: Route, params: Params) -> int:
    """The documented weight; a malformed parameter must still cost something."""
    try:
        return route.weigh(params)
    except ExchangeError:
        return 1


def _permission(route: Route) -> Permission:
    if route.security is Security.DATA:
        return Permission.READ
    return Permission.SPOT if route.market is Market.SPOT else Permission.FUTURES


def _request(route: Route, scope: Scope, query: str, body: str) -> _Request:
    values, broken = _parsed(query, body)
    unit = MILLISECOND
    asked = _header(scope, b"x-mbx-time-unit")
    if asked and route.market is Market.SPOT:
        unit = _UNITS.get(asked.upper(), MILLISECOND)
        if asked.upper() not in _UNITS:
            broken = errors.invalid_time_unit()
    key = _header(scope, b"x-mbx-apikey")
    address = (scope.get("client") or ("unknown", 0))[0]
    return _Request(route, values, broken, key, rest_payload(query, body), address, unit)


def _parsed(query: str, body: str) -> tuple[dict[str, str], ExchangeError | None]:
    """Query and form values, the query's first; or why they cannot be read."""
    try:
        values = parse_pairs(query)
        if body:
            values = parse_pairs(body) | values
    except ExchangeError as error:
        return {}, error
    return values, None


async def _read_body(receive: Receive) -> str | None:
    """The whole body, None when it is larger than any honest request."""
    message = await receive()
    data = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        data += message.get("body", b"")
        if len(data) > _MAX_BODY_BYTES:
            return None
    return str(data, "latin-1")


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


def _weight_headers(used: int) -> Headers:
    text = str(used).encode()
    return [(b"x-mbx-used-weight", text), (b"x-mbx-used-weight-1m", text)]


def _refusal(error: ExchangeError, headers: Headers) -> Answer:
    if isinstance(error, LimitExceeded):
        headers = [*headers, (b"retry-after", str(error.retry_after_s).encode())]
    return Answer(error.http_status, errors.body_of(error), headers)


def _fault_answer(fault: FaultAnswer) -> Answer:
    headers: Headers = []
    if fault.retry_after_s is not None:
        headers.append((b"retry-after", str(fault.retry_after_s).encode()))
    return Answer(fault.http_status, {"code": fault.code, "msg": fault.message}, headers)


async def _write(send: Send, answer: Answer) -> None:
    body = orjson.dumps(answer.body)
    headers = [_JSON, (b"content-length", str(len(body)).encode()), *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
