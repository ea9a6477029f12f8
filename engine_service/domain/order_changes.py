"""What each order event does to an order. Pure: a new ``Order`` or ``None`` where the state table forbids it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.money import ZERO, exactly
from engine_service.domain.order import Order
from engine_service.domain.order_fsm import Trigger, resolve
from engine_service.domain.order_status import FILLED, SUBMITTED, Doubt, OrderStatus

#: Event kind to the word of the state table it speaks; fills are told apart by what they complete.
TRIGGERS: Final[Mapping[type[e.OrderEvent], Trigger]] = {
    e.OrderDenied: Trigger.DENY,
    e.OrderSubmitted: Trigger.SUBMIT,
    e.OrderPendingAck: Trigger.PENDING_ACK,
    e.OrderAccepted: Trigger.ACCEPT,
    e.OrderTriggered: Trigger.TRIGGER,
    e.OrderPendingCancel: Trigger.PENDING_CANCEL,
    e.OrderCanceled: Trigger.CANCEL,
    e.OrderCancelRejected: Trigger.CANCEL_REJECT,
    e.OrderPendingUpdate: Trigger.PENDING_UPDATE,
    e.OrderUpdated: Trigger.UPDATE,
    e.OrderUpdateRejected: Trigger.UPDATE_REJECT,
    e.OrderRejected: Trigger.REJECT,
    e.OrderExpired: Trigger.EXPIRE,
    e.OrderInDoubt: Trigger.DOUBT,
    e.OrderNotPlaced: Trigger.NOT_PLACED,
    e.OrderResurrected: Trigger.RESURRECT,
    e.OrderQuarantined: Trigger.QUARANTINE,
    e.OrderReleased: Trigger.RELEASE,
}

_LATE = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED, OrderStatus.FILLED})
#: Where an order of which nothing is asked lives at the venue. A change that a cancel overtook can leave a doubt there.
RESTING: Final = frozenset({OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED})
_ASKED = frozenset({OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_UPDATE, OrderStatus.IN_DOUBT})
_ENDS_OF_CHANGE = frozenset({e.OrderUpdated, e.OrderUpdateRejected})


def changed(order: Order, event: e.OrderEvent) -> Order | None:
    """Return the order after ``event``, or ``None`` where no rule allows it.

    A fill is a fact and never refused: where no rule has a place for it the order is quarantined.
    """
    kind = type(event)
    fact = _FACTS.get(kind)
    if fact is not None:
        return fact(order, event)
    trigger = TRIGGERS[kind] if kind not in _ENDS_OF_CHANGE else _end_of_change(order, event)
    status = resolve(order.status, trigger, resting=order.resting_status, doubt=order.doubt)
    if status is None:
        return None
    update = _FIELDS.get(kind)
    fields = update(order, event) if update is not None else {}
    if order.doubt is not None and status is not OrderStatus.IN_DOUBT:
        fields.setdefault("doubt", None)
    if order.resting_status is not None and status not in _ASKED:
        fields.setdefault("resting_status", None)
    return replace(order, status=status, updated_at_ms=event.at_ms, **fields)


def taken_whole(order: Order, taken: e.OrderAccepted, filled: e.OrderFilled) -> Order | None:
    """Return an order just sent as being taken and filled by one trade leaves it: what ``changed`` does in two steps.

    ``None`` where it is not so plain. The sums are as exact as the caller's decimal context.
    """
    fill = filled.fill
    quantity = fill.quantity
    if order.status is not SUBMITTED or quantity != order.quantity or fill.provisional or filled.overfill:
        return None
    return replace(
        order,
        status=FILLED,
        venue_order_id=order.venue_order_id or taken.venue_order_id or fill.venue_order_id,
        filled_quantity=order.filled_quantity + quantity,
        filled_quote=order.filled_quote + fill.price * quantity,
        updated_at_ms=filled.at_ms,
    )


def _end_of_change(order: Order, event: e.OrderEvent) -> Trigger:
    """The end of a change that leaves nothing to trade has completed the order."""
    if order.filled_quantity > 0:
        changed_to = event.quantity if isinstance(event, e.OrderUpdated) else None
        size = order.quantity if changed_to is None else changed_to
        if size is not None and order.filled_quantity >= size:
            return Trigger.FILL_ALL
    return TRIGGERS[type(event)]


def _cancel_wished(order: Order, event: e.OrderCancelRequested) -> Order | None:
    return replace(order, cancel_requested=True, updated_at_ms=event.at_ms) if order.is_open else None


@exactly
def _filled(order: Order, event: e.OrderFilled) -> Order:
    fill, provisional = event.fill, order.provisional_quantity
    quantity, size = fill.quantity, order.quantity
    filled = order.filled_quantity + quantity
    most = size if order.pending_quantity is None else order.greatest_quantity
    complete = most is not None and filled >= most
    trigger = Trigger.FILL_ALL if complete else Trigger.FILL_PART
    status = resolve(order.status, trigger, resting=order.resting_status, doubt=order.doubt)
    status = status or OrderStatus.QUARANTINED
    # More than its size traded: that alone proves that the change to a larger one was done.
    grown = most is not size and size is not None and filled > size
    return replace(
        order,
        status=status,
        quantity=most if grown else size,
        filled_quantity=filled,
        filled_quote=order.filled_quote + fill.price * quantity,
        venue_order_id=order.venue_order_id or fill.venue_order_id,
        updated_at_ms=event.at_ms,
        late_fill=order.late_fill or order.status in _LATE,
        overfill=order.overfill or event.overfill,
        provisional_quantity=provisional + quantity if fill.provisional else provisional,
        doubt=order.doubt if status is OrderStatus.IN_DOUBT else None,
        resting_status=OrderStatus.PARTIALLY_FILLED if status in _ASKED else None,
    )


@exactly
def _reversed(order: Order, event: e.OrderFillReversed) -> Order | None:
    """Take a trade back. The status stays: a busted trade does not put an order back on the market."""
    fill = event.fill
    if fill.quantity > order.filled_quantity:
        return None
    bust = event.reason is e.Reversal.BUST
    return replace(
        order,
        filled_quantity=order.filled_quantity - fill.quantity,
        filled_quote=order.filled_quote - fill.price * fill.quantity,
        provisional_quantity=order.provisional_quantity - (fill.quantity if fill.provisional else ZERO),
        busted_quantity=order.busted_quantity + (fill.quantity if bust else ZERO),
        updated_at_ms=event.at_ms,
    )


#: Events that no table has to allow: trades, and a wish of ours.
_FACTS: Final[Mapping[type[e.OrderEvent], Callable[[Order, Any], Order | None]]] = {
    e.OrderFilled: _filled,
    e.OrderFillReversed: _reversed,
    e.OrderCancelRequested: _cancel_wished,
}

Fields = dict[str, Any]


def _denied(order: Order, event: e.OrderDenied) -> Fields:
    return {"code": event.code, "reason": event.reason}


def _submitted(order: Order, event: e.OrderSubmitted) -> Fields:
    return {"sent_at_ms": event.sent_at_ms, "fence_at_ms": event.fence_at_ms}


def _named(order: Order, event: e.OrderPendingAck | e.OrderAccepted | e.OrderResurrected) -> Fields:
    return {"venue_order_id": order.venue_order_id or event.venue_order_id}


def _pending_cancel(order: Order, event: e.OrderPendingCancel) -> Fields:
    return {
        "resting_status": _resting(order),
        "reason": event.reason,
        "cancel_requested": True,
        "fence_at_ms": max(order.fence_at_ms, event.fence_at_ms),
    }


def _pending_update(order: Order, event: e.OrderPendingUpdate) -> Fields:
    return {
        "resting_status": _resting(order),
        "pending_limit_price": event.limit_price,
        "pending_quantity": event.quantity,
        "unit_value": order.unit_value if event.unit_value is UNSET else event.unit_value,
        "fence_at_ms": max(order.fence_at_ms, event.fence_at_ms),
    }


def _resting(order: Order) -> OrderStatus:
    return order.resting_status if order.status in _ASKED and order.resting_status else order.status


def _updated(order: Order, event: e.OrderUpdated) -> Fields:
    return {
        "limit_price": order.limit_price if event.limit_price is None else event.limit_price,
        "quantity": order.quantity if event.quantity is None else event.quantity,
        "venue_order_id": event.venue_order_id or order.venue_order_id,
        "pending_limit_price": None,
        "pending_quantity": None,
    }


def _kept(order: Order, event: e.OrderCancelRejected | e.OrderUpdateRejected) -> Fields:
    fields: Fields = {"code": event.code, "reason": event.reason}
    if isinstance(event, e.OrderCancelRejected):
        return fields | {"cancel_requested": False}
    return fields | {"pending_limit_price": None, "pending_quantity": None}


def _ended(order: Order, event: e.OrderCanceled | e.OrderExpired | e.OrderQuarantined) -> Fields:
    return {"reason": event.reason or order.reason}


def _refused(order: Order, event: e.OrderRejected | e.OrderNotPlaced) -> Fields:
    return {} if order.status.is_terminal else {"code": event.code, "reason": event.reason}


def _doubted(order: Order, event: e.OrderInDoubt) -> Fields:
    resting = order.status if order.status in RESTING else order.resting_status if order.status in _ASKED else None
    return {"doubt": event.doubt, "reason": event.reason, "resting_status": resting}


_FIELDS: Final[Mapping[type[e.OrderEvent], Callable[[Order, Any], Fields]]] = {
    e.OrderDenied: _denied,
    e.OrderSubmitted: _submitted,
    e.OrderPendingAck: _named,
    e.OrderAccepted: _named,
    e.OrderResurrected: _named,
    e.OrderPendingCancel: _pending_cancel,
    e.OrderPendingUpdate: _pending_update,
    e.OrderUpdated: _updated,
    e.OrderCancelRejected: _kept,
    e.OrderUpdateRejected: _kept,
    e.OrderCanceled: _ended,
    e.OrderExpired: _ended,
    e.OrderQuarantined: _ended,
    e.OrderRejected: _refused,
    e.OrderNotPlaced: _refused,
    e.OrderInDoubt: _doubted,
}


def doubt_of(order: Order) -> Doubt:
    """Return what a crash or a time-out now leaves in doubt about an order."""
    match order.status:
        case OrderStatus.PENDING_CANCEL:
            return Doubt.CANCEL
        case OrderStatus.PENDING_UPDATE:
            return Doubt.REPLACE
        case status if status in RESTING:
            return Doubt.REPLACE
        case _:
            return order.doubt or Doubt.SUBMIT
