"""What a request to place an order is answered with, whatever kind of order it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import orjson
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import request_id_of
from engine_service.api.problems import json_response, problem
from engine_service.api.views import fill_view, order_with_fills
from engine_service.contract.codes import CODES
from engine_service.domain.errors import EngineError, Refused, Unavailable, VenueRefused
from engine_service.domain.events import IdempotencyMark
from engine_service.execution.answers import SubmitResult, SubmitStatus


def answered(
    request: Request, result: SubmitResult, mark: IdempotencyMark, more: Mapping[str, Any] | None = None
) -> Response:
    """Return the answer to a placed, doubtful or refused order; ``more`` joins the body where it was taken."""
    location = f"/orders/{result.order.client_order_id}"
    headers = {"Location": location}
    if result.replayed:
        headers["Idempotency-Replayed"] = "true"
    match result.status:
        case SubmitStatus.CREATED:
            body = _body(result, mark)
            return json_response({**body, **more} if more else body, 201, headers)
        case SubmitStatus.IN_DOUBT:
            body = {**_body(result, mark), **(more or {}), "status": "IN_DOUBT", "poll": location}
            return json_response(body, 202, headers)
        case SubmitStatus.DENIED:
            error: EngineError = Refused(result.code, result.reason, numbers=result.numbers)
        case SubmitStatus.REJECTED:
            code = result.code if result.code in CODES else "VENUE_REJECTED"
            error = VenueRefused(code, result.reason)
        case SubmitStatus.NOT_PLACED:
            error = Unavailable("VENUE_UNREACHABLE", result.reason)
        case _:
            assert_never(result.status)
    return problem(error, request_id_of(request), instance=location, more=headers)


def _body(result: SubmitResult, mark: IdempotencyMark) -> dict[str, Any]:
    # They stand in the order and beside it: written once.
    fills = orjson.Fragment(orjson.dumps([fill_view(fill) for fill in result.fills]))
    return {
        "order": order_with_fills(result.order, fills),
        "fills": fills,
        "key": mark.key,
        "as_of": result.answered_at_ms,
    }
