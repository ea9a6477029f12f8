"""One order's events as one unit: for a venue in this process, where nobody looks between an order's start and end."""

from __future__ import annotations

from collections.abc import Sequence

from engine_service.domain import events as e
from engine_service.domain.apply import IllegalEvent, apply, book_trade
from engine_service.domain.money import exactly
from engine_service.domain.order import Order
from engine_service.domain.order_changes import changed, taken_whole
from engine_service.domain.state import EngineState


@exactly
def apply_unit(state: EngineState, order: Order, events: Sequence[e.Event]) -> Order:
    """Change the books by an order's events, and put the order itself back once, as the last of them leaves it.

    Orders, books and exposure afterwards are what ``apply`` makes of the same events one by one; a test holds them to
    that. Only the way there is shorter: an order that is over at the end never reserves anything. The order's events
    are counted by whoever records them.

    Raises:
        IllegalEvent: no rule allows one of the events; nothing was changed.
    """
    if len(events) == 2 and type(events[0]) is e.OrderAccepted and type(events[1]) is e.OrderFilled:
        whole = taken_whole(order, events[0], events[1])
        if whole is not None:
            book_trade(state, events[1])
            state.put_order(whole)
            return whole
    beside: list[e.Event] = []
    for event in events:
        if not isinstance(event, e.OrderEvent):
            beside.append(event)
            continue
        order = step(order, event)
        if type(event) is e.OrderFilled:
            beside.append(event)
    for event in beside:
        if isinstance(event, e.OrderFilled):
            book_trade(state, event)
        else:
            apply(state, event)
    state.put_order(order)
    return order


def step(order: Order, event: e.OrderEvent) -> Order:
    """Return the order after an event.

    Raises:
        IllegalEvent: no rule allows it.
    """
    after = changed(order, event)
    if after is None:
        raise IllegalEvent("ILLEGAL_EVENT", f"{type(event).__name__} does not fit the state of its order")
    return after
