"""What the venue says of an order, as facts. Late, doubled and reordered words change nothing; contradictions stop it.

One function for the stream, for answers to our own requests and for reads, so that all of them lead to the same state.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.money import ZERO, exactly, within_exact
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderSide, OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.execution.fill_facts import conflicts, fill_events, gross, new_fills, restriction
from engine_service.execution.whole_fill import whole_fill
from engine_service.execution.words import Words

#: Where the venue's first sign of an order is still to come.
_UNSEEN = frozenset({OrderStatus.SUBMITTED, OrderStatus.PENDING_ACK, OrderStatus.NOT_PLACED, OrderStatus.RESURRECTED})
#: Where its last word changes nothing any more.
_SETTLED = frozenset(
    {
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.REJECTED,
        OrderStatus.FILLED,
        OrderStatus.QUARANTINED,
        OrderStatus.DENIED,
    }
)


#: Words that tell of an order just sent that the venue has it, and nothing else that has an event of its own.
_TAKEN = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED})


_fill_events = within_exact(fill_events)


class Facts(Struct, frozen=True, gc=False):
    """Events to record, and whether the venue knows of trades that were not named (``gap``).

    ``conflicts`` tell of trades that are booked already and come again with another price or size.
    """

    events: list[e.Event]
    gap: bool = False
    conflicts: tuple[e.Event, ...] = ()


@exactly
def facts_of(core: EngineCore, order: Order, words: Words) -> Facts:
    """Work out what is new in ``words``. Pure but for reading the state, the marks and the clock of ``core``."""
    now = core.clock.now_ms()
    whole = whole_fill(core, order, words, now)
    if whole is not None:
        return Facts(whole)
    fills = new_fills(core, order, words.fills)
    contradiction = _contradiction(order, words) or beyond_limit(core, order, fills)
    if contradiction and order.status is not OrderStatus.QUARANTINED:
        return Facts([*quarantined(order, contradiction, now), *fill_events(core, order, fills)])
    events: list[e.Event] = _birth(order, words, now)
    left = _left_by_the_old(order, words)
    if left is not None:
        events.append(e.OrderUpdated(at_ms=now, client_order_id=order.client_order_id, quantity=left))
        order = replace(order, quantity=left)
    booked = gross(order)
    if fills:
        events += _fill_events(core, order, fills)
        traded = fills[0].quantity if len(fills) == 1 else sum([fill.quantity for fill in fills], ZERO)
        stood_in = order.provisional_quantity
        booked += max(ZERO, traded - stood_in) if stood_in else traded
    gap = words.executed > booked
    if not gap:
        events += _end(order, words, booked, now)
    return Facts(events, gap, tuple(conflicts(core, order, words.fills)) if len(fills) < len(words.fills) else ())


def _left_by_the_old(order: Order, words: Words) -> Decimal | None:
    """Return the size of a replacement that the venue has smaller than we asked: the old order had traded meanwhile."""
    said, asked = words.quantity, order.quantity
    if said is None or asked is None or not ZERO < said < asked or "replaces" not in order.why:
        return None
    return said if order.is_open and order.pending_quantity is None and said >= order.filled_quantity else None


def quarantined(order: Order, reason: str, now_ms: int) -> list[e.Event]:
    """Put an order and its symbol aside for a person."""
    cid = order.client_order_id
    return [
        e.OrderQuarantined(at_ms=now_ms, client_order_id=cid, reason=reason),
        e.Anomaly(at_ms=now_ms, kind="contradiction", subject=cid, detail=reason),
        restriction(order, "QUARANTINED", reason, now_ms),
    ]


def _contradiction(order: Order, words: Words) -> str:
    if words.status is OrderStatus.QUARANTINED:
        return "the venue uses a status that is not known here"
    if words.side is not None and words.side is not order.side:
        return "the venue names another side"
    if words.symbol and words.symbol != order.symbol:
        return "the venue names another symbol"
    if words.venue_order_id and order.venue_order_id and words.venue_order_id != order.venue_order_id:
        replacing = order.status is OrderStatus.PENDING_UPDATE or order.doubt is Doubt.REPLACE
        return "" if replacing else "two venue orders have one client order id"
    return "the venue counts less than nothing" if words.executed < 0 else misfit(order, words.fills)


def misfit(order: Order, fills: Iterable[Fill]) -> str:
    """Return why trades cannot be the order's, empty where they can."""
    for fill in fills:
        if fill.side is not order.side or fill.symbol != order.symbol:
            return "a trade does not fit the order"
    return ""


