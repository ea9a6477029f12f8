"""The switches a person reaches for: halt, resume, flatten, reconcile."""

from __future__ import annotations

import secrets
from typing import Any, TypedDict

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.body import is_plain_text
from engine_service.api.dependencies import engine_of, no_fields, optional_body, principal_of, ready_engine
from engine_service.api.fields import Fields, wrong
from engine_service.api.once import mark_in
from engine_service.api.problems import json_response
from engine_service.api.queries import Query
from engine_service.api.schema_parts import MAX_REASON
from engine_service.api.shapes import OrderView
from engine_service.api.views import order_view, reconcile_view
from engine_service.domain.errors import InvalidRequest, Refused
from engine_service.domain.events import Anomaly, IdempotencyMark
from engine_service.execution.cancel import CancelResult, CancelStatus
from engine_service.execution.halt import flatten, halt, resume
from engine_service.execution.reconcile import reconcile

router = APIRouter(tags=["control"])


class CanceledOrder(TypedDict):
    """What became of the cancel of one order."""

    client_order_id: str
    status: CancelStatus


class HaltAnswer(TypedDict):
    """Trading is halted; `already` says that it was before, `kept` that a restart will know of it, also one after a
    full disk."""

    halted: bool
    already: bool
    kept: bool
    canceled: list[CanceledOrder]


class ResumeAnswer(TypedDict):
    """Trading goes on; `halted` says that it was halted again before the same request came once more."""

    halted: bool


class FlattenAnswer(TypedDict):
    """The orders that close positions; `left` names the symbols that stay, with the code of why.

    `ORDER_IN_DOUBT`: it is not known yet what an order of the symbol traded; once that is settled, ask
    again under a new key.
    `POSITION_STILL_HELD`: its closing order has not traded all of it by now, or an order traded
    meanwhile; ask again under a new key.
    """

    canceled: list[CanceledOrder]
    orders: list[OrderView]
    left: dict[str, str]


@router.post("/control/halt")
async def post_halt(request: Request) -> Response:
    """Stop all new risk now and cancel working orders. Stopping must be easy: any token may, and a broken body does.

    Every stop needs a new `Idempotency-Key`, or none: what was asked for under a key before is not done again.
    """
    engine = engine_of(request)
    result = await halt(engine.core, reason=_forgiving_reason(request), principal=principal_of(request).name)
    canceled = _canceled(result.canceled)
    body: HaltAnswer = {"halted": True, "already": result.already, "kept": result.kept, "canceled": canceled}
    return json_response(body)


@router.post("/control/resume")
async def post_resume(request: Request) -> Response:
    """Lift a halt; needs a reason. Under the same `Idempotency-Key` a repeated request lifts no later halt."""
    engine = ready_engine(request)
    Query(request)
    reason = _needed_reason(request, "Say why trading may go on.")
    halted = engine.core.state.image.halt
    same = halted is not None and halted.principal == principal_of(request).name
    if same and engine.settings.two_person_resume:
        raise Refused("SECOND_PERSON_REQUIRED", "Ask another caller with an admin token to lift it.")
    await resume(engine.core, reason=reason, principal=principal_of(request).name, mark=mark_in(request))
    body: ResumeAnswer = {"halted": engine.core.state.halted}
    return json_response(body)


@router.post("/control/flatten")
async def post_flatten(request: Request) -> Response:
    """Cancel what works and close every position by reduce-only orders; works while halted."""
    engine = ready_engine(request)
    Query(request)
    asked = optional_body(request)
    symbol = Fields({"symbol": asked.pop("symbol")}).take_symbol() if "symbol" in asked else ""
    _reason(asked)
    principal = principal_of(request).name
    mark = mark_in(request) or IdempotencyMark(
        scope=f"{principal}|/control/flatten", key=secrets.token_hex(16), fingerprint="", principal=principal
    )
    result = await flatten(engine.core, idem=mark, principal=principal, symbol=symbol)
    body: FlattenAnswer = {
        "canceled": _canceled(result.canceled),
        "orders": [order_view(found.order, found.fills) for found in result.orders],
        "left": dict(result.left),
    }
    return json_response(body)


@router.post("/reconcile")
@router.post("/reconcile/manual", include_in_schema=False)
async def post_reconcile(request: Request) -> Response:
    """Compare engine and venue now: what was imported, what was closed, what still differs."""
    engine = ready_engine(request)
    Query(request)
    no_fields(request)
    return json_response(reconcile_view(await reconcile(engine.core, trigger="manual")))


@router.post("/reconcile/adopt")
async def post_adopt(request: Request) -> Response:
    """Compare, and take over what no trade explains; needs a reason. Nothing is traded, and a halt stays."""
    engine = ready_engine(request)
    Query(request)
    reason = _needed_reason(request, "Say why the venue's figures are right.")
    report = await reconcile(engine.core, trigger="manual", adopt=True)
    taken = [name for venue in report.venues for name in venue.adopted]
    if taken:
        detail = f"{principal_of(request).name}: {reason}"
        now = engine.core.clock.now_ms()
        await engine.core.commit(
            *(Anomaly(at_ms=now, kind="adopted_by_person", subject=name, detail=detail) for name in taken)
        )
    return json_response(reconcile_view(report))


def _forgiving_reason(request: Request) -> str:
    try:
        reason = optional_body(request).get("reason", "")
    except InvalidRequest:
        return ""
    return reason[:MAX_REASON] if isinstance(reason, str) and is_plain_text(reason) else ""


def _reason(body: dict[str, Any]) -> str:
    fields = Fields(body)
    reason = fields.take_reason()
    fields.finish()
    return reason


def _needed_reason(request: Request, otherwise: str) -> str:
    reason = _reason(optional_body(request))
    if not reason:
        raise wrong("reason", "REASON_REQUIRED", otherwise)
    return reason


def _canceled(results: tuple[CancelResult, ...]) -> list[CanceledOrder]:
    return [{"client_order_id": found.order.client_order_id, "status": found.status} for found in results]
