"""What a caller is told of a change: at once, and again under the same key."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.errors import Unavailable
from engine_service.domain.ids import client_order_id as derived_id
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.venues.port import AmendRequest


class AmendStatus(StrEnum):
    """``UPDATED``: done, ``order`` is the one that works now. ``PENDING``: will be settled. ``REFUSED``: as before.

    ``CANCELED``: the venue cancelled the order and did not take the one in its place; nothing works any more.
    """

    UPDATED = "updated"
    PENDING = "pending"
    REFUSED = "refused"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendResult:
    """``order`` is the changed order, or the new one where the venue replaces; ``replaced`` then is the old one."""

    status: AmendStatus
    order: Order
    replaced: Order | None = None


#: Of an order in whose place the venue took none: it had cancelled the old one by then.
REPLACEMENT_REFUSED = "REPLACEMENT_REFUSED"
_UNSETTLED = frozenset({OrderStatus.PENDING_UPDATE, OrderStatus.PENDING_CANCEL, OrderStatus.IN_DOUBT})


def changed(core: EngineCore, request: AmendRequest) -> AmendResult:
    """Tell what became of a change in place by the order's own figures, whatever was refused of it before."""
    cid = request.order.client_order_id
    order = core.state.order(cid) or request.order
    return AmendResult(status=_by_figures(order, request.limit_price, request.quantity), order=order)


def replaced(core: EngineCore, client_order_id: str, replacement: Order) -> AmendResult:
    """Tell what became of the order that was to take another's place."""
    old = core.known_order(client_order_id)
    new = core.state.order(replacement.client_order_id) or replacement
    match new.status:
        case OrderStatus.SUBMITTED | OrderStatus.IN_DOUBT:
            status = AmendStatus.PENDING
        case OrderStatus.REJECTED | OrderStatus.NOT_PLACED:
            never_came = new.status is OrderStatus.NOT_PLACED and old.status is OrderStatus.CANCELED
            if not never_came and new.code != REPLACEMENT_REFUSED:
                return AmendResult(status=AmendStatus.REFUSED, order=old)
            # Where the stream told the cancel first, only the order that was not taken knows why.
            told = old if old.reason else replace(old, reason=new.reason)
            return AmendResult(status=AmendStatus.CANCELED, order=told)
        case _:
            status = AmendStatus.UPDATED
    return AmendResult(status=status, order=new, replaced=old)


def replacement_id(core: EngineCore, order: Order, principal: str, key: str) -> str:
    """Return the id of the order that takes another's place, from its caller's key."""
    return derived_id(
        core.instance_key,
        account=core.account,
        venue=order.venue,
        market=order.market,
        scope=f"{principal}|{order.client_order_id}",
        key=key,
        leg="r",
    )


def became_of(core: EngineCore, client_order_id: str, mark: e.IdempotencyMark) -> AmendResult:
    """Tell what became of the change that was asked for under a key, whatever was changed after it.

    Raises:
        Unavailable: the journal does not give it out.
    """
    order, asked, status = core.known_order(client_order_id), None, None
    made = core.order(replacement_id(core, order, mark.principal, mark.key))
    if made is not None:
        return replaced(core, client_order_id, made)
    for recorded in core.journal.order_history(client_order_id):
        event = recorded.event
        if isinstance(event, e.OrderPendingUpdate):
            if asked is not None:
                break
            asked = event if event.idempotency == mark else None
        elif asked is not None and isinstance(event, e.OrderUpdated):
            status = AmendStatus.UPDATED
        elif asked is not None and isinstance(event, e.OrderUpdateRejected):
            status = AmendStatus.REFUSED
    if asked is None:
        raise Unavailable("JOURNAL_UNAVAILABLE", "the change of this key cannot be read")
    return AmendResult(status=status or _by_figures(order, asked.limit_price, asked.quantity), order=order)


def _by_figures(order: Order, limit_price: Decimal | None, quantity: Decimal | None) -> AmendStatus:
    if order.status in _UNSETTLED and (order.pending_limit_price, order.pending_quantity) == (limit_price, quantity):
        return AmendStatus.PENDING
    done = limit_price in {None, order.limit_price} and quantity in {None, order.quantity}
    return AmendStatus.UPDATED if done else AmendStatus.REFUSED
