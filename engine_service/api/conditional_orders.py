"""Orders that wait for a price."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import json_body, ready_engine
from engine_service.api.idempotency import mark_of
from engine_service.api.order_answers import answered
from engine_service.api.order_bodies import KEY_HEADER, STOP_SCHEMA, stop_order
from engine_service.api.queries import Query
from engine_service.execution.submit import submit

router = APIRouter(tags=["orders"])


@router.post("/orders/stop", status_code=201, openapi_extra={**STOP_SCHEMA, **KEY_HEADER})
async def place_stop(request: Request) -> Response:
    """Place a stop or take-profit order, market or limit; its status is TRIGGERED once the stop price was reached."""
    Query(request)
    engine = ready_engine(request)
    order = stop_order(json_body(request), engine.market)
    mark = mark_of(request, "/orders/stop", order)
    return answered(request, await submit(engine.core, order, mark), mark)
