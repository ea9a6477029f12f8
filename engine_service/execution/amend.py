"""Changing a working order: in place where the venue can, else a cancel and a new order in one request.

What a change would leave working is judged by every rail, unless it only makes the order smaller, so that nothing can
grow past a cap. A replacing order is an order of its own; its outcome and the old one's are settled apart, because a
venue can do the one and fail at the other.
"""

from __future__ import annotations

import asyncio
import secrets
from decimal import Decimal

from msgspec import UNSET

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict, InvalidRequest, Refused, VenueRefused
from engine_service.domain.ids import Market
from engine_service.domain.money import plain
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.amend_result import AmendResult, became_of, changed, replaced, replacement_id
from engine_service.execution.amend_settle import never_sent, settle_in_place, settle_kept_back, settle_legs
from engine_service.execution.cancel import CANCELABLE
from engine_service.execution.core import EngineCore
from engine_service.execution.first_price import lacks_price, read_prices
from engine_service.execution.prepare import order_of, risk_context
from engine_service.execution.send import feed_breaker, kept_back
from engine_service.risk.context import CONDITIONAL, RiskContext, RiskRefused
from engine_service.risk.gate import Approved
from engine_service.risk.grid import price_off_grid, quantity_off_grid
from engine_service.venues.port import AmendRequest, VenueUnavailable
from engine_service.venues.reports import OutcomeUnknown, SubmitOutcome

AMEND_TIMEOUT_S = 15.0


async def amend(
    core: EngineCore,
    client_order_id: str,
    *,
    limit_price: Decimal | None = None,
    quantity: Decimal | None = None,
    principal: str,
    mark: e.IdempotencyMark | None = None,
) -> AmendResult:
    """Change price (quote per base) and / or total quantity (base) of a working order.

    ``mark`` is the caller's idempotency key: the id of a replacing order is derived from it. A change that was asked
    for under the same key before is not made again: the answer is what became of it.

    Raises:
        NotFound: no such order.
        Conflict: it is finished, or something is being asked of it right now.
        InvalidRequest: nothing is to be changed, or a figure is off the instrument's grid.
        Refused: a rail refused the changed order; the old one works on.
        VenueRefused: a post-only order would trade at once at the price; the old one works on.
        Unavailable: the journal failed.
    """
    if mark is not None and core.journal.answer(mark.scope, mark.key) is not None:
        return became_of(core, client_order_id, mark)
    request = await _asked(core, client_order_id, limit_price, quantity)
    order = request.order
    replacement, unit_value = None, order.unit_value
    if not _only_shrinks(order, request):
        judged = _judged(core, order, request)
        # The dearer of both prices: until the venue has said which it is, and after it, no cap may be passed by it.
        unit_value = max(unit_value, judged.reservation.unit_value)
        if order.market is not Market.FUTURES:
            key = secrets.token_hex(16) if mark is None else mark.key
            new_id = replacement_id(core, order, principal, key)
            replacement = order_of(core, judged.context, new_id, judged.reservation)
    await core.commit(
        e.OrderPendingUpdate(
            at_ms=core.clock.now_ms(),
            client_order_id=client_order_id,
            limit_price=request.limit_price,
            quantity=request.quantity,
            principal=principal,
            fence_at_ms=_fence(core, order),
            unit_value=unit_value if replacement is None and unit_value != order.unit_value else UNSET,
            idempotency=UNSET if mark is None else mark,
        ),
        *([] if replacement is None else _initial(core, replacement)),
    )
    work = _carry_out(core, client_order_id, request, replacement)
    task = core.spawn(f"amend:{client_order_id}", work)
    await asyncio.wait({task}, timeout=core.answer_deadline_s)
    if task.done() and not task.cancelled() and task.exception() is not None:
        await task
    await core.journal.flush()  # the stream may have told it first, and that may not be on the disk yet
    return changed(core, request) if replacement is None else replaced(core, client_order_id, replacement)


async def _asked(
    core: EngineCore, client_order_id: str, limit_price: Decimal | None, quantity: Decimal | None
) -> AmendRequest:
    """Return what is asked of the order as it stands, once the rails have a price to judge it by."""
    request = _request(core, _amendable(core, client_order_id), limit_price, quantity)
    order = request.order
    if _only_shrinks(order, request) or not lacks_price(core, order.symbol, order.market):
        return request
    await read_prices(core, core.instrument(order.symbol, order.market))
    return _request(core, _amendable(core, client_order_id), limit_price, quantity)  # it may have moved meanwhile


def _amendable(core: EngineCore, client_order_id: str) -> Order:
    order = core.known_order(client_order_id)
    if not order.is_open:
        status = order.status.value
        raise Conflict("ORDER_TERMINAL", f"the order is {status}", numbers={"status": status})
    if order.status not in CANCELABLE or f"amend:{client_order_id}" in core.tasks:
        why = f"the order is {order.status.value}, or a change of it is on its way; wait until that is settled"
        raise Conflict("ORDER_BUSY", why)
    if order.why.get("bracket"):
        raise InvalidRequest("AMEND_NOT_SUPPORTED", "a bracket keeps its own legs; cancel one and place what you want")
    if order.market is Market.FUTURES and order.type in CONDITIONAL:
        raise InvalidRequest("AMEND_NOT_SUPPORTED", "this venue cannot change a conditional order; cancel it")
    return order