def beyond_limit(core: EngineCore, order: Order, unknown: Iterable[Fill]) -> str:
    """Return why trades that are not booked yet cannot be the order's by their price, empty where they can."""
    for fill in unknown:
        if _is_worse(fill.price, order.limit_price, order.side) and not _was_allowed(core, order, fill.price):
            return "a trade is worse than the order's limit"
    return ""


def _is_worse(price: Decimal, limit: Decimal | None, side: OrderSide) -> bool:
    if limit is None:
        return False
    return price > limit if side is OrderSide.BUY else price < limit


def _was_allowed(core: EngineCore, order: Order, price: Decimal) -> bool:
    """Tell whether any limit that the order had, or was asked to have, allows a price: trades are told late.

    Of an order that is not ours only the newest limit is known, which proves nothing.
    """
    if order.external:
        return True
    limits = [_limit_of(recorded.event) for recorded in core.journal.order_history(order.client_order_id)]
    return any(limit is not None and not _is_worse(price, limit, order.side) for limit in limits)


def _limit_of(event: e.Event) -> Decimal | None:
    if isinstance(event, e.OrderInitialized):
        return event.order.limit_price
    return event.limit_price if isinstance(event, e.OrderPendingUpdate | e.OrderUpdated) else None


def _birth(order: Order, words: Words, now_ms: int) -> list[e.Event]:
    """The venue's first sign of an order."""
    cid = order.client_order_id
    if order.status is OrderStatus.SUBMITTED and words.status in _TAKEN:
        return [e.OrderAccepted(at_ms=now_ms, client_order_id=cid, venue_order_id=words.venue_order_id)]
    events: list[e.Event] = []
    if order.status is OrderStatus.NOT_PLACED and words.status is not OrderStatus.REJECTED:
        events += [
            e.OrderResurrected(at_ms=now_ms, client_order_id=cid, venue_order_id=words.venue_order_id),
            e.Anomaly(at_ms=now_ms, kind="resurrected", subject=cid, detail="seen after it was proved absent"),
            restriction(order, "RESURRECTED", "an order appeared after it was proved absent", now_ms),
        ]
    if words.status is OrderStatus.REJECTED:
        return events
    waits = order.status in _UNSEEN or (order.status is OrderStatus.IN_DOUBT and order.doubt is Doubt.SUBMIT)
    if words.status is OrderStatus.PENDING_ACK:
        if order.status is OrderStatus.SUBMITTED:
            events.append(e.OrderPendingAck(at_ms=now_ms, client_order_id=cid, venue_order_id=words.venue_order_id))
        return events
    if waits:
        events.append(e.OrderAccepted(at_ms=now_ms, client_order_id=cid, venue_order_id=words.venue_order_id))
    if words.status is OrderStatus.TRIGGERED and order.status is not OrderStatus.TRIGGERED and order.is_open:
        events.append(e.OrderTriggered(at_ms=now_ms, client_order_id=cid))
    return events


def _end(order: Order, words: Words, booked: Decimal, now_ms: int) -> list[e.Event]:
    """The venue's last word, once every trade it counts is booked."""
    most = order.greatest_quantity
    full = most is not None and booked >= most
    if full or order.status in _SETTLED:
        return []
    cid, reason = order.client_order_id, words.reason
    match words.status:
        case OrderStatus.FILLED if booked > 0 and order.status is not OrderStatus.NOT_PLACED:
            return _smaller(order, booked, now_ms)
        case OrderStatus.CANCELED:
            return [e.OrderCanceled(at_ms=now_ms, client_order_id=cid, reason=reason)]
        case OrderStatus.EXPIRED:
            return [e.OrderExpired(at_ms=now_ms, client_order_id=cid, reason=reason)]
        case OrderStatus.REJECTED if order.status is not OrderStatus.NOT_PLACED:
            return [e.OrderRejected(at_ms=now_ms, client_order_id=cid, code="VENUE_REJECTED", reason=reason)]
        case _:
            return []


def _smaller(order: Order, booked: Decimal, now_ms: int) -> list[e.Event]:
    """The venue calls it filled with less than was ordered: a change that made it smaller was done after all."""
    cid = order.client_order_id
    events: list[e.Event] = [e.OrderUpdated(at_ms=now_ms, client_order_id=cid, quantity=booked)]
    if order.pending_quantity is None:
        detail = f"filled at {booked}, ordered {order.quantity}"
        events.append(e.Anomaly(at_ms=now_ms, kind="quantity_differs", subject=cid, detail=detail))
    return events
