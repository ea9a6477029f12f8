"""The end of a bracket: closed at market where its level is reached or nothing protects it, or given up, or done."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.ids import ENGINE
from engine_service.domain.money import plain
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.bracket import EXIT, UNSETTLED, Figures, is_alone, leg_id, leg_request, prices_of
from engine_service.execution.bracket_orders import may_have_traded, send_own
from engine_service.execution.core import EngineCore
from engine_service.execution.protect_legs import LATER_S, SOON_S, as_they_stand, cancel_legs
from engine_service.execution.resolution import CANCEL_NOT_DONE
from engine_service.risk.context import CONDITIONAL, RiskRefused

#: What is told beside a first alert: that an exit waits.
DOUBT: Final = " in doubt"


def level_reached(core: EngineCore, armed: e.BracketArmed) -> str:
    """Name the level that the newest price has reached, empty where none or where no price can be trusted."""
    mark = core.marks.get(armed.symbol, armed.market)
    if mark is None or not mark.is_valid:
        return ""
    return prices_of(armed).hit(mark.price, armed.entry_side)


async def alert_once(core: EngineCore, armed: e.BracketArmed, why: str, told: set[str], about: str = "") -> None:
    """Record that a bracket is not protected as it should be; once of each bracket, and of each matter that is named.

    ``told`` remembers what was said.
    """
    said = f"{armed.bracket_id}{about}"
    if said in told:
        return
    told.add(said)
    await core.commit(unprotected(core, armed, why))


def unprotected(core: EngineCore, armed: e.BracketArmed, why: str) -> e.Anomaly:
    """Return what is recorded of a bracket that is not protected as it should be."""
    now, subject = core.clock.now_ms(), armed.bracket_id
    return e.Anomaly(at_ms=now, kind="bracket_unprotected", subject=subject, detail=why[:200])


async def close_at_market(
    core: EngineCore, armed: e.BracketArmed, figures: Figures, outcome: str, told: set[str]
) -> float | None:
    """Close what remains at market; return as ``protect.tend`` does.

    Legs that rest are cancelled first; one in doubt may have traded: harmless where the account holds nothing else.
    Otherwise the exit would close what is not the bracket's, so it waits.
    """
    if figures.open_legs:
        await cancel_legs(core, figures.open_legs, f"closing at market, {outcome}")
        left = as_they_stand(core, figures.open_legs)
        if len(left) < len(figures.open_legs) or any(leg.status not in UNSETTLED for leg in left):
            return 0.0
        if not is_alone(core, armed, figures) and await may_have_traded(core, left):
            waits = f"{outcome}: the exit waits for a leg in doubt that may have traded, {left[0].client_order_id}"
            await alert_once(core, armed, waits, told, about=DOUBT)
            return SOON_S
    request = replace(leg_request(armed, EXIT, figures.remaining), leg=outcome)
    cid = leg_id(core, armed, EXIT, len(figures.exits) + 1)
    refusal = await send_own(core, request, cid, instead_of=as_they_stand(core, figures.open_legs))
    if refusal is not None and refusal.code == "SELF_TRADE":
        return await _clear_the_way(core, armed, refusal, outcome, told)
    if refusal is not None and refusal.code == "REDUCE_ONLY":
        return SOON_S
    sent = core.state.order(cid)
    failed = refusal is not None or (sent is not None and not sent.is_open and sent.filled_quantity == 0)
    if not failed:
        return 0.0
    # Right after a start no price is known yet, and a rail may refuse what it cannot value.
    return LATER_S if core.marks.price(armed.symbol, armed.market) is not None else SOON_S


async def _clear_the_way(
    core: EngineCore, armed: e.BracketArmed, refusal: RiskRefused, outcome: str, told: set[str]
) -> float:
    """Nobody watches an exit: what it would meet of our own has to go, or nothing would ever be closed."""
    in_the_way = core.state.orders_of_line(armed.symbol, armed.market)
    meets = [order for order in in_the_way if order.side is armed.entry_side and order.type not in CONDITIONAL]
    if all(order.status is OrderStatus.QUARANTINED for order in meets):
        # Those were put aside for a person, and only a person can free the way.
        await alert_once(core, armed, f"{refusal.code}: {refusal.reason}", told)
        return LATER_S
    await cancel_legs(core, meets, f"in the way of an exit, {outcome}")
    return SOON_S


# --- ending -----------------------------------------------------------------------------------------------------


def is_unwanted(core: EngineCore, figures: Figures) -> bool:
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


async def give_up(core: EngineCore, armed: e.BracketArmed, figures: Figures) -> float | None:
    """Take the other leg off as well, then close the bracket; return as ``protect.tend`` does."""
    if figures.open_legs:
        await cancel_legs(core, figures.open_legs, "its pair was cancelled")
        return SOON_S
    await _close(core, armed, figures, "canceled")
    return None


async def wind_up(core: EngineCore, armed: e.BracketArmed, figures: Figures, *, still_filling: bool) -> float | None:
    """Nothing is left to protect: take the other leg off, then close the bracket; return as ``protect.tend`` does."""
    if figures.open_legs:
        await cancel_legs(core, figures.open_legs, "nothing is left to protect")
        return SOON_S if as_they_stand(core, figures.open_legs) else 0.0
    if any(order.is_open for order in figures.exits):
        return SOON_S
    if not still_filling:
        await _close(core, armed, figures, figures.outcome or "flat")
    return None


async def _close(core: EngineCore, armed: e.BracketArmed, figures: Figures, outcome: str) -> None:
    """End a bracket; tell of one that closed more than it opened, since nothing trades that back by itself.

    USD-M has no pairs: a price that went through both levels while nobody was there to cancel traded both legs.
    """
    now, over = core.clock.now_ms(), figures.closed - armed.quantity
    if over > 0:
        detail = f"{plain(over)} of {armed.symbol} more than it opened were closed: both legs traded"
        await core.commit(e.Anomaly(at_ms=now, kind="bracket_overclosed", subject=armed.bracket_id, detail=detail))
    await core.commit(
        e.BracketClosed(
            at_ms=now,
            bracket_id=armed.bracket_id,
            symbol=armed.symbol,
            market=armed.market,
            outcome=outcome,
            exit_order_id="",
        )
    )