def _request(core: EngineCore, order: Order, limit_price: Decimal | None, quantity: Decimal | None) -> AmendRequest:
    instrument = core.instrument(order.symbol, order.market)
    off_grid = (None if limit_price is None else price_off_grid(instrument, limit_price)) or (
        None if quantity is None else quantity_off_grid(instrument, quantity)
    )
    if off_grid is not None:
        raise InvalidRequest(off_grid.code, off_grid.reason, numbers=off_grid.numbers)
    price = None if limit_price == order.limit_price else limit_price
    size = None if quantity == order.quantity else quantity
    if price is None and size is None:
        raise InvalidRequest("NOTHING_TO_CHANGE", "give another limit price or another quantity")
    if price is not None and order.limit_price is None:
        raise InvalidRequest("PRICE_NOT_ALLOWED", "this order has no limit price")
    if (price is not None and price <= 0) or (size is not None and size <= order.filled_quantity):
        raise InvalidRequest("QUANTITY_NOT_POSITIVE", "the changed order would have nothing left to trade")
    return AmendRequest(order=order, limit_price=price, quantity=size)


def _only_shrinks(order: Order, request: AmendRequest) -> bool:
    return request.limit_price is None and request.quantity is not None and request.quantity < (order.quantity or 0)


def _judged(core: EngineCore, order: Order, request: AmendRequest) -> Approved:
    """Have the rails judge what the change would leave working, whether in place or as an order of its own.

    Raises:
        Refused: a rail said no; the order works on as it is.
    """
    quantity = (request.quantity or order.quantity or Decimal(0)) - order.filled_quantity
    ctx = risk_context(
        core,
        OrderRequest(
            symbol=order.symbol,
            market=order.market,
            side=order.side,
            type=order.type,
            quantity=quantity,
            limit_price=request.limit_price or order.limit_price,
            stop_price=order.stop_price,
            time_in_force=order.time_in_force,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
            strategy=order.strategy,
            tag=order.tag,
            leg=order.leg,
            why={
                **order.why,
                "replaces": order.client_order_id,
                "quantity": plain(request.quantity or order.quantity or Decimal(0)),
            },
            bracket=order.bracket,
        ),
    )
    # The old order's own reservation must not stand in the way of its replacement.
    core.state.exposure.release(order)
    try:
        verdict = core.gate.check(ctx)
    finally:
        core.state.exposure.reserve(order)
    if isinstance(verdict, RiskRefused):
        raise Refused(verdict.code, verdict.reason, numbers=verdict.numbers)
    _refuse_taking(ctx)
    return verdict


def _refuse_taking(ctx: RiskContext) -> None:
    """Refuse to move a post-only order across the book: the venue ends the old order before it refuses the new one.

    Raises:
        VenueRefused: ``VENUE_WOULD_TAKE``, as of an order that is placed so; the order works on as it is.
    """
    mark, price = ctx.mark, ctx.limit_price
    if not ctx.request.post_only or mark is None or not mark.is_valid or price is None:
        return
    touch = mark.touch(ctx.side)
    if ctx.may_trade_at(touch):
        numbers = {"measured": plain(price), "limit": plain(touch)}
        raise VenueRefused("VENUE_WOULD_TAKE", "the changed order would trade at once; it works on", numbers=numbers)


def _initial(core: EngineCore, order: Order) -> list[e.Event]:
    now, fence, cid = core.clock.now_ms(), _fence(core, order), order.client_order_id
    return [
        e.OrderInitialized(at_ms=now, client_order_id=cid, order=order),
        e.OrderSubmitted(at_ms=now, client_order_id=cid, sent_at_ms=now, fence_at_ms=fence),
    ]


def _fence(core: EngineCore, order: Order) -> int:
    venue = core.venue_for(order.symbol)
    return venue.venue_time_ms() + venue.info.window.fence_ms


async def _carry_out(core: EngineCore, cid: str, request: AmendRequest, replacement: Order | None) -> None:
    order = core.state.order(cid)
    if order is None or order.status is not OrderStatus.PENDING_UPDATE:
        if replacement is not None:
            await never_sent(core, replacement.client_order_id, "ORDER_BUSY", "the old order moved first")
        return
    kept = kept_back(core, order)
    if kept is not None:
        await settle_kept_back(core, cid, replacement, kept)
        return
    new_id = "" if replacement is None else replacement.client_order_id
    asked = AmendRequest(
        order=order,
        limit_price=request.limit_price,
        quantity=request.quantity,
        replacement_client_order_id=new_id,
    )
    outcome: SubmitOutcome = OutcomeUnknown(reason="the change was cut off")
    try:
        async with asyncio.timeout(AMEND_TIMEOUT_S):
            outcome = await core.venue_for(order.symbol).amend(asked)
    except (TimeoutError, OSError, VenueUnavailable) as error:
        outcome = OutcomeUnknown(reason=type(error).__name__)
    finally:
        feed_breaker(core, order.venue, outcome)
        if replacement is None:
            await settle_in_place(core, asked, outcome)
        else:
            await settle_legs(core, order, new_id, outcome)
