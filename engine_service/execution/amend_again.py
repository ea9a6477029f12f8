"""A change that is asked for under a key that was used: the order it made is found again, and nothing is made twice."""

from __future__ import annotations

from decimal import Decimal

from engine_service.domain.errors import InvalidRequest
from engine_service.domain.ids import client_order_id as derived_id
from engine_service.domain.money import plain
from engine_service.domain.order import Order
from engine_service.execution.core import EngineCore


def replacement_id(core: EngineCore, order: Order, key: str) -> str:
    """Return the id of the order that takes another's place, from the caller's key."""
    return derived_id(
        core.instance_key,
        account=core.account,
        venue=order.venue,
        market=order.market,
        scope=order.client_order_id,
        key=key,
        leg="r",
    )


def made_before(core: EngineCore, client_order_id: str, key: str) -> Order | None:
    """Return the order that a change of the same order under the same key has made."""
    order = core.state.order(client_order_id) or core.journal.order(client_order_id)
    if order is None:
        return None
    cid = replacement_id(core, order, key)
    return core.state.order(cid) or core.journal.order(cid)


def refuse_another_change(core: EngineCore, made: Order, limit_price: Decimal | None, quantity: Decimal | None) -> None:
    """Refuse a change that differs from the one that ``made`` came of.

    Raises:
        InvalidRequest: ``IDEMPOTENCY_KEY_REUSED``.
    """
    instrument = core.instrument(made.symbol, made.market)
    price = None if limit_price is None else instrument.round_price(limit_price, made.side)
    size = None if quantity is None else plain(instrument.round_quantity(quantity))
    other_size = size is not None and size != made.why.get("quantity", size)
    if other_size or (price is not None and price != made.limit_price):
        raise InvalidRequest("IDEMPOTENCY_KEY_REUSED", "this key was used for another change of this order")
