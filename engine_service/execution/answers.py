"""What a caller is told of its order: the answer kept beside it, said again word for word, or how it stands now."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from engine_service.domain.errors import Unavailable
from engine_service.domain.fill import Fill
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.storage.port import FillFilter, StoredAnswer


class SubmitStatus(StrEnum):
    """What a caller is told. The order itself says the rest."""

    CREATED = "created"
    IN_DOUBT = "in_doubt"
    DENIED = "denied"
    REJECTED = "rejected"
    NOT_PLACED = "not_placed"


class SubmitResult(Struct, frozen=True, kw_only=True, gc=False):
    """The answer to a request. ``replayed`` tells that it was answered before, word for word.

    ``code``, ``reason`` and ``numbers`` explain a refusal by us (denied), by the venue (rejected) or by the way
    there (not_placed).
    """

    status: SubmitStatus
    order: Order
    fills: tuple[Fill, ...] = ()
    replayed: bool = False
    numbers: Mapping[str, str] = field(default_factory=dict)
    answered_at_ms: int = 0

    @property
    def code(self) -> str:
        return self.order.code

    @property
    def reason(self) -> str:
        return self.order.reason


_BY_STATUS = {
    OrderStatus.DENIED: SubmitStatus.DENIED,
    OrderStatus.REJECTED: SubmitStatus.REJECTED,
    OrderStatus.NOT_PLACED: SubmitStatus.NOT_PLACED,
    OrderStatus.IN_DOUBT: SubmitStatus.IN_DOUBT,
    OrderStatus.SUBMITTED: SubmitStatus.IN_DOUBT,
    OrderStatus.PENDING_ACK: SubmitStatus.IN_DOUBT,
    OrderStatus.INITIALIZED: SubmitStatus.IN_DOUBT,
}


def outcome_of(order: Order) -> SubmitStatus:
    """Return the word for how the order stands."""
    return _BY_STATUS.get(order.status, SubmitStatus.CREATED)


def result(order: Order, stored: StoredAnswer) -> SubmitResult:
    """Return the first answer to a request."""
    return SubmitResult(
        status=SubmitStatus(stored.outcome),
        order=order,
        fills=stored.fills,
        numbers=stored.numbers,
        answered_at_ms=stored.at_ms,
    )


def replayed(core: EngineCore, answer: StoredAnswer) -> SubmitResult:
    """Say again what was said; beyond the time to live, or where nothing was said, the order as it stands."""
    if answer.order is not None and answer.outcome and core.idempotency.is_fresh(answer):
        return SubmitResult(
            status=SubmitStatus(answer.outcome),
            order=answer.order,
            fills=answer.fills,
            replayed=True,
            numbers=answer.numbers,
            answered_at_ms=answer.at_ms,
        )
    return _at_present(core, answer)


def _at_present(core: EngineCore, answer: StoredAnswer) -> SubmitResult:
    """Return the present state of the order behind an answer.

    Raises:
        Unavailable: its order cannot be read.
    """
    order = core.order(cid := answer.client_order_id)
    if order is None:
        raise Unavailable("JOURNAL_UNAVAILABLE", "the order of this key cannot be read")
    fills = core.state.fills_of(cid) or tuple(
        row.fill for row in core.journal.fills(FillFilter(client_order_id=cid, limit=1_000))
    )
    status = outcome_of(order)
    if order.filled_quantity > 0:
        status = SubmitStatus.CREATED
    return SubmitResult(
        status=status,
        order=order,
        fills=fills,
        replayed=True,
        numbers=answer.numbers,
        answered_at_ms=order.updated_at_ms,
    )
