"""A change that is asked for under a key that was used: what it made is found again, and nothing is made twice."""

from __future__ import annotations

import asyncio
import hashlib
from asyncio import Future
from decimal import Decimal

from engine_service.domain.errors import Conflict, InvalidRequest
from engine_service.domain.events import IdempotencyMark
from engine_service.domain.ids import client_order_id as derived_id
from engine_service.domain.money import plain
from engine_service.domain.order import Order
from engine_service.execution.core import EngineCore

SAME_CHANGE_WAIT_S = 2.0


def mark_of_change(
    client_order_id: str, principal: str, key: str, limit_price: Decimal | None, quantity: Decimal | None
) -> IdempotencyMark:
    """Return the key of a change with the fingerprint of what it asks for."""
    figures = [None if figure is None else plain(figure) for figure in (limit_price, quantity)]
    return IdempotencyMark(
        scope=f"{principal}|/orders/{client_order_id}",
        key=key,
        fingerprint=hashlib.sha256(repr(figures).encode()).hexdigest(),
        principal=principal,
    )


async def claim(core: EngineCore, mark: IdempotencyMark) -> bool:
    """Claim a key; true where the change of it is written down already. Of two at once the second waits for the first.

    Raises:
        InvalidRequest: ``IDEMPOTENCY_KEY_REUSED``.
        Conflict: the same change is still on its way (``IDEMPOTENCY_IN_PROGRESS``).
    """
    while isinstance(claimed := core.idempotency.claim(mark), Future):
        try:
            async with asyncio.timeout(SAME_CHANGE_WAIT_S):
                await asyncio.shield(claimed)
        except TimeoutError as error:
            where = "" if core.journal.answer(mark.scope, mark.key) is None else mark.scope.partition("|")[2]
            why = "the same change is still on its way"
            raise Conflict("IDEMPOTENCY_IN_PROGRESS", why, retry_after_s=1, location=where) from error
    return claimed is not None


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
    order = core.order(client_order_id)
    if order is None:
        return None
    cid = replacement_id(core, order, key)
    return core.order(cid)


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
