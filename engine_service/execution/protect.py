"""Keeping a filled entry protected: look at the bracket as it stands, do the next thing it needs. Safe to repeat.

Nothing is remembered between two looks but what the journal knows, so a restarted engine goes on where the old one
was cut off. While the venue's own stop does not rest (on its way, in doubt, refused, or a venue without stops) the
engine watches the levels itself and closes at market.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.ids import ENGINE
from engine_service.domain.order import Order
from engine_service.domain.order_changes import RESTING
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.bracket import (
    EXIT,
    LINKED,
    NATIVE,
    STOP_LOSS,
    TAKE_PROFIT,
    UNSETTLED,
    WATCHED,
    Figures,
    figures_of,
    leg_id,
    leg_request,
    mode_for,
    prices_of,
    protectable,
)
from engine_service.execution.bracket_orders import send_own, send_pair
from engine_service.execution.cancel import cancel_now
from engine_service.execution.core import EngineCore
from engine_service.execution.resolution import CANCEL_NOT_DONE
from engine_service.risk.context import CONDITIONAL, RiskRefused

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


def is_entry(order: Order | None) -> bool:
    """Tell whether an order brought something that its bracket has to protect."""
    return order is not None and order.bracket is not None and order.filled_quantity > 0


async def tend(core: EngineCore, bracket_id: str, told: set[str]) -> float | None:
    """Do the next thing that a bracket needs.

    Args:
        told: brackets of which an alert went out already; grows.

    Returns:
        Seconds after which it wants to be looked at again; ``None``: when something happens.

    Raises:
        EngineError: the journal failed, or the instrument is gone.
    """
    entry = core.order(bracket_id)
    armed = core.state.image.brackets.get(bracket_id)
    if entry is not None and is_entry(entry) and bracket_id not in core.state.image.closed_brackets:
        armed = await _arm(core, entry, armed)
    if armed is None:
        return None
    figures = figures_of(core, armed, core.instrument(armed.symbol, armed.market))
    if figures.remaining <= 0:
        return await _wind_up(core, armed, figures, still_filling=entry is not None and entry.is_open)
    if any(order.is_open for order in figures.exits):
        return SOON_S
    if _is_unwanted(core, figures):
        return await _give_up(core, armed, figures)
    return await _hold(core, armed, figures, told)


async def _hold(core: EngineCore, armed: e.BracketArmed, figures: Figures, told: set[str]) -> float | None:
    """Something is held: see that its legs rest, or close it."""
    reached = _reached(core, armed)
    if reached and not figures.stop_rests:
        if armed.mode != WATCHED:
            await _alert(core, armed, f"{reached} was reached before the venue's own orders stood", told)
        return await _exit(core, armed, figures, reached, told)
    refused = await _place(core, armed, figures)
    if not isinstance(refused, str):
        return refused
    await _alert(core, armed, refused, told)
    return await _exit(core, armed, figures, reached or "unprotected", told)


def protection(core: EngineCore, entry: Order) -> Figures | None:
    """Return how the bracket of an entry stands; ``None`` while nothing of it is armed."""
    armed = core.state.image.brackets.get(entry.client_order_id)
    if armed is None or not armed.mode:
        return None
    return figures_of(core, armed, core.instrument(armed.symbol, armed.market))


def is_protected(core: EngineCore, entry: Order) -> bool:
    """Tell whether an entry's stop rests at the venue, or the engine watches because the venue has none."""
    armed, figures = core.state.image.brackets.get(entry.client_order_id), protection(core, entry)
    return armed is not None and figures is not None and (armed.mode == WATCHED or figures.stop_rests)


def is_complete(core: EngineCore, entry: Order) -> bool:
    """Tell whether an entry is protected and both of its legs stand."""
    figures = protection(core, entry)
    if figures is None or not is_protected(core, entry):
        return False
    return not figures.legs or len([leg for leg in figures.legs if leg.status in RESTING]) == 2


# --- arming -----------------------------------------------------------------------------------------------------


async def _arm(core: EngineCore, entry: Order, armed: e.BracketArmed | None) -> e.BracketArmed | None:
    """Record what is to be protected, and again whenever the entry has filled more."""
    instrument = core.instrument(entry.symbol, entry.market)
    quantity, price = protectable(core, entry, instrument), entry.average_price
    if entry.bracket is None or price is None or quantity <= 0:
        return armed
    if armed is not None and armed.quantity >= quantity:
        return armed
    levels = entry.bracket.levels(price, entry.side)
    event = e.BracketArmed(
        at_ms=core.clock.now_ms(),
        bracket_id=entry.client_order_id,
        symbol=entry.symbol,
        market=entry.market,
        strategy=entry.strategy,
        entry_side=entry.side,
        quantity=quantity,
        take_profit=instrument.round_price(levels.take_profit, entry.side.opposite),
        stop_loss=instrument.round_price(levels.stop_loss, entry.side),
        entry_order_id=entry.client_order_id,
        mode=mode_for(core, entry.symbol, entry.market),
    )
    await core.commit(event)
    return event


# --- placing ----------------------------------------------------------------------------------------------------


async def _place(core: EngineCore, armed: e.BracketArmed, figures: Figures) -> float | str | None:
    """Bring the legs to the size of what remains; text says why they were refused for good."""
    if armed.mode == WATCHED or figures.attempt >= MAX_ATTEMPTS:
        return None
    if any(leg.status in UNSETTLED for leg in figures.legs):
        return SOON_S
    for leg in figures.legs:
        obstacle = _obstacle(core, figures, leg)
        if obstacle:
            return obstacle
    if figures.open_legs and not _fits(armed, figures):
        await _cancel(core, figures.open_legs, "the pair no longer fits what is held")
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
            await _cancel(core, figures.open_legs, "the other leg of the pair is gone")
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


