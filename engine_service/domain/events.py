"""Every fact the engine can journal. State changes only by applying these; nothing else is kept.

All are frozen, carry wall time ``at_ms`` (UTC epoch milliseconds) and nothing that a replay could not repeat:
where a fact needs a price to be booked, the price is in the event. The class name is the kind on disk and wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from msgspec import UNSET, Struct, UnsetType, field

from engine_service.domain.advice import AdvisedSize, AdvisedTactic
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderSide


class Event(Struct, frozen=True, kw_only=True):
    """Base of all facts."""

    at_ms: int


# --- orders -----------------------------------------------------------------------------------------------------


class OrderEvent(Event, frozen=True, kw_only=True):
    """A fact about one order."""

    client_order_id: str


class IdempotencyMark(Struct, frozen=True, kw_only=True):
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
    """A cancel is about to be sent; ``fence_at_ms`` is the venue time after which it can no longer arrive."""

    reason: str = ""
    principal: str = ""
    fence_at_ms: int = 0


class OrderCancelRequested(OrderEvent, frozen=True, kw_only=True):
    """Someone wants it cancelled, which cannot be asked of the venue yet; done as soon as the doubt is settled."""

    reason: str = ""
    principal: str = ""


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


# --- money ------------------------------------------------------------------------------------------------------


class AdjustmentKind(StrEnum):
    """Why a balance moved without a fill."""

    OPENING = "opening"
    TRANSFER = "transfer"
    ADOPTION = "adoption"
    DUST = "dust"
    CORRECTION = "correction"
    ROUNDING = "rounding"


class BalanceAdjusted(Event, frozen=True, kw_only=True):
    """A signed change of one asset that is not trading. ``rate`` is reporting currency per unit."""

    venue: str
    market: Market
    asset: str
    amount: Decimal
    rate: Decimal
    kind: AdjustmentKind
    reference: str = ""


class PositionAdopted(Event, frozen=True, kw_only=True):
    """A derivative position without fills of ours: ``quantity`` is the signed difference taken over."""

    symbol: str
    quote: str
    quantity: Decimal
    price: Decimal
    quote_rate: Decimal
    opening: bool = False


class FundingPaid(Event, frozen=True, kw_only=True):
    """Funding of a derivative position; ``amount`` in units of ``asset``, negative when paid by us."""

    venue: str
    symbol: str
    asset: str
    amount: Decimal
    rate: Decimal
    income_id: str


class EquityRecorded(Event, frozen=True, kw_only=True):
    """Equity seen at a moment: the drawdown peak and the day's start live on it."""

    equity: Decimal
    peak: Decimal
    day_start: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees: Decimal
    funding: Decimal
    transfers: Decimal


# --- the engine and its controls --------------------------------------------------------------------------------


class EngineStarted(Event, frozen=True, kw_only=True):
    """A new epoch of the one writer."""

    epoch: int
    version: str
    account: str = ""


class TradingHalted(Event, frozen=True, kw_only=True):
    """No new risk until a person resumes."""

    reason: str
    principal: str


class TradingResumed(Event, frozen=True, kw_only=True):
    reason: str
    principal: str


class SymbolRestricted(Event, frozen=True, kw_only=True):
    """One symbol takes reduce-only orders until ``until_ms`` (0 = until a person lifts it)."""

    symbol: str
    market: Market
    code: str
    reason: str
    until_ms: int = 0


class SymbolReleased(Event, frozen=True, kw_only=True):
    symbol: str
    market: Market
    principal: str
    reason: str


class RiskConfigChanged(Event, frozen=True, kw_only=True):
    """Limits in force from now on; ``values`` are the flat keys of ``config/risk.yaml`` as text."""

    version: int
    values: Mapping[str, str]
    changed: Mapping[str, str]
    principal: str
    reason: str


class BreakFound(Event, frozen=True, kw_only=True):
    """A difference between engine and venue. ``resolution`` is imported, closed, adopted or open."""

    break_id: str
    venue: str
    market: Market
    kind: str
    subject: str
    ours: str
    theirs: str
    resolution: str


class ReconciliationCompleted(Event, frozen=True, kw_only=True):
    """One full comparison as of ``as_of_ms`` (venue time).

    ``last_trade_ids`` are the newest trade ids read from history, by ``market:symbol``: everything up to them is
    known, which what a stream delivered does not prove.
    """

    venue: str
    trigger: str
    as_of_ms: int
    imported: int
    closed: int
    open_breaks: tuple[str, ...] = ()
    last_trade_ids: Mapping[str, str] = field(default_factory=dict)
    duration_ms: int = 0


class Anomaly(Event, frozen=True, kw_only=True):
    """Something no rule allows: recorded, counted, not applied."""

    kind: str
    subject: str
    detail: str


# --- strategies -------------------------------------------------------------------------------------------------


class StrategyChanged(Event, frozen=True, kw_only=True):
    """Settings of one strategy from now on. ``budget`` is reporting currency, ``weight`` a fraction."""

    strategy: str
    enabled: bool
    dry_run: bool
    budget: Decimal
    weight: Decimal
    model_version: str = ""
    principal: str = ""
    reason: str = ""


class ModelStored(Event, frozen=True, kw_only=True):
    """A model bundle came in; ``bundle`` is its canonical JSON."""

    strategy: str
    version: str
    bundle: str
    principal: str = ""


class SignalEmitted(Event, frozen=True, kw_only=True):
    """What a strategy thought of a closed bar. Confidence is signed, -1 to 1; evidence is flat text."""

    strategy: str
    symbol: str
    market: Market
    bar_open_ms: int
    confidence: float
    target: float | None = None
    model_version: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)


class IntentDryRun(Event, frozen=True, kw_only=True):
    """The order a strategy in dry run would have sent."""

    strategy: str
    symbol: str
    market: Market
    side: OrderSide
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    why: Mapping[str, str] = field(default_factory=dict)


class IntentSkipped(Event, frozen=True, kw_only=True):
    """The entry that a strategy wanted and advice kept back; ``reason`` is the advice's."""

    strategy: str
    symbol: str
    market: Market
    side: OrderSide
    quantity: Decimal | None = None
    reason: str = ""
    why: Mapping[str, str] = field(default_factory=dict)


class AdviceGiven(Event, frozen=True, kw_only=True):
    """How to send entries, or how large, until ``valid_until_ms``; ``None`` leaves the one or the other as it was."""

    valid_until_ms: int
    tactics: tuple[AdvisedTactic, ...] | None = None
    sizes: tuple[AdvisedSize, ...] | None = None
    principal: str = ""
    reason: str = ""


class BracketArmed(Event, frozen=True, kw_only=True):
    """Take-profit and stop-loss prices watched (or resting) for a filled entry.

    ``mode`` is native (one list at the venue), linked (two orders that the engine pairs) or watched; empty for a
    strategy's bracket, which the engine watches on its own.
    """

    bracket_id: str
    symbol: str
    market: Market
    strategy: str
    entry_side: OrderSide
    quantity: Decimal
    take_profit: Decimal | None
    stop_loss: Decimal | None
    entry_order_id: str = ""
    mode: str = ""


class BracketClosed(Event, frozen=True, kw_only=True):
    """The bracket ended: ``outcome`` is take_profit, stop_loss, unprotected, flat, replaced or canceled."""

    bracket_id: str
    symbol: str
    market: Market
    outcome: str
    exit_order_id: str = ""
    realised_pnl: Decimal = ZERO
