"""What a route gets from its request: the engine, the caller, the body."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from engine_service.api.body import MAX_DEPTH, MAX_LIST_LENGTH, read_object
from engine_service.api.fields import Fields
from engine_service.api.grants import Principal
from engine_service.api.order_bodies import Home
from engine_service.domain.errors import Unavailable
from engine_service.runtime.engine import Engine


def engine_of(request: Request) -> Engine:
    """Return the engine this application serves."""
    engine: Engine = request.scope["app"].state["engine"]
    return engine


def ready_engine(request: Request) -> Engine:
    """Return the engine once it may trade.

    Raises:
        Unavailable: ``JOURNAL_UNAVAILABLE`` after a failed commit, ``NOT_READY`` while it starts or recovers.
    """
    engine = engine_of(request)
    if engine.core.journal.failed:
        raise Unavailable("JOURNAL_UNAVAILABLE", "The journal cannot be written; nothing is sent.")
    if not engine.core.ready:
        reasons = "; ".join(engine.core.not_ready_because) or engine.core.phase.value
        code = "VENUE_NOT_READY" if reasons.startswith("venue ") else "NOT_READY"
        raise Unavailable(code, f"The engine is not ready: {reasons}.", retry_after_s=2)
    return engine


def cancelling_engine(request: Request) -> Engine:
    """Return the engine where it may cancel: also when it can record nothing any more, as on a full disk.

    Raises:
        Unavailable: ``NOT_READY`` while it starts or recovers.
    """
    engine = engine_of(request)
    return ready_engine(request) if engine.core.records else engine


def home_of(engine: Engine) -> Home:
    """Return the market and the venue of an order that names none."""
    return Home(engine.market, engine.core.default_venue)


def principal_of(request: Request) -> Principal:
    """Return who calls; the gate has let them in."""
    principal: Principal = request.scope["state"]["principal"]
    return principal


def raw_body(request: Request) -> bytes:
    """Return the body the gate has read."""
    body: bytes = request.scope["state"].get("body", b"")
    return body


def json_body(
    request: Request, *, max_list: int = MAX_LIST_LENGTH, max_depth: int = MAX_DEPTH, any_exponent: bool = False
) -> dict[str, Any]:
    """Return the strict JSON object of the body.

    Raises:
        InvalidRequest: as ``read_object``.
    """
    return read_object(raw_body(request), max_list=max_list, max_depth=max_depth, any_exponent=any_exponent)


def optional_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of the body, empty where there is no body.

    Raises:
        InvalidRequest: as ``read_object``.
    """
    return json_body(request) if raw_body(request).strip() else {}


def no_fields(request: Request) -> None:
    """Refuse a body that says anything: who sends one means something by it that would not be done.

    Raises:
        InvalidRequest: as ``read_object``, or ``FIELD_UNKNOWN``.
    """
    Fields(optional_body(request)).finish()


def request_id_of(request: Request) -> str:
    """Return the id that the answer and the log share."""
    return str(request.scope["state"]["request_id"])
