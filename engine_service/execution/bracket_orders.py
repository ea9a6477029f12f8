"""Sending a bracket's own orders: a pair as one list where the venue has lists, or one by one.

They walk as every order does: rails, intent on disk, one send, outcome on disk. Their id is their key, so that the
same leg is never sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine_service.domain import events as e
from engine_service.domain.errors import EngineError
from engine_service.domain.ids import client_order_id as derived_id
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order, OrderRequest
from engine_service.execution.apply_report import apply_report
from engine_service.execution.core import EngineCore
from engine_service.execution.prepare import order_of, risk_context
from engine_service.execution.send import HELD_UP, SEND_TIMEOUT_S, held_up, send, settle_sent
from engine_service.risk.context import RiskRefused
from engine_service.risk.gate import Approved
from engine_service.risk.reservations import Reservation
from engine_service.venues.abilities import OcoVenue
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import NotFoundReport, OrderReport, OutcomeUnknown, SubmitOutcome


async def send_own(
    core: EngineCore, request: OrderRequest, cid: str, *, instead_of: Sequence[Order] = ()
) -> RiskRefused | None:
    """Send one order of a bracket. ``instead_of``: orders whose reservation must not stand in its way.

    Returns:
        A rail's refusal, of which nothing was recorded; ``None`` where it went its way.

    Raises:
        Unavailable: the journal failed.
    """
    judged = _judge(core, request, cid, instead_of)
    if isinstance(judged, RiskRefused):
        return judged
    order, approved = judged
    await core.record(*_intent(core, order))
    await send(core, approved, cid)
    return None


async def send_pair(
    core: EngineCore, profit: OrderRequest, profit_id: str, stop: OrderRequest, stop_id: str
) -> RiskRefused | None:
    """Send two orders of which at most one will trade, as one list; only the stop leg reserves.

    Returns:
        A rail's refusal, of which nothing was recorded; ``None`` where both went their way.

    Raises:
        EngineError: this venue has no such lists (``VENUE_NO_LISTS``), or the journal failed.
    """
    venue = core.venue_for(stop.symbol)
    if not isinstance(venue, OcoVenue):
        raise EngineError("VENUE_NO_LISTS", "this venue has no order lists")
    first, second = _judge(core, stop, stop_id, ()), _judge(core, profit, profit_id, (), reserves=False)
    for judged in (first, second):
        if isinstance(judged, RiskRefused):
            return judged
    orders = [judged[0] for judged in (first, second) if not isinstance(judged, RiskRefused)]
    await core.record(*_intent(core, orders[0]), *_intent(core, orders[1]))
    sent = [core.state.order(order.client_order_id) or order for order in orders]
    list_id = derived_id(
        core.instance_key,
        account=core.account,
        venue=venue.info.name,
        market=stop.market,
        scope="bracket",
        key=stop_id,
        leg="list",
    )
    outcomes: tuple[SubmitOutcome, SubmitOutcome] = (OutcomeUnknown(reason="the send was cut off"),) * 2
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            late = held_up(core, sent[0])
            outcomes = (HELD_UP, HELD_UP) if late else await venue.submit_oco(sent[1], sent[0], list_id)
    except (TimeoutError, OSError, VenueUnavailable) as error:
        outcomes = (OutcomeUnknown(reason=type(error).__name__),) * 2
    finally:
        await settle_sent(core, sent[1], outcomes[0])
        await settle_sent(core, sent[0], outcomes[1])
    return None


def _judge(
    core: EngineCore, request: OrderRequest, cid: str, instead_of: Sequence[Order], *, reserves: bool = True
) -> tuple[Order, Approved] | RiskRefused:
    ctx = risk_context(core, request)
    with core.state.exposure.without(instead_of):
        verdict = core.gate.check(ctx)
    if isinstance(verdict, RiskRefused):
        return verdict
    held = verdict.reservation
    if not reserves:
        held = Reservation(unit_value=ZERO, asset="", per_unit=ZERO, policy_version=held.policy_version)
    return order_of(core, ctx, cid, held), verdict


def _intent(core: EngineCore, order: Order) -> list[e.Event]:
    now, venue = core.clock.now_ms(), core.venue_for(order.symbol)
    fence = venue.venue_time_ms() + venue.info.window.fence_ms
    cid = order.client_order_id
    return [
        e.OrderInitialized(at_ms=now, client_order_id=cid, order=order),
        e.OrderSubmitted(at_ms=now, client_order_id=cid, sent_at_ms=now, fence_at_ms=fence),
    ]


async def may_have_traded(core: EngineCore, legs: Sequence[Order]) -> bool:
    """Tell whether a leg in doubt may have traded: true unless the venue, asked now, does not know any of them.

    One that is not there now and arrives later is refused, because its level is reached already.
    """
    for leg in legs:
        if leg.venue_order_id:
            return True
        found = await core.venue_for(leg.symbol).query_order(leg)
        if isinstance(found, OrderReport):
            apply_report(core, found)
        if not isinstance(found, NotFoundReport):
            return True
    return False
