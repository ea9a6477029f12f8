"""Cancelling: the intent on disk first, then one request; whatever the answer, the trades decide what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec import UNSET, UnsetType

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict, NotFound, Unavailable
from engine_service.domain.ids import ENGINE
from engine_service.domain.order import Order
from engine_service.domain.order_changes import RESTING
from engine_service.domain.order_status import Doubt, OrderStatus
from engine_service.execution.apply_report import apply_words
from engine_service.execution.core import EngineCore
from engine_service.execution.resolve import resolve_later
from engine_service.execution.send import feed_breaker
from engine_service.execution.words import from_accepted, from_report
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import Accepted, OrderReport, OutcomeUnknown, Rejected, SubmitOutcome

CANCEL_TIMEOUT_S = 15.0
CANCELS_AT_ONCE = 8
CANCELABLE = RESTING
AT_THE_VENUE = CANCELABLE | {OrderStatus.PENDING_ACK, OrderStatus.RESURRECTED, OrderStatus.PENDING_UPDATE}


class CancelStatus(StrEnum):
    """``CANCELED``: done. ``PENDING``: asked or in doubt, will be settled. ``FILLED``: the fill was faster.

    ``REFUSED``: the venue refused and the order works as before.
    """

    CANCELED = "canceled"
    PENDING = "pending"
    FILLED = "filled"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResult:
    """What became of a cancel, with the order as it stands."""

    status: CancelStatus
    order: Order


async def cancel(
    core: EngineCore,
    client_order_id: str,
    *,
    principal: str,
    reason: str = "",
    mark: e.IdempotencyMark | UnsetType = UNSET,
) -> CancelResult:
    """Cancel one order; ends within ``answer_deadline_s`` with PENDING when the venue is slow.

    Of an order in doubt the wish is written down, and PENDING as long as the doubt lasts. ``mark`` is the caller's
    idempotency key: a cancel that was asked for under it before is answered by how its order ended. Of an order that
    still works it is asked again: no cancel is one too many.

    Raises:
        NotFound: no such order (``ORDER_UNKNOWN``).
        Conflict: it is finished already (``ORDER_TERMINAL``).
        Unavailable: the journal failed before anything was asked.
    """
    order = core.known_order(client_order_id)
    if not order.is_open:
        if mark and core.journal.answer(mark.scope, mark.key) is not None:
            return _result(order)
        status = order.status.value
        raise Conflict("ORDER_TERMINAL", f"the order is {status}", numbers={"status": status})
    if order.status is OrderStatus.IN_DOUBT and core.records:
        await _wish(core, order, reason, principal, mark)
        return CancelResult(status=CancelStatus.PENDING, order=core.state.order(client_order_id) or order)
    work = cancel_now(core, client_order_id, reason, principal, mark=mark)
    task = core.spawn(f"cancel:{client_order_id}", work)
    await asyncio.wait({task}, timeout=core.answer_deadline_s)
    if task.done() and not task.cancelled() and task.exception() is not None:
        await task
    try:
        # The stream may have told it first: what it told is said on only once it is on the disk.
        await core.journal.flush()
        recorded = core.records
    except Unavailable:
        recorded = False
    if not recorded:
        # It was asked of the venue; what came of it can be recorded, and is found out, at the next start.
        return CancelResult(status=CancelStatus.PENDING, order=order)
    return _result(core.state.order(client_order_id) or order)


async def cancel_all(
    core: EngineCore,
    *,
    principal: str,
    reason: str = "",
    symbol: str = "",
    strategy: str = "",
    keep_reduce_only: bool = False,
) -> list[CancelResult]:
    """Cancel every open order that matches, a few at a time; those in doubt are cancelled once they are settled."""
    orders = [
        order
        for order in core.state.working_orders(symbol, strategy)
        if order.status is not OrderStatus.QUARANTINED and not (keep_reduce_only and order.reduce_only)
    ]
    slots = asyncio.Semaphore(CANCELS_AT_ONCE)

    async def one(order: Order) -> CancelResult | None:
        async with slots:
            try:
                return await cancel(core, order.client_order_id, principal=principal, reason=reason)
            except (Conflict, NotFound):
                return None

    results: Sequence[CancelResult | None] = await asyncio.gather(*(one(order) for order in orders))
    return [result for result in results if result is not None]


async def cancel_now(
    core: EngineCore,
    client_order_id: str,
    reason: str = "",
    principal: str = ENGINE,
    *,
    unattended: bool = False,
    mark: e.IdempotencyMark | UnsetType = UNSET,
) -> None:
    """Ask the venue once and settle what comes of it.

    ``unattended``: nobody waits to hear that it could not be asked; then it is as after a lost answer: the order is
    looked at, and asked again.
    """
    order = core.state.order(client_order_id)
    if order is None or not order.is_open or order.status is OrderStatus.PENDING_CANCEL:
        return
    if not core.records:
        # Nothing can be recorded any more, but a person must still be able to take orders off the market.
        await core.venue_for(order.symbol).cancel(order)
        return
    if order.status not in AT_THE_VENUE:
        await _wish(core, order, reason, principal, mark)
        return
    now, venue = core.clock.now_ms(), core.venue_for(order.symbol)
    await core.commit(
        e.OrderPendingCancel(
            at_ms=now,
            client_order_id=client_order_id,
            reason=reason,
            principal=principal,
            fence_at_ms=venue.venue_time_ms() + venue.info.window.fence_ms,
            idempotency=mark,
        )
    )
    order = core.state.order(client_order_id)
    if order is None or order.status is not OrderStatus.PENDING_CANCEL:
        return
    outcome: SubmitOutcome = OutcomeUnknown(reason="the cancel was cut off")
    try:
        outcome = await _asked(core, order)
    finally:
        await _settle(core, order, outcome, unattended=unattended)


async def _wish(
    core: EngineCore, order: Order, reason: str, principal: str, mark: e.IdempotencyMark | UnsetType
) -> None:
    """Write down that an order is to be cancelled of which it is not known whether the venue has it.

    For the first wish during a doubt the venue is asked as well, by the order's own id: it may have the order and only
    its answer be lost. Whatever comes of that but a cancel proves nothing; the order is cancelled once it is found. Of
    an order that was put aside for a person it is asked for every wish: nothing else takes that one off the market.
    """
    now, cid, first = core.clock.now_ms(), order.client_order_id, not order.cancel_requested
    await core.commit(
        e.OrderCancelRequested(at_ms=now, client_order_id=cid, reason=reason, principal=principal, idempotency=mark)
    )
    in_doubt = first and order.status is OrderStatus.IN_DOUBT and order.doubt is not Doubt.CANCEL
    if in_doubt or order.status is OrderStatus.QUARANTINED:
        core.spawn(f"cancel-by-id:{cid}", _cancel_by_id(core, cid))


async def _cancel_by_id(core: EngineCore, client_order_id: str) -> None:
    order = core.state.order(client_order_id)
    if order is None or order.status not in {OrderStatus.IN_DOUBT, OrderStatus.QUARANTINED}:
        return
    outcome = await _asked(core, order)
    feed_breaker(core, order.venue, outcome)
    if isinstance(outcome, Accepted):
        done = apply_words(core, core.state.order(client_order_id) or order, from_accepted(outcome))
        if done is not None:
            await done


async def _asked(core: EngineCore, order: Order) -> SubmitOutcome:
    """Ask the venue once to cancel."""
    try:
        async with asyncio.timeout(CANCEL_TIMEOUT_S):
            return await core.venue_for(order.symbol).cancel(order)
    except (TimeoutError, OSError, VenueUnavailable) as error:
        return OutcomeUnknown(reason=type(error).__name__)


async def _settle(core: EngineCore, sent: Order, outcome: SubmitOutcome, *, unattended: bool) -> None:
    feed_breaker(core, sent.venue, outcome)
    order = core.state.order(sent.client_order_id) or sent
    match outcome:
        case Accepted():
            done = apply_words(core, order, from_accepted(outcome))
            if done is not None:
                await done
        case Rejected() if outcome.not_sent and unattended:
            await _doubt(core, sent.client_order_id, outcome.reason)
        case Rejected() if outcome.not_sent:
            await _refused(core, sent.client_order_id, outcome.code, outcome.reason)
        case Rejected():
            await _ask(core, sent, outcome)
        case _:
            await _doubt(core, sent.client_order_id, outcome.reason)
    after = core.state.order(sent.client_order_id)
    if after is not None and after.status is OrderStatus.PENDING_CANCEL and isinstance(outcome, Accepted):
        # The venue took the request without saying how it ended: the stream tells, or the resolver asks.
        await _doubt(core, sent.client_order_id, "the venue did not say how the cancel ended")


async def _ask(core: EngineCore, sent: Order, outcome: Rejected) -> None:
    """A refused cancel proves nothing by itself: the order may be filled, gone or working. Ask."""
    report = await core.venue_for(sent.symbol).query_order(sent)
    order = core.state.order(sent.client_order_id)
    if order is None or order.status is not OrderStatus.PENDING_CANCEL:
        return
    if not isinstance(report, OrderReport):
        await _doubt(core, sent.client_order_id, f"the venue refused the cancel: {outcome.code}")
        return
    done = apply_words(core, order, from_report(report))
    if done is not None:
        await done
    if not report.status.is_terminal:
        await _refused(core, sent.client_order_id, outcome.code, outcome.reason)


async def _refused(core: EngineCore, client_order_id: str, code: str, reason: str) -> None:
    order = core.state.order(client_order_id)
    if order is None or order.status is not OrderStatus.PENDING_CANCEL:
        return
    now = core.clock.now_ms()
    refused = e.OrderCancelRejected(at_ms=now, client_order_id=client_order_id, code=code, reason=reason)
    change = core.tasks.get(f"amend:{client_order_id}")
    if not order.has_pending_change or (change is not None and not change.done()):
        await core.commit(refused)
        return
    # The cancel had overtaken a change that ended without an answer: nobody else finds out any more what became of it.
    why = "a cancel overtook the change and was refused"
    doubt = e.OrderInDoubt(at_ms=now, client_order_id=client_order_id, doubt=Doubt.REPLACE, reason=why)
    await core.commit(refused, doubt)
    resolve_later(core, client_order_id)


async def _doubt(core: EngineCore, client_order_id: str, reason: str) -> None:
    order = core.state.order(client_order_id)
    if order is None or order.status is not OrderStatus.PENDING_CANCEL:
        return
    now = core.clock.now_ms()
    await core.commit(e.OrderInDoubt(at_ms=now, client_order_id=client_order_id, doubt=Doubt.CANCEL, reason=reason))
    resolve_later(core, client_order_id)


def _result(order: Order) -> CancelResult:
    match order.status:
        case OrderStatus.CANCELED | OrderStatus.EXPIRED | OrderStatus.NOT_PLACED | OrderStatus.REJECTED:
            return CancelResult(status=CancelStatus.CANCELED, order=order)
        case OrderStatus.FILLED:
            return CancelResult(status=CancelStatus.FILLED, order=order)
        case status if status in CANCELABLE and not order.cancel_requested:
            return CancelResult(status=CancelStatus.REFUSED, order=order)
        case _:
            return CancelResult(status=CancelStatus.PENDING, order=order)
