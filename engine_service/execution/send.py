"""The one send of an approved order, and what its outcome means: placed, refused, or in doubt until it is read."""

from __future__ import annotations

import asyncio
from asyncio import Future
from typing import assert_never

from engine_service.domain import events as e
from engine_service.domain.apply_unit import step
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderStatus
from engine_service.execution.apply_report import apply_words
from engine_service.execution.core import EngineCore
from engine_service.execution.resolve import await_acknowledgement, resolve_later
from engine_service.execution.venue_words import facts_of
from engine_service.execution.words import from_accepted
from engine_service.risk.gate import Approved
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import Accepted, OutcomeUnknown, Rejected, SubmitOutcome

SEND_TIMEOUT_S = 20.0
FOREVER_S = 10.0 * 365 * 86_400
_HALTED = Rejected(code="TRADING_HALTED", reason="trading was halted before it was sent", not_sent=True)
#: What becomes of a request that would leave so late that the venue could act on it after its fence.
HELD_UP = Rejected(code="SEND_TOO_LATE", reason="the engine was held up before it was sent", not_sent=True)


def held_up(core: EngineCore, order: Order) -> bool:
    """Tell whether too much time went by between the intent on disk, with its fence, and the first byte.

    A slow disk or a stopped process does that. The request would be stamped anew, so that the venue could act on it
    when the fence that is written down says that nothing can come any more.
    """
    venue = core.venue_for(order.symbol)
    return venue.info.window.is_too_late(order.fence_at_ms, venue.venue_time_ms())


def kept_back(core: EngineCore, order: Order) -> Rejected | None:
    """Return why an order or a change of it may not leave after all, now that its intent is on the disk."""
    if core.state.halted and not order.reduce_only:
        return _HALTED
    return HELD_UP if held_up(core, order) else None


async def send(core: EngineCore, approved: Approved, client_order_id: str) -> None:
    """Send once, and record what came of it. Only an approved order gets here."""
    order = core.state.order(client_order_id)
    if order is None or order.status is not OrderStatus.SUBMITTED:
        return
    kept = kept_back(core, order)
    if kept is not None:
        await core.commit(_not_sent(core, order, kept.code, kept.reason))
        return
    outcome: SubmitOutcome = OutcomeUnknown(reason="the send was cut off")
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            outcome = await core.venue_for(order.symbol).submit(order)
    except (TimeoutError, OSError, VenueUnavailable) as error:
        outcome = OutcomeUnknown(reason=type(error).__name__)
    finally:
        # Also when the adapter broke its promise and raised: what was begun must not be forgotten.
        await settle_sent(core, order, outcome)


def send_at_once(core: EngineCore, initialized: e.OrderInitialized, submitted: e.OrderSubmitted) -> Future[int]:
    """Place an approved order at a venue of this process; intent and outcome are recorded as one unit.

    Nothing outside of this process knows the order before the unit is on disk, and after a crash the venue is put
    back from the journal: intent and outcome live or die together.
    """
    order = step(initialized.order, submitted)
    try:
        outcome = core.at_once[order.venue](order)
    except BaseException:
        # The venue broke its promise: what was begun must not be forgotten. A start settles it.
        core.record(initialized, submitted)
        raise
    life = _whole_life(core, order, outcome)
    if life is not None:
        feed_breaker(core, order.venue, outcome)
        return core.record_unit((initialized, submitted), order, life)
    begun = core.record(initialized, submitted)
    return _note(core, order, outcome) or begun


def _whole_life(core: EngineCore, order: Order, outcome: SubmitOutcome) -> list[e.OrderEvent] | None:
    """Return all that becomes of an order that is over with this answer, ``None`` where it is not over or not plain."""
    if not isinstance(outcome, Accepted) or outcome.status is not OrderStatus.FILLED:
        return None
    facts = facts_of(core, order, from_accepted(outcome))
    if facts.gap or facts.conflicts:
        return None
    life = [event for event in facts.events if isinstance(event, e.OrderEvent)]
    return life if len(life) == len(facts.events) else None


async def settle_sent(core: EngineCore, sent: Order, outcome: SubmitOutcome) -> None:
    """Record what came of a send, and wait until it is on disk."""
    done = _note(core, sent, outcome)
    if done is not None:
        await done


def _note(core: EngineCore, sent: Order, outcome: SubmitOutcome) -> Future[int] | None:
    """Record what came of a send: placed, refused, or in doubt until it is read."""
    feed_breaker(core, sent.venue, outcome)
    order = core.state.order(sent.client_order_id) or sent
    match outcome:
        case Accepted():
            done = apply_words(core, order, from_accepted(outcome))
            if outcome.status is OrderStatus.PENDING_ACK:
                await_acknowledgement(core, order.client_order_id)
            return done
        case Rejected():
            return _refused(core, order, outcome)
        case OutcomeUnknown():
            # A stream report may have settled it while the answer was on its way.
            if order.status not in {OrderStatus.SUBMITTED, OrderStatus.PENDING_ACK}:
                return None
            done = core.record(
                e.OrderInDoubt(
                    at_ms=core.clock.now_ms(),
                    client_order_id=order.client_order_id,
                    doubt=Doubt.SUBMIT,
                    reason=outcome.reason,
                )
            )
            resolve_later(core, order.client_order_id)
            return done
        case _:
            assert_never(outcome)


def _refused(core: EngineCore, order: Order, outcome: Rejected) -> Future[int] | None:
    if order.status is not OrderStatus.SUBMITTED:
        return None
    if outcome.not_sent:
        return core.record(_not_sent(core, order, outcome.code, outcome.reason))
    return core.record(
        e.OrderRejected(
            at_ms=core.clock.now_ms(),
            client_order_id=order.client_order_id,
            code=outcome.code,
            reason=outcome.reason,
        )
    )


def _not_sent(core: EngineCore, order: Order, code: str, reason: str) -> e.OrderNotPlaced:
    return e.OrderNotPlaced(
        at_ms=core.clock.now_ms(),
        client_order_id=order.client_order_id,
        code=code,
        reason=reason,
        evidence=("not sent",),
    )


def feed_breaker(core: EngineCore, venue: str, outcome: SubmitOutcome) -> None:
    """Tell the venue's breaker how a call ended; a venue that refuses our credentials or address is left alone."""
    now_s = core.clock.monotonic_s()
    if isinstance(outcome, Accepted):
        core.gate.venue_result(venue, ok=True, now_s=now_s)
        return
    failed = isinstance(outcome, OutcomeUnknown) and not (outcome.duplicate or outcome.answered)
    if isinstance(outcome, Rejected):
        failed = outcome.not_sent or outcome.stop_venue
        if outcome.stop_venue:
            core.gate.pace.venue(venue).stop(now_s + (outcome.retry_after_s or FOREVER_S))
    core.gate.venue_result(venue, ok=not failed, now_s=now_s)
