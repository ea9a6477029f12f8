"""The commonest answer there is: a market order just sent, filled to its last digit by one trade.

``facts_of`` reads every answer; this one it need not ask for all that it cannot be. A test holds the two to the same
facts.
"""

from __future__ import annotations

from engine_service.domain import events as e
from engine_service.domain.order import Order
from engine_service.domain.order_status import FILLED, SUBMITTED
from engine_service.execution.core import EngineCore
from engine_service.execution.fill_facts import filled
from engine_service.execution.words import Words


def whole_fill(core: EngineCore, order: Order, words: Words, now_ms: int) -> list[e.Event] | None:
    """Return that the venue took the order and filled it, or ``None`` for every answer that needs a closer look."""
    if words.status is not FILLED or order.status is not SUBMITTED or len(words.fills) != 1:
        return None
    fill, quantity, cid = words.fills[0], order.quantity, order.client_order_id
    if (
        fill.quantity != quantity
        or words.executed != quantity
        or words.quantity is not None
        or words.side is not None
        or words.symbol
        or order.limit_price is not None
        or fill.side is not order.side
        or fill.symbol != order.symbol
        or fill.provisional
        or not fill.fee_asset
        or not quantity
        or order.venue_order_id
        or cid in core.state.image.fills
    ):
        return None
    taken = e.OrderAccepted(at_ms=now_ms, client_order_id=cid, venue_order_id=words.venue_order_id)
    return [taken, filled(core, order, fill, over=False, now_ms=now_ms)]
