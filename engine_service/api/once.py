"""One key, one effect, one answer: what every route that is marked ``once`` does with an idempotency key.

The gate calls this around the endpoint, so that no route has lines of its own for it. A request is carried out by the
first who sends a key; its answer is on the disk before it is given, and told again to whoever sends the same once more.
What was found wrong with a request leaves its key free; what a rail, a venue or the state of things refused is an
answer. Without a key nothing of this happens.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine_service.api.body import read_object
from engine_service.api.dependencies import engine_of, principal_of, raw_body, request_id_of
from engine_service.api.idempotency import optional_key
from engine_service.api.problems import Answer, json_response, problem
from engine_service.api.routes import SMALL_BODY, Access
from engine_service.contract.codes import spec_of
from engine_service.domain.errors import Conflict, EngineError, InvalidRequest, Refused, Unavailable, VenueRefused
from engine_service.domain.events import AnswerRecorded, IdempotencyMark
from engine_service.domain.money import plain
from engine_service.execution.core import EngineCore
from engine_service.execution.same_key import claim
from engine_service.storage.port import StoredAnswer

ANSWERED: Final = "answered"
REPLAYED: Final = {"Idempotency-Replayed": "true"}
#: Something else is under way: the same request is to be sent again, under the same key.
_LATER: Final = frozenset({"ORDER_BUSY", "RECONCILE_RUNNING", "IDEMPOTENCY_IN_PROGRESS"})
_FIGURE: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")


async def once(request: Request, route: Route, access: Access) -> Response:
    """Carry a request out, or tell what was answered to it before.

    Raises:
        InvalidRequest: the key is malformed, or was used for something else.
        Conflict: the same request is still running.
        Unavailable: the answer could not be kept; sent again after a restart it is found out or carried out again.
    """
    core, mark = engine_of(request).core, _mark(request, route, access)
    if mark is None or not core.records:
        return await _carried_out(request, route)
    try:
        told = await claim(core, mark)
    except sqlite3.Error:
        if access.stops:
            return await _carried_out(request, route)
        raise
    if told is not None and _is_told_again(core, told):
        return _again(request, core, told)
    try:
        # Where an answer is known that is not told again, the endpoint tells how the order of this key stands.
        answer, kept = await _answer(request, route, mark)
        if told is None or not told.status_code:
            await _keep(core, kept, access)
    finally:
        core.idempotency.abandon(mark)
    if told is not None:
        answer.add_headers(REPLAYED)
    return answer


def mark_in(request: Request) -> IdempotencyMark | None:
    """Return the key that a request is being carried out under."""
    mark: IdempotencyMark | None = request.scope["state"].get("mark")
    return mark


def _mark(request: Request, route: Route, access: Access) -> IdempotencyMark | None:
    try:
        key = optional_key(request)
    except InvalidRequest:
        if access.any_body:
            return None
        raise
    if key is None:
        return None
    principal = principal_of(request).name
    return IdempotencyMark(
        scope=f"{principal}|{request.method} {route.path}",
        key=key,
        fingerprint=_fingerprint(request),
        principal=principal,
    )


def _fingerprint(request: Request) -> str:
    """Return the hash of what is asked, however it is written: order of names, zeros at an end, fields left out."""
    query = sorted(parse_qsl(request.url.query, keep_blank_values=True))
    asked = [request.path_params, query, _asked(raw_body(request))]
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _asked(body: bytes) -> Any:
    """Return the body as values; one that is long, or that not everybody may send, as it was written."""
    if len(body) <= SMALL_BODY:
        try:
            return _normal(read_object(body)) if body.strip() else {}
        except InvalidRequest:
            pass  # whether it is wrong is for the endpoint to say
    return hashlib.sha256(body).hexdigest()


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _normal(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, str):
        return plain(Decimal(value)) if _FIGURE.fullmatch(value) else str(value)
    return value


async def _answer(request: Request, route: Route, mark: IdempotencyMark) -> tuple[Answer, StoredAnswer]:
    """Carry a request out; return its answer, and what is to be kept of it.

    Raises:
        EngineError: it was refused, and its key stays free.
    """
    request.scope["state"]["mark"] = mark
    core, cid = engine_of(request).core, request.path_params.get("client_order_id", "")
    try:
        answer = await _carried_out(request, route)
    except EngineError as error:
        if not _is_answer(error):
            raise
        refusal = StoredAnswer(
            mark=mark,
            at_ms=core.clock.now_ms(),
            outcome=error.code,
            client_order_id=cid,
            numbers=error.numbers,
            status_code=spec_of(error.code).status,
            body=error.detail,
        )
        return problem(error, request_id_of(request)), refusal
    kept = StoredAnswer(
        mark=mark,
        at_ms=core.clock.now_ms(),
        outcome=ANSWERED,
        client_order_id=cid,
        numbers=answer.own_headers(),
        status_code=answer.status_code,
        body=bytes(answer.body).decode(),
    )
    return answer, kept


async def _carried_out(request: Request, route: Route) -> Answer:
    answer: Answer = await route.endpoint(request, **request.path_params)
    return answer


def _is_answer(error: EngineError) -> bool:
    """Tell whether a refusal is what the key stands for: what may pass later then needs a new one."""
    return isinstance(error, Refused | VenueRefused) or (isinstance(error, Conflict) and error.code not in _LATER)


async def _keep(core: EngineCore, answer: StoredAnswer, access: Access) -> None:
    """Write an answer down before anybody hears it, then give it to those who wait for it."""
    try:
        await core.commit(
            AnswerRecorded(
                at_ms=answer.at_ms,
                mark=answer.mark,
                outcome=answer.outcome,
                client_order_id=answer.client_order_id,
                numbers=answer.numbers,
                status_code=answer.status_code,
                body=answer.body,
            )
        )
    except Unavailable:
        if not access.stops:
            raise
        return  # it was carried out: who stops the engine must not read that it was not
    core.idempotency.finish(answer)


def _is_told_again(core: EngineCore, told: StoredAnswer) -> bool:
    """Tell whether an answer is told word for word: that of an order for a while, any other as long as its key holds.

    An answer without a status was never given: the engine ended before.
    """
    if not told.status_code:
        return False
    return not told.client_order_id or told.outcome != ANSWERED or core.idempotency.is_fresh(told)


def _again(request: Request, core: EngineCore, told: StoredAnswer) -> Answer:
    if told.outcome != ANSWERED:
        error = EngineError(told.outcome, told.body, numbers=told.numbers)
        return problem(error, request_id_of(request), more=REPLAYED)
    body = orjson.loads(told.body)
    if "halted" in body:
        body["halted"] = core.state.halted  # nobody may take from memory whether trading stands still
    return json_response(body, told.status_code, {**told.numbers, **REPLAYED})
