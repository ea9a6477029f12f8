"""What became of a change: the order that was to be changed and the one that takes its place, each by its own evidence.

A venue can do the cancel and fail at the new order. Where it does not say which, both are in doubt until they are read.
"""

from __future__ import annotations

from engine_service.domain import events as e
from engine_service.domain.order import Order
from engine_service.domain.order_changes import RESTING
from engine_service.domain.order_status import Doubt, OrderStatus
from engine_service.execution.amend_result import REPLACEMENT_REFUSED
from engine_service.execution.apply_report import apply_words
from engine_service.execution.core import EngineCore
from engine_service.execution.resolve import resolve_later
from engine_service.execution.words import from_accepted
from engine_service.venues.port import AmendRequest
from engine_service.venues.reports import Accepted, Rejected, SubmitOutcome

#: A venue's word for: nothing was done, because the order to be changed is not open any more.
ORDER_GONE = "VENUE_UNKNOWN_ORDER"


async def settle_kept_back(core: EngineCore, cid: str, replacement: Order | None, kept: Rejected) -> None:
    """Something came up while the change was being written down: nothing of it leaves."""
    if replacement is not None:
        await never_sent(core, replacement.client_order_id, kept.code, kept.reason)
    await _put_back(core, cid, kept)


async def settle_in_place(core: EngineCore, asked: AmendRequest, outcome: SubmitOutcome) -> None:
    """Record what became of a change of the order itself, unless something newer was asked of it."""
    cid, now = asked.order.client_order_id, core.clock.now_ms()
    match outcome:
        case Accepted() if outcome.status is not OrderStatus.PENDING_ACK:
            event: e.Event = e.OrderUpdated(
                at_ms=now,
                client_order_id=cid,
                limit_price=asked.limit_price,
                quantity=asked.quantity,
                venue_order_id=outcome.venue_order_id,
            )
        case Rejected():
            event = e.OrderUpdateRejected(at_ms=now, client_order_id=cid, code=outcome.code, reason=outcome.reason)
        case _:
            event = e.OrderInDoubt(at_ms=now, client_order_id=cid, doubt=Doubt.REPLACE, reason=_why(outcome))
    order = core.state.order(cid)
    if order is None or not _still_asked(order, asked):
        return
    if isinstance(event, e.OrderUpdated) and asked.quantity is not None and asked.quantity <= order.filled_quantity:
        # It traded on until the change, which left nothing of it: the venue has ended it.
        await _ended(core, cid, "changed to no more than had traded by then")
    elif not isinstance(event, e.OrderInDoubt):
        # Also where a cancel overtook it: what the venue says of the change holds whatever became of that.
        await core.commit(event)
    elif _may_be_doubted(order):
        await core.commit(event)
        resolve_later(core, cid)


def _may_be_doubted(order: Order) -> bool:
    """Tell whether a change is all that is asked of an order: while a cancel is on its way, its end comes first."""
    return order.status is OrderStatus.PENDING_UPDATE or (order.status in RESTING and order.has_pending_change)


def _still_asked(order: Order, asked: AmendRequest) -> bool:
    """Tell whether a change is the one that the order was asked for last, and is not settled yet."""
    pending = (order.pending_limit_price, order.pending_quantity)
    return pending == (asked.limit_price, asked.quantity) and order.status is not OrderStatus.FILLED


async def settle_legs(core: EngineCore, old: Order, new_id: str, outcome: SubmitOutcome) -> None:
    """Record what became of a cancel and of the order in its place, each by its own evidence."""
    if isinstance(outcome, Rejected):
        await never_sent(core, new_id, outcome.code, outcome.reason)
        if outcome.code == ORDER_GONE:
            await _ended(core, old.client_order_id, "the venue has no such order open")
        else:
            await _put_back(core, old.client_order_id, outcome)
        return
    if isinstance(outcome, Accepted) and outcome.status is OrderStatus.CANCELED:
        # Only the cancel worked: the new order was refused.
        why = outcome.refused or "the venue took only the cancel"
        await _ended(core, old.client_order_id, f"canceled, but its replacement was refused: {why}")
        await never_sent(core, new_id, REPLACEMENT_REFUSED, why)
        return
    if isinstance(outcome, Accepted) and outcome.status is not OrderStatus.PENDING_ACK:
        await _ended(core, old.client_order_id, f"replaced by {new_id}")
        new = core.state.order(new_id)
        done = None if new is None else apply_words(core, new, from_accepted(outcome))
        if done is not None:
            await done
        return
    await _doubt_both(core, old.client_order_id, new_id, _why(outcome))


def _why(outcome: SubmitOutcome) -> str:
    """A gateway that took the change has not said yet what its engine made of it."""
    return "only the gateway has answered" if isinstance(outcome, Accepted) else outcome.reason


async def _ended(core: EngineCore, cid: str, reason: str) -> None:
    order = core.state.order(cid)
    if order is not None and _may_be_doubted(order):
        # Its last fills may still be on their way: reading it once settles that, the doubt holds it until then.
        now = core.clock.now_ms()
        await core.commit(e.OrderInDoubt(at_ms=now, client_order_id=cid, doubt=Doubt.REPLACE, reason=reason))
        resolve_later(core, cid, at_once=True)


async def _put_back(core: EngineCore, cid: str, outcome: Rejected) -> None:
    order = core.state.order(cid)
    if order is not None and order.is_open and order.has_pending_change:
        now = core.clock.now_ms()
        await core.commit(
            e.OrderUpdateRejected(at_ms=now, client_order_id=cid, code=outcome.code, reason=outcome.reason)
        )


async def never_sent(core: EngineCore, cid: str, code: str, reason: str) -> None:
    """End a replacement that did not leave this machine, or that the venue did not take."""
    order = core.state.order(cid)
    if order is not None and order.status is OrderStatus.SUBMITTED:
        now = core.clock.now_ms()
        await core.commit(e.OrderRejected(at_ms=now, client_order_id=cid, code=code, reason=reason))


async def _doubt_both(core: EngineCore, old_id: str, new_id: str, reason: str) -> None:
    now = core.clock.now_ms()
    for cid, doubt in ((old_id, Doubt.REPLACE), (new_id, Doubt.SUBMIT)):
        order = core.state.order(cid)
        if order is not None and (order.status is OrderStatus.SUBMITTED or _may_be_doubted(order)):
            await core.commit(e.OrderInDoubt(at_ms=now, client_order_id=cid, doubt=doubt, reason=reason))
            resolve_later(core, cid)
