"""The legs of a bracket: bring them to the size of what is left to protect, or take them off the market."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from engine_service.domain import events as e
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.bracket import (
    LINKED,
    NATIVE,
    STOP_LOSS,
    TAKE_PROFIT,
    UNSETTLED,
    WATCHED,
    Figures,
    leg_id,
    leg_request,
)
from engine_service.execution.bracket_orders import send_own, send_pair
from engine_service.execution.cancel import cancel_now
from engine_service.execution.core import EngineCore
from engine_service.risk.context import RiskRefused

#: Reasons that the engine itself cancels a leg for begin so.
OWN_REASON: Final = "bracket: "
#: Pairs placed for one bracket before the engine stops placing and only watches.
MAX_ATTEMPTS: Final = 50
SOON_S: Final = 0.25
LATER_S: Final = 5.0
#: Refusals that say nothing about the leg itself: it is placed again.
_TEMPORARY = frozenset(
    {
        "VENUE_RATE_LIMITED",
        "VENUE_ORDER_RATE_LIMITED",
        "VENUE_TIMESTAMP",
        "VENUE_CLOCK_UNCERTAIN",
        "VENUE_BANNED",
        "VENUE_UNAUTHORIZED",
        "VENUE_ADDRESS_REFUSED",
        "VENUE_SHUT_DOWN",
        "VENUE_NO_LIQUIDITY",
    }
)


async def place_legs(core: EngineCore, armed: e.BracketArmed, figures: Figures) -> float | str | None:
    """Bring the legs to the size of what remains. Return as ``protect.tend`` does, or why it is refused."""
    if armed.mode == WATCHED or figures.attempt >= MAX_ATTEMPTS:
        return None
    if any(leg.status in UNSETTLED or leg.status is OrderStatus.TRIGGERED for leg in figures.legs):
        return SOON_S  # one that has triggered is closing already, and its pair ended for that
    for leg in figures.legs:
        obstacle = _obstacle(core, figures, leg)
        if obstacle:
            return obstacle
    if figures.open_legs and not _fits(armed, figures):
        await cancel_legs(core, figures.open_legs, "the pair no longer fits what is held")
        return 0.0
    if len(figures.open_legs) == 2:
        return None
    return await (_place_list if armed.mode == NATIVE else _place_linked)(core, armed, figures)


def _fits(armed: e.BracketArmed, figures: Figures) -> bool:
    """One leg of a list alone, or one of another size, has to go; linked legs may be larger, they only reduce."""
    sizes = [leg.remaining_quantity or Decimal(0) for leg in figures.open_legs]
    if armed.mode == LINKED:
        return all(size >= figures.remaining for size in sizes)
    return len(sizes) == 2 and all(size == figures.remaining for size in sizes)


def _obstacle(core: EngineCore, figures: Figures, leg: Order) -> float | str:
    """Return why a leg was refused for good, or how long to wait before the next try: longer with every one."""
    if leg.status is OrderStatus.REJECTED and leg.code not in _TEMPORARY:
        return f"{leg.code}: {leg.reason}"
    if leg.status not in {OrderStatus.NOT_PLACED, OrderStatus.REJECTED}:
        return 0.0
    since_s = (core.clock.now_ms() - leg.updated_at_ms) / 1000
    return max(0.0, min(LATER_S, SOON_S * figures.attempt) - since_s)


async def _place_list(core: EngineCore, armed: e.BracketArmed, figures: Figures) -> float | str:
    number = figures.attempt + 1
    refusal = await send_pair(
        core,
        leg_request(armed, TAKE_PROFIT, figures.remaining),
        leg_id(core, armed, TAKE_PROFIT, number),
        leg_request(armed, STOP_LOSS, figures.remaining),
        leg_id(core, armed, STOP_LOSS, number),
    )
    return _after_send(refusal)


async def _place_linked(core: EngineCore, armed: e.BracketArmed, figures: Figures) -> float | str:
    """The stop first; a pair of which one leg ended is placed anew, one that was cut off is completed."""
    number = figures.attempt
    present = {leg.leg for leg in figures.legs}
    if not figures.legs or any(not leg.is_open for leg in figures.legs):
        if figures.open_legs:
            await cancel_legs(core, figures.open_legs, "the other leg of the pair is gone")
            return 0.0
        number, present = figures.attempt + 1, set()
    refusal: RiskRefused | None = None
    for leg in (STOP_LOSS, TAKE_PROFIT):
        if leg not in present and refusal is None:
            request = leg_request(armed, leg, figures.remaining)
            refusal = await send_own(core, request, leg_id(core, armed, leg, number))
    return _after_send(refusal)


def _after_send(refusal: RiskRefused | None) -> float | str:
    if refusal is None:
        return 0.0
    # Less is held than a moment ago: that is for another look, not for closing what is left.
    return SOON_S if refusal.code == "REDUCE_ONLY" else f"{refusal.code}: {refusal.reason}"


# --- taking them off ------------------------------------------------------------------------------------------


async def cancel_legs(core: EngineCore, legs: Sequence[Order], why: str) -> None:
    """Cancel the engine's own orders that are open and certain; those in doubt are settled first, elsewhere."""
    for leg in legs:
        now = core.state.order(leg.client_order_id)
        if now is not None and now.is_open and now.status not in UNSETTLED:
            await cancel_now(core, leg.client_order_id, OWN_REASON + why)


def as_they_stand(core: EngineCore, orders: tuple[Order, ...]) -> list[Order]:
    """Return orders as they stand now, those that are still open."""
    found = [core.state.order(order.client_order_id) for order in orders]
    return [order for order in found if order is not None and order.is_open]
