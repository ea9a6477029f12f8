"""Orders that wait for a price, and entries that bring their protection with them."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.bracket_view import bracket_view
from engine_service.api.dependencies import home_of, json_body, ready_engine
from engine_service.api.idempotency import mark_of
from engine_service.api.order_answers import answered
from engine_service.api.order_bodies import bracket_order, stop_order
from engine_service.api.order_schemas import BRACKET_SCHEMA, KEY_HEADER, STOP_SCHEMA
from engine_service.api.queries import Query
from engine_service.api.timeliness import refuse_untimely, take_timestamp
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.protect import is_complete, is_entry
from engine_service.execution.submit import submit

router = APIRouter(tags=["orders"])

#: How long the answer to a bracket waits for its legs; they come in any case.
LEGS_WITHIN_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.01


@router.post("/orders/stop", status_code=201, openapi_extra={**STOP_SCHEMA, **KEY_HEADER})
async def place_stop(request: Request) -> Response:
    """Place a stop or take-profit order, market or limit; its status is TRIGGERED once the stop price was reached."""
    Query(request)
    engine = ready_engine(request)
    body = json_body(request)
    made_ms = take_timestamp(body)
    order = stop_order(body, home_of(engine))
    mark = mark_of(request, "/orders/stop", order)
    refuse_untimely(engine.core, mark, made_ms)
    return answered(request, await submit(engine.core, order, mark, as_written=True), mark)


@router.post("/orders/bracket", status_code=201, openapi_extra={**BRACKET_SCHEMA, **KEY_HEADER})
async def place_bracket(request: Request) -> Response:
    """Place an entry with a take-profit and a stop-loss, of which one cancels the other.

    What has filled is protected within two seconds, after a crash of the engine within two of its being ready again:
    by an order list or linked orders resting at the venue, or by the engine where the venue has neither, and while it
    is in doubt whether they rest. Where the protection is refused for good, the position is closed at market.
    """
    Query(request)
    engine = ready_engine(request)
    core = engine.core
    body = json_body(request)
    made_ms = take_timestamp(body)
    order = bracket_order(body, home_of(engine))
    mark = mark_of(request, "/orders/bracket", order)
    refuse_untimely(core, mark, made_ms)
    result = await submit(core, order, mark, as_written=True)
    await _legs(core, result.order)
    entry = core.state.order(result.order.client_order_id) or result.order
    return answered(request, result, mark, {"bracket": bracket_view(core, entry)})


async def _legs(core: EngineCore, entry: Order) -> None:
    """Wait a little until what has filled is protected; a market entry may fill a moment after its answer."""
    deadline_s = core.clock.monotonic_s() + LEGS_WITHIN_S
    while core.clock.monotonic_s() < deadline_s:
        now = core.state.order(entry.client_order_id)
        if now is None or entry.client_order_id in core.state.image.closed_brackets:
            return
        if is_complete(core, now) if is_entry(now) else not _fills_at_once(now):
            return
        await core.sleep(_LOOK_EVERY_S)


def _fills_at_once(entry: Order) -> bool:
    return entry.is_open and entry.type is OrderType.MARKET
