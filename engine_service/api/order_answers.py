"""What a request to place an order is answered with, whatever kind of order it was."""

from __future__ import annotations

from math import ceil
from typing import Any, Literal, TypedDict, assert_never

import orjson
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import request_id_of
from engine_service.api.problems import json_response, problem
from engine_service.api.shapes import BracketView, FillView, Ms, OrderView
from engine_service.api.views import fill_view, order_with_fills
from engine_service.contract.codes import CODES
from engine_service.domain.errors import EngineError, Refused, Unavailable, VenueRefused
from engine_service.domain.events import IdempotencyMark
from engine_service.execution.answers import SubmitResult, SubmitStatus


class PlacedOrder(TypedDict):
    """The venue has the order. `key` is the one it was asked under, `as_of` when this was first answered."""

    order: OrderView
    fills: list[FillView]
    key: str
    as_of: Ms


class DoubtfulOrder(PlacedOrder):
    """Whether the venue has the order is not known yet: look at `poll`, or ask again under the same key."""

    status: Literal["IN_DOUBT"]
    poll: str


class Protection(TypedDict):
    """What protects an entry, or is to."""

    bracket: BracketView | None


class PlacedBracket(PlacedOrder, Protection):
    """A placed entry and what protects it."""


class DoubtfulBracket(DoubtfulOrder, Protection):
    """An entry whose outcome is not known yet, and what is to protect it."""


def answered(request: Request, result: SubmitResult, mark: IdempotencyMark, more: Protection | None = None) -> Response:
    """Return the answer to a placed, doubtful or refused order; ``more`` joins the body where it was taken."""
    location = f"/orders/{result.order.client_order_id}"
    headers = {"Location": location}
    if result.replayed:
        headers["Idempotency-Replayed"] = "true"
    match result.status:
        case SubmitStatus.CREATED:
            placed = _body(result, mark)
            return json_response({**placed, **more} if more else placed, 201, headers)
        case SubmitStatus.IN_DOUBT:
            doubtful: DoubtfulOrder = {**_body(result, mark), "status": "IN_DOUBT", "poll": location}
            return json_response({**doubtful, **more} if more else doubtful, 202, headers)
        case SubmitStatus.DENIED:
            wait_s = _wait_s(result)
            error: EngineError = Refused(result.code, result.reason, numbers=result.numbers, retry_after_s=wait_s)
        case SubmitStatus.REJECTED:
            code = result.code if result.code in CODES else "VENUE_REJECTED"
            error = VenueRefused(code, result.reason)
        case SubmitStatus.NOT_PLACED:
            code = result.code if result.code in CODES else "VENUE_UNREACHABLE"
            error = Unavailable(code, result.reason)
        case _:
            assert_never(result.status)
    return problem(error, request_id_of(request), instance=location, more=headers)


def _wait_s(result: SubmitResult) -> int | None:
    """Return the seconds after which such an order may pass, where a rail about pace or a breaker refused it."""
    wait_ms = result.numbers.get("retry_after_ms")
    return None if wait_ms is None else max(1, ceil(int(wait_ms) / 1000))


def _body(result: SubmitResult, mark: IdempotencyMark) -> PlacedOrder:
    # They stand in the order and beside it: written once.
    fills: Any = orjson.Fragment(orjson.dumps([fill_view(fill) for fill in result.fills]))
    return {
        "order": order_with_fills(result.order, fills),
        "fills": fills,
        "key": mark.key,
        "as_of": result.answered_at_ms,
    }
