"""What is held and what it is worth. A GET changes nothing."""

from __future__ import annotations

from typing import TypedDict

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.account_view import account_view
from engine_service.api.dependencies import engine_of, no_fields, principal_of, ready_engine
from engine_service.api.problems import json_response
from engine_service.api.queries import Cursors, Query
from engine_service.api.shapes import FillView, Ms, PositionView, Signed
from engine_service.api.views import fill_view, portfolio_view, position_views
from engine_service.domain.errors import Unavailable
from engine_service.domain.ids import OUTSIDE
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderType, TimeInForce
from engine_service.runtime import account_snapshot as accounts
from engine_service.runtime.engine import Engine
from engine_service.storage.port import EquityFilter, EquityPoint, FillFilter, JournalReader
from engine_service.storage.port import FillRow as StoredFill
from engine_service.venues.port import VenueUnavailable

router = APIRouter(tags=["portfolio"])


class Positions(TypedDict):
    """Every position that is not flat."""

    positions: list[PositionView]


class FillRow(FillView):
    """A fill with its place in the journal, the strategy it was for and what kind of order it is of.

    `bar_open_ms` is the bar at whose close the strategy decided on the order; `null` where no bar's close did.
    """

    seq: int
    strategy: str
    leg: str
    type: OrderType
    time_in_force: TimeInForce
    bar_open_ms: Ms | None


class FillPage(TypedDict):
    """Fills, oldest first; `cursor` leads to newer ones, `null` at the end."""

    fills: list[FillRow]
    cursor: str | None


class EquityView(TypedDict):
    """Equity at one moment, in the reporting currency."""

    at_ms: Ms
    equity: Signed
    peak: Signed
    day_start: Signed
    realised_pnl: Signed
    unrealised_pnl: Signed
    fees: Signed
    funding: Signed
    transfers: Signed


class EquityCurve(TypedDict):
    """The recorded equity curve, oldest first."""

    points: list[EquityView]
    cursor: str | None


@router.get("/portfolio")
async def portfolio(request: Request) -> Response:
    """Cash, equity, exposure, PnL, fees and positions at the newest marks."""
    Query(request)
    return json_response(portfolio_view(engine_of(request).core))


@router.get("/positions")
async def positions(request: Request) -> Response:
    """Every position that is not flat."""
    Query(request)
    body: Positions = {"positions": position_views(engine_of(request).core)}
    return json_response(body)


@router.get("/fills")
async def fills(request: Request) -> Response:
    """Fills, oldest first, a page at a time: pass `cursor` on, or start after a known sequence with `after`."""
    engine = engine_of(request)
    known = ("symbol", "strategy", "client_order_id", "since_ms", "until_ms", "after", "cursor", "limit")
    query = Query(request, *known)
    since_ms, until_ms = query.span_ms(engine.core.clock.now_ms())
    filters = {"symbol": query.symbol(), "strategy": query.name("strategy"), "order": query.name("client_order_id")}
    cursors = Cursors(engine.cursor_key, principal_of(request).name)
    after = max(cursors.read(query.text("cursor"), "fills", filters), query.whole("after", 0, 10**18))
    wanted = FillFilter(
        symbol=filters["symbol"],
        strategy=filters["strategy"],
        client_order_id=filters["order"],
        since_ms=since_ms,
        until_ms=until_ms,
        after_seq=after,
        limit=query.limit(),
    )
    found = await engine.core.journal.aside(lambda journal: fill_rows(journal, wanted))
    cursor = cursors.make("fills", filters, found[-1]["seq"]) if len(found) == query.limit() else None
    body: FillPage = {"fills": found, "cursor": cursor}
    return json_response(body)


@router.get("/equity")
async def equity(request: Request) -> Response:
    """The recorded equity curve, oldest first, a page at a time: pass `cursor` on."""
    engine = engine_of(request)
    query = Query(request, "since_ms", "until_ms", "cursor", "limit")
    since_ms, until_ms = query.span_ms(engine.core.clock.now_ms())
    cursors = Cursors(engine.cursor_key, principal_of(request).name)
    wanted = EquityFilter(
        since_ms=since_ms,
        until_ms=until_ms,
        after_seq=cursors.read(query.text("cursor"), "equity", {}),
        limit=query.limit(),
    )
    points = await engine.core.journal.aside(lambda journal: journal.equity_curve(wanted))
    cursor = cursors.make("equity", {}, points[-1].seq) if len(points) == query.limit() else None
    body: EquityCurve = {"points": [_equity(point) for point in points], "cursor": cursor}
    return json_response(body)


@router.get("/account_snapshot")
async def account_snapshot(request: Request) -> Response:
    """The venue's own view of the account; `force=true` asks the venue now."""
    engine = ready_engine(request)
    query = Query(request, "force")
    return await _snapshot(engine, force=query.flag("force"))


@router.post("/account_snapshot/refresh")
async def refresh(request: Request) -> Response:
    """Ask the venue for the account now."""
    Query(request)
    no_fields(request)
    return await _snapshot(ready_engine(request), force=True)


async def _snapshot(engine: Engine, *, force: bool) -> Response:
    try:
        return json_response(account_view(await accounts.account_snapshot(engine, force=force)))
    except VenueUnavailable as error:
        raise Unavailable("VENUE_UNREACHABLE", "The venue did not answer; nothing was changed.") from error


def fill_rows(journal: JournalReader, wanted: FillFilter) -> list[FillRow]:
    """Return fills with what kind of order each is of; the journal holds no fill without its order."""
    rows = journal.fills(wanted)
    found = [journal.order(cid) for cid in {row.fill.client_order_id for row in rows}]
    orders = {order.client_order_id: order for order in found if order is not None}
    return [_fill_row(row, orders[row.fill.client_order_id]) for row in rows]


def _fill_row(row: StoredFill, order: Order) -> FillRow:
    # A wish from outside names the newest bar, but nothing was decided at its close.
    bar = None if order.why.get("source") == OUTSIDE else order.why.get("bar_open_ms")
    return {
        **fill_view(row.fill),
        "seq": row.seq,
        "strategy": row.strategy,
        "leg": order.leg,
        "type": order.type,
        "time_in_force": order.time_in_force,
        "bar_open_ms": None if bar is None else int(bar),
    }


def _equity(point: EquityPoint) -> EquityView:
    values = point.values
    return {
        "at_ms": point.at_ms,
        "equity": values["equity"],
        "peak": values["peak"],
        "day_start": values["day_start"],
        "realised_pnl": values["realised_pnl"],
        "unrealised_pnl": values["unrealised_pnl"],
        "fees": values["fees"],
        "funding": values["funding"],
        "transfers": values["transfers"],
    }
