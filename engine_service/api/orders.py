"""Orders: place, list, explain, change, cancel."""

from __future__ import annotations

import re
from typing import Literal, TypedDict

from fastapi import APIRouter
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.bracket_view import bracket_view
from engine_service.api.dependencies import (
    cancelling_engine,
    engine_of,
    home_of,
    json_body,
    no_fields,
    principal_of,
    ready_engine,
)
from engine_service.api.idempotency import mark_of
from engine_service.api.once import mark_in
from engine_service.api.order_answers import answered
from engine_service.api.order_bodies import amendment, limit_order, market_order
from engine_service.api.order_schemas import (
    AMEND_SCHEMA,
    KEY_HEADER,
    LIMIT_SCHEMA,
    MARKET_SCHEMA,
)
from engine_service.api.problems import json_response
from engine_service.api.queries import Cursors, Query
from engine_service.api.shapes import BracketView, OrderView, RecordedEvent
from engine_service.api.timeliness import refuse_untimely, take_timestamp
from engine_service.api.views import event_view, order_view
from engine_service.domain.errors import InvalidRequest, NotFound
from engine_service.domain.events import IdempotencyMark
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.amend import amend
from engine_service.execution.amend_result import AmendStatus
from engine_service.execution.cancel import CancelStatus, cancel, cancel_all
from engine_service.execution.submit import submit
from engine_service.runtime.engine import Engine
from engine_service.storage.port import FillFilter, OrderFilter

router = APIRouter(tags=["orders"])

_CLIENT_ID = re.compile(r"^[A-Za-z0-9_-]{8,64}$")


class OrderPage(TypedDict):
    """Orders, newest first; `cursor` leads to older ones, `null` at the end."""

    orders: list[OrderView]
    cursor: str | None


class OrderStory(TypedDict):
    """An order with its fills, its bracket and its whole history."""

    order: OrderView
    bracket: BracketView | None
    history: list[RecordedEvent]


class CancelAnswer(TypedDict):
    """What became of a cancel, with the order as it stands."""

    order: OrderView
    status: CancelStatus


class CancelPending(CancelAnswer):
    """The cancel is asked for and not settled yet."""

    code: Literal["CANCEL_PENDING"]


class CancelsAnswer(TypedDict):
    """Every order that was to be cancelled, as it stands."""

    orders: list[OrderView]


class AmendAnswer(TypedDict):
    """What became of a change; `replaced` is the order before, where the venue replaces it.

    `refused`: the order works as before. `canceled`: the venue ended it and took none in its place, see its `reason`.
    """

    order: OrderView
    status: AmendStatus
    replaced: OrderView | None


@router.post("/orders/market", status_code=201, openapi_extra={**MARKET_SCHEMA, **KEY_HEADER})
async def place_market(request: Request) -> Response:
    """Place a market order of `quantity` (base) or for `quote`.

    A quantity off the instrument's step is refused with the nearest that pass; a quantity from `quote` is rounded down.
    """
    engine = ready_engine(request)
    body = json_body(request)
    made_ms = take_timestamp(body)
    order = market_order(body, home_of(engine))
    mark = mark_of(request, "/orders/market", order)
    refuse_untimely(engine.core, mark, made_ms)
    return await _submitted(request, engine, order, mark)


@router.post("/orders/limit", status_code=201, openapi_extra={**LIMIT_SCHEMA, **KEY_HEADER})
async def place_limit(request: Request) -> Response:
    """Place a limit order: GTC, IOC, FOK or post-only.

    A price off the instrument's tick, or a quantity off its step, is refused with the nearest that pass.
    """
    engine = ready_engine(request)
    body = json_body(request)
    made_ms = take_timestamp(body)
    order = limit_order(body, home_of(engine))
    mark = mark_of(request, "/orders/limit", order)
    refuse_untimely(engine.core, mark, made_ms)
    return await _submitted(request, engine, order, mark)