# --- closing ----------------------------------------------------------------------------------------------------


def _reached(core: EngineCore, armed: e.BracketArmed) -> str:
    mark = core.marks.get(armed.symbol, armed.market)
    if mark is None or not mark.is_valid:
        return ""
    return prices_of(armed).hit(mark.price, armed.entry_side)


async def _alert(core: EngineCore, armed: e.BracketArmed, why: str, told: set[str]) -> None:
    """A leg was refused for good: say so, once."""
    if armed.bracket_id in told:
        return
    told.add(armed.bracket_id)
    await core.commit(
        e.Anomaly(at_ms=core.clock.now_ms(), kind="bracket_unprotected", subject=armed.bracket_id, detail=why[:200])
    )


async def _exit(
    core: EngineCore, armed: e.BracketArmed, figures: Figures, outcome: str, told: set[str]
) -> float | None:
    """Close what remains at market. Legs that rest are cancelled first; those in doubt cannot trade besides it:
    on spot the venue has the asset once, on futures they only reduce."""
    if figures.open_legs:
        await _cancel(core, figures.open_legs, f"closing at market, {outcome}")
        if any(leg.status not in UNSETTLED for leg in _again(core, figures.open_legs)):
            return 0.0
    request = replace(leg_request(armed, EXIT, figures.remaining), leg=outcome)
    cid = leg_id(core, armed, EXIT, len(figures.exits) + 1)
    refusal = await send_own(core, request, cid, instead_of=_again(core, figures.open_legs))
    if refusal is not None and refusal.code == "SELF_TRADE":
        # Nobody watches an exit: what it would meet of our own has to go, or nothing would ever be closed.
        in_the_way = core.state.orders_of_line(armed.symbol, armed.market)
        meets = [order for order in in_the_way if order.side is armed.entry_side and order.type not in CONDITIONAL]
        if all(order.status is OrderStatus.QUARANTINED for order in meets):
            # Those were put aside for a person, and only a person can free the way.
            await _alert(core, armed, f"{refusal.code}: {refusal.reason}", told)
            return LATER_S
        await _cancel(core, meets, f"in the way of an exit, {outcome}")
        return SOON_S
    if refusal is not None and refusal.code == "REDUCE_ONLY":
        return SOON_S
    sent = core.state.order(cid)
    failed = refusal is not None or (sent is not None and not sent.is_open and sent.filled_quantity == 0)
    if not failed:
        return 0.0
    # Right after a start no price is known yet, and a rail may refuse what it cannot value.
    return LATER_S if core.marks.price(armed.symbol, armed.market) is not None else SOON_S


def _again(core: EngineCore, orders: tuple[Order, ...]) -> list[Order]:
    """Return orders as they stand now, those that are still open."""
    found = [core.state.order(order.client_order_id) for order in orders]
    return [order for order in found if order is not None and order.is_open]


async def _cancel(core: EngineCore, legs: Sequence[Order], why: str) -> None:
    for leg in legs:
        now = core.state.order(leg.client_order_id)
        if now is not None and now.is_open and now.status not in UNSETTLED:
            await cancel_now(core, leg.client_order_id, OWN_REASON + why)


# --- ending -----------------------------------------------------------------------------------------------------


def _is_unwanted(core: EngineCore, figures: Figures) -> bool:
    """Tell whether somebody else cancelled a leg: protection is then theirs to arrange."""
    return any(
        leg.status is OrderStatus.CANCELED and leg.cancel_requested and _somebodys_wish(core, leg)
        for leg in figures.legs
    )


def _somebodys_wish(core: EngineCore, leg: Order) -> bool:
    """Look up who asked: what the order says of its end may be about a doubt on the way there."""
    wished = False
    for recorded in core.journal.order_history(leg.client_order_id):
        event = recorded.event
        if isinstance(event, e.OrderPendingCancel | e.OrderCancelRequested):
            wished = wished or event.principal != ENGINE
        elif isinstance(event, e.OrderCancelRejected) and event.code != CANCEL_NOT_DONE:
            wished = False
    return wished


async def _give_up(core: EngineCore, armed: e.BracketArmed, figures: Figures) -> float | None:
    if figures.open_legs:
        await _cancel(core, figures.open_legs, "its pair was cancelled")
        return SOON_S
    await _close(core, armed, "canceled")
    return None


async def _wind_up(core: EngineCore, armed: e.BracketArmed, figures: Figures, *, still_filling: bool) -> float | None:
    """Nothing is left to protect: the other leg goes, then the bracket is closed."""
    if figures.open_legs:
        await _cancel(core, figures.open_legs, "nothing is left to protect")
        return SOON_S if _again(core, figures.open_legs) else 0.0
    if any(order.is_open for order in figures.exits):
        return SOON_S
    if not still_filling:
        await _close(core, armed, figures.outcome or "flat")
    return None


async def _close(core: EngineCore, armed: e.BracketArmed, outcome: str) -> None:
    await core.commit(
        e.BracketClosed(
            at_ms=core.clock.now_ms(),
            bracket_id=armed.bracket_id,
            symbol=armed.symbol,
            market=armed.market,
            outcome=outcome,
            exit_order_id="",
        )
    )
