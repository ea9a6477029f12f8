"""Keeping a filled entry protected: look at the bracket as it stands, do the next thing it needs. Safe to repeat.

Nothing is remembered between two looks but what the journal knows, so a restarted engine goes on where the old one
was cut off. While the venue's own stop does not rest (on its way, in doubt, refused, or a venue without stops) the
engine watches the levels itself and closes at market.
"""

from __future__ import annotations

from engine_service.domain import events as e
from engine_service.domain.order import Order
from engine_service.domain.order_changes import RESTING
from engine_service.execution.bracket import WATCHED, Figures, figures_of, mode_for, protectable
from engine_service.execution.core import EngineCore
from engine_service.execution.protect_end import (
    alert_once,
    close_at_market,
    give_up,
    is_unwanted,
    level_reached,
    wind_up,
)
from engine_service.execution.protect_legs import SOON_S, place_legs


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
        return await wind_up(core, armed, figures, still_filling=entry is not None and entry.is_open)
    if any(order.is_open for order in figures.exits):
        return SOON_S
    if is_unwanted(core, figures):
        return await give_up(core, armed, figures)
    return await _hold(core, armed, figures, told)


async def _hold(core: EngineCore, armed: e.BracketArmed, figures: Figures, told: set[str]) -> float | None:
    """Something is held: see that its legs rest, or close it."""
    reached = level_reached(core, armed)
    if reached and not figures.stop_rests:
        if armed.mode != WATCHED:
            await alert_once(core, armed, f"{reached} was reached before the venue's own orders stood", told)
        return await close_at_market(core, armed, figures, reached, told)
    refused = await place_legs(core, armed, figures)
    if not isinstance(refused, str):
        return refused
    await alert_once(core, armed, refused, told)
    return await close_at_market(core, armed, figures, reached or "unprotected", told)


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