@router.get("/orders")
async def list_orders(request: Request) -> Response:
    """Orders, newest first; pass `cursor` on for older ones."""
    engine = engine_of(request)
    query = Query(request, "symbol", "strategy", "status", "open", "since_ms", "until_ms", "cursor", "limit")
    since_ms, until_ms = query.span_ms(engine.core.clock.now_ms())
    status = query.text("status")
    if status and status not in OrderStatus.__members__:
        raise InvalidRequest("QUERY_INVALID", f"Allowed: {', '.join(OrderStatus)}.")
    filters = {
        "symbol": query.symbol(),
        "strategy": query.name("strategy"),
        "status": status,
        "open": str(query.flag("open")),
    }
    cursors = Cursors(engine.cursor_key, principal_of(request).name)
    wanted = OrderFilter(
        symbol=filters["symbol"],
        strategy=filters["strategy"],
        statuses=(status,) if status else (),
        open_only=query.flag("open"),
        since_ms=since_ms,
        until_ms=until_ms,
        before_seq=cursors.read(query.text("cursor"), "orders", filters),
        limit=query.limit(),
    )
    rows = await engine.core.journal.aside(lambda journal: journal.orders(wanted))
    cursor = cursors.make("orders", filters, rows[-1].seq) if len(rows) == query.limit() else None
    body: OrderPage = {"orders": [order_view(row.order) for row in rows], "cursor": cursor}
    return json_response(body)


@router.get("/orders/{client_order_id}")
async def get_order(request: Request, client_order_id: str) -> Response:
    """One order with its fills, its whole history from the journal, and why it was sent."""
    Query(request)
    engine = engine_of(request)
    order = engine.core.order(_known_form(client_order_id))
    if order is None:
        raise NotFound("ORDER_UNKNOWN", "There is no such order.")
    of_order = FillFilter(client_order_id=client_order_id, limit=1_000)
    rows, history = await engine.core.journal.aside(
        lambda journal: (journal.fills(of_order), journal.order_history(client_order_id))
    )
    body: OrderStory = {
        "order": order_view(order, [row.fill for row in rows]),
        "bracket": bracket_view(engine.core, order),
        "history": [event_view(event) for event in history],
    }
    return json_response(body)


@router.delete("/orders/{client_order_id}")
async def cancel_order(request: Request, client_order_id: str) -> Response:
    """Cancel one order; 202 while the outcome is not known.

    Of an order in doubt the wish is written down and sent to the venue by the order's own id: 202 at once. Repeated
    without an `Idempotency-Key` it is refused as `ORDER_TERMINAL`.
    """
    Query(request)
    no_fields(request)
    engine = cancelling_engine(request)
    found = await cancel(
        engine.core,
        _known_form(client_order_id),
        principal=principal_of(request).name,
        mark=mark_in(request) or UNSET,
    )
    body: CancelAnswer = {"order": order_view(found.order), "status": found.status}
    if found.status is CancelStatus.PENDING:
        pending: CancelPending = {**body, "code": "CANCEL_PENDING"}
        return json_response(pending, 202)
    return json_response(body)


@router.delete("/orders")
async def cancel_orders(request: Request) -> Response:
    """Cancel every working order, of a symbol and a strategy where they are named; asked again, what works by then.

    Under the same `Idempotency-Key` what was canceled the first time is told again, and nothing else is canceled.
    """
    query = Query(request, "symbol", "strategy")
    no_fields(request)
    engine = cancelling_engine(request)
    found = await cancel_all(
        engine.core,
        symbol=query.symbol(),
        strategy=query.name("strategy"),
        principal=principal_of(request).name,
    )
    body: CancelsAnswer = {"orders": [order_view(one.order) for one in found]}
    return json_response(body)


@router.patch("/orders/{client_order_id}", openapi_extra=AMEND_SCHEMA)
async def amend_order(request: Request, client_order_id: str) -> Response:
    """Change the price or the quantity of a working order, in place or by replacing it; 202 while that is not known."""
    Query(request)
    engine = ready_engine(request)
    price, quantity = amendment(json_body(request))
    found = await amend(
        engine.core,
        _known_form(client_order_id),
        limit_price=price,
        quantity=quantity,
        principal=principal_of(request).name,
        mark=mark_in(request),
    )
    body: AmendAnswer = {
        "order": order_view(found.order),
        "status": found.status,
        "replaced": order_view(found.replaced) if found.replaced else None,
    }
    return json_response(body, 202 if found.status is AmendStatus.PENDING else 200)


async def _submitted(request: Request, engine: Engine, order: OrderRequest, mark: IdempotencyMark) -> Response:
    Query(request)
    return answered(request, await submit(engine.core, order, mark, as_written=True), mark)


def _known_form(client_order_id: str) -> str:
    if not _CLIENT_ID.fullmatch(client_order_id):
        raise NotFound("ORDER_UNKNOWN", "There is no such order.")
    return client_order_id
