"""The shell around ``execution.resolution``: it reads, waits and records as told, and never sends again."""

from __future__ import annotations

from typing import Final, assert_never

from engine_service.domain import events as e
from engine_service.domain.ids import ENGINE
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderStatus
from engine_service.execution.apply_report import apply_fills, apply_words
from engine_service.execution.core import EngineCore
from engine_service.execution.later import cancel_later
from engine_service.execution.resolution import (
    RESTRICTION,
    Ask,
    Book,
    Command,
    Endpoint,
    Finish,
    Heard,
    Now,
    Record,
    Take,
    Wait,
    begin,
    step,
)
from engine_service.execution.words import from_report
from engine_service.venues.reports import ReadFailed

ACK_WAIT_S = 2.0
#: What may end in PENDING_ACK again: of a cancel or a change that is not done, that order is left as it was.
UNACKNOWLEDGED: Final = frozenset(
    {OrderStatus.PENDING_ACK, OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_UPDATE, OrderStatus.IN_DOUBT}
)


def resolve_later(core: EngineCore, client_order_id: str, *, at_once: bool = False) -> None:
    """Settle an order in the background; one resolver per order."""
    core.spawn(f"resolve:{client_order_id}", resolve(core, client_order_id, at_once=at_once))


def await_acknowledgement(core: EngineCore, client_order_id: str) -> None:
    """Put an order in doubt when the venue's engine stays silent after its gateway took it."""
    core.spawn(f"ack:{client_order_id}", _acknowledged(core, client_order_id))


async def _acknowledged(core: EngineCore, client_order_id: str) -> None:
    status = None
    while status is not OrderStatus.PENDING_ACK:
        await core.sleep(ACK_WAIT_S)
        order = core.state.order(client_order_id)
        status = None if order is None else order.status
        if status not in UNACKNOWLEDGED:
            return
    reason = "the venue's engine did not confirm in time"
    now = core.clock.now_ms()
    await core.commit(e.OrderInDoubt(at_ms=now, client_order_id=client_order_id, doubt=Doubt.SUBMIT, reason=reason))
    resolve_later(core, client_order_id)


async def resolve(core: EngineCore, client_order_id: str, *, at_once: bool = False) -> None:
    """Read until the order's fate is certain."""
    case, heard = begin(at_once=at_once), None
    while True:
        order = core.state.order(client_order_id)
        if order is None:
            return
        case, commands = step(case, order, heard, _now(core, order))
        heard = None
        for command in commands:
            if isinstance(command, Finish):
                await _afterwards(core, client_order_id)
                return
            heard = await _carry_out(core, order, command)


def _now(core: EngineCore, order: Order) -> Now:
    venue = core.venue_for(order.symbol)
    window_ms = venue.info.window.fence_ms
    return Now(venue.venue_time_ms(), core.clock.now_ms(), core.clock.monotonic_s(), window_ms)


async def _carry_out(core: EngineCore, order: Order, command: Command) -> Heard:
    match command:
        case Wait():
            await core.sleep(command.seconds)
        case Ask():
            return await _ask(core, order, command.endpoint)
        case Take():
            current = core.state.order(order.client_order_id) or order
            done = apply_words(core, current, from_report(command.report))
            if done is not None:
                await done
        case Book():
            done = apply_fills(core, core.state.order(order.client_order_id) or order, command.fills)
            if done is not None:
                await done
        case Record():
            await _record(core, order, command.events)
        case Finish():
            pass
        case _:
            assert_never(command)
    return None


async def _ask(core: EngineCore, order: Order, endpoint: Endpoint) -> Heard:
    venue = core.venue_for(order.symbol)
    heard: Heard
    match endpoint:
        case Endpoint.ORDER:
            heard = await venue.query_order(order)
        case Endpoint.OPEN_ORDER:
            heard = await venue.query_open_order(order)
        case Endpoint.FILLS:
            heard = await venue.query_fills(order)
        case _:
            assert_never(endpoint)
    core.gate.venue_result(order.venue, ok=not isinstance(heard, ReadFailed), now_s=core.clock.monotonic_s())
    return heard


async def _record(core: EngineCore, order: Order, events: tuple[e.Event, ...]) -> None:
    """Write facts, unless the order moved on in the turn before: then they are about a past that is settled."""
    current = core.state.order(order.client_order_id)
    if current is not None and current.status is OrderStatus.IN_DOUBT:
        await core.commit(*events)


async def _afterwards(core: EngineCore, client_order_id: str) -> None:
    """Lift what the doubt imposed, and do what was wished for meanwhile."""
    order = core.state.order(client_order_id)
    if order is None:
        return
    now = core.clock.now_ms()
    held = core.state.restriction(order.symbol, order.market, now)
    if held is not None and held.code == RESTRICTION and not _others_in_doubt(core, order):
        await core.commit(
            e.SymbolReleased(at_ms=now, symbol=order.symbol, market=order.market, principal=ENGINE, reason="settled")
        )
    if order.cancel_requested and order.is_open and order.status is not OrderStatus.QUARANTINED:
        cancel_later(core, client_order_id, "wished for while in doubt")


def _others_in_doubt(core: EngineCore, order: Order) -> bool:
    return any(
        other.symbol == order.symbol and other.market is order.market and other.client_order_id != order.client_order_id
        for other in core.state.in_doubt.values()
    )
