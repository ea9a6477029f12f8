"""What becomes of an order, and of the answer its caller was given."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from msgspec import UNSET, Struct, UnsetType, field

from engine_service.domain.event import Event
from engine_service.domain.fill import Fill
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt


class OrderEvent(Event, frozen=True, kw_only=True):
    """A fact about one order."""

    client_order_id: str


class IdempotencyMark(Struct, frozen=True, kw_only=True, gc=False):
    """Under which key an answer is remembered: scope is ``principal|route``, fingerprint the body's hash."""

    scope: str
    key: str
    fingerprint: str
    principal: str = ""


class OrderInitialized(OrderEvent, frozen=True, kw_only=True):
    """An intent exists. ``order`` carries its reservation; ``idempotency`` the key it was asked under."""

    order: Order
    idempotency: IdempotencyMark | None = None


class OrderDenied(OrderEvent, frozen=True, kw_only=True):
    """A rail refused it; ``numbers`` are what was measured, the limit, and what would be accepted."""

    code: str
    reason: str
    numbers: Mapping[str, str] = field(default_factory=dict)


class OrderSubmitted(OrderEvent, frozen=True, kw_only=True):
    """From here on bytes may have left. ``fence_at_ms`` is venue time, see ``SendWindow``."""

    sent_at_ms: int
    fence_at_ms: int


class OrderPendingAck(OrderEvent, frozen=True, kw_only=True):
    """The venue's gateway took it, its engine has not spoken yet."""

    venue_order_id: str = ""


class OrderAccepted(OrderEvent, frozen=True, kw_only=True):
    """The venue has it."""

    venue_order_id: str


class OrderTriggered(OrderEvent, frozen=True, kw_only=True):
    """The stop price was reached; the order proper works now."""


class OrderFilled(OrderEvent, frozen=True, kw_only=True):
    """One trade, booked once.

    ``quote_rate`` and ``fee_rate`` are reporting currency per unit of quote and of fee asset at booking time, so that
    a replay gives the same money. ``base`` and ``quote`` are the assets that moved. ``overfill`` and ``late`` say
    that the order had no room or no life left; the position moves all the same.
    """

    fill: Fill
    base: str
    quote: str
    quote_rate: Decimal
    fee_rate: Decimal
    strategy: str = "manual"
    late: bool = False
    overfill: bool = False


class Reversal(StrEnum):
    """Why a booked trade is taken back: the venue busted it, or the real trades behind a stand-in are known."""

    BUST = "bust"
    REPLACED = "replaced"


class OrderFillReversed(OrderEvent, frozen=True, kw_only=True):
    """A booked trade is taken back by its opposite; ``fill`` and the rates are as it was booked. Nothing is edited."""

    fill: Fill
    base: str
    quote: str
    quote_rate: Decimal
    fee_rate: Decimal
    reason: Reversal
    strategy: str = "manual"


class OrderPendingCancel(OrderEvent, frozen=True, kw_only=True):
    """A cancel is about to be sent; ``fence_at_ms`` is the venue time after which it can no longer arrive.

    ``idempotency`` is the key it was asked under.
    """

    reason: str = ""
    principal: str = ""
    fence_at_ms: int = 0
    idempotency: IdempotencyMark | UnsetType = UNSET


class OrderCancelRequested(OrderEvent, frozen=True, kw_only=True):
    """Someone wants it cancelled, which cannot be asked of the venue yet; done as soon as the doubt is settled.

    ``idempotency`` as in ``OrderPendingCancel``.
    """

    reason: str = ""
    principal: str = ""
    idempotency: IdempotencyMark | UnsetType = UNSET


class OrderCanceled(OrderEvent, frozen=True, kw_only=True):
    """The order ended without (further) fills: by us or by the venue, see ``reason``."""

    reason: str = ""


class OrderCancelRejected(OrderEvent, frozen=True, kw_only=True):
    """The cancel was refused and the order works as before."""

    code: str
    reason: str = ""


class OrderPendingUpdate(OrderEvent, frozen=True, kw_only=True):
    """A change of price or quantity is about to be sent; ``fence_at_ms`` as in ``OrderPendingCancel``.

    ``unit_value`` is what a base unit counts as from now on, where the change makes it dearer. ``idempotency`` is the
    key it was asked under.
    """

    limit_price: Decimal | None = None
    quantity: Decimal | None = None
    principal: str = ""
    fence_at_ms: int = 0
    unit_value: Decimal | UnsetType = UNSET
    idempotency: IdempotencyMark | UnsetType = UNSET


class OrderUpdated(OrderEvent, frozen=True, kw_only=True):
    """The venue changed the order; ``venue_order_id`` is new where it replaces."""

    limit_price: Decimal | None = None
    quantity: Decimal | None = None
    venue_order_id: str = ""


class OrderUpdateRejected(OrderEvent, frozen=True, kw_only=True):
    """The change was refused and the order works as before."""

    code: str
    reason: str = ""


class OrderRejected(OrderEvent, frozen=True, kw_only=True):
    """The venue certainly did not take it."""

    code: str
    reason: str = ""


class OrderExpired(OrderEvent, frozen=True, kw_only=True):
    """The venue ended it by its own rules: IOC or FOK remainder, self-trade prevention, time."""

    reason: str = ""


class OrderInDoubt(OrderEvent, frozen=True, kw_only=True):
    """The outcome of a request is unknown; it will be settled by reading, never by sending again."""

    doubt: Doubt
    reason: str = ""


class OrderNotPlaced(OrderEvent, frozen=True, kw_only=True):
    """Certainly not at the venue: not sent, or proved absent after the fence by ``evidence``."""

    code: str
    reason: str = ""
    evidence: tuple[str, ...] = ()
    watch_until_ms: int = 0


class OrderResurrected(OrderEvent, frozen=True, kw_only=True):
    """The venue showed an order that was proved absent."""

    venue_order_id: str = ""


class OrderQuarantined(OrderEvent, frozen=True, kw_only=True):
    """The venue's words contradict the order; counted at its worst until a person decides."""

    reason: str


class OrderReleased(OrderEvent, frozen=True, kw_only=True):
    """A person closed the case of a quarantined order."""

    reason: str
    principal: str


class ExternalOrderAdopted(OrderEvent, frozen=True, kw_only=True):
    """An order on the account that this engine did not send."""

    order: Order


class OrderRecalled(OrderEvent, frozen=True, kw_only=True):
    """A finished order that had left memory is needed again, because the venue spoke of it."""

    order: Order
    fills: tuple[Fill, ...] = ()


class AnswerRecorded(Event, frozen=True, kw_only=True):
    """What a caller was told under an idempotency key, to be told again."""

    mark: IdempotencyMark
    outcome: str
    client_order_id: str = ""
    numbers: Mapping[str, str] = field(default_factory=dict)
    status_code: int = 0
    body: str = ""
