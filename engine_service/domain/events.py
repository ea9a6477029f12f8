"""Every fact the engine can journal. State changes only by applying these; nothing else is kept.

All are frozen, carry wall time ``at_ms`` (UTC epoch milliseconds) and nothing that a replay could not repeat:
where a fact needs a price to be booked, the price is in the event. The class name is the kind on disk and wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from engine_service.domain.advice import AdvisedSize, AdvisedTactic
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderSide


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all facts."""

    at_ms: int


# --- orders -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent(Event):
    """A fact about one order."""

    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyMark:
    """Under which key an answer is remembered: scope is ``principal|route``, fingerprint the body's hash."""

    scope: str
    key: str
    fingerprint: str
    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderInitialized(OrderEvent):
    """An intent exists. ``order`` carries its reservation; ``idempotency`` the key it was asked under."""

    order: Order
    idempotency: IdempotencyMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDenied(OrderEvent):
    """A rail refused it; ``numbers`` are what was measured, the limit, and what would be accepted."""

    code: str
    reason: str
    numbers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSubmitted(OrderEvent):
    """From here on bytes may have left. ``fence_at_ms`` is venue time, see ``SendWindow``."""

    sent_at_ms: int
    fence_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPendingAck(OrderEvent):
    """The venue's gateway took it, its engine has not spoken yet."""

    venue_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAccepted(OrderEvent):
    """The venue has it."""

    venue_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTriggered(OrderEvent):
    """The stop price was reached; the order proper works now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled(OrderEvent):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFillReversed(OrderEvent):
    """A booked trade is taken back by its opposite; ``fill`` and the rates are as it was booked. Nothing is edited."""

    fill: Fill
    base: str
    quote: str
    quote_rate: Decimal
    fee_rate: Decimal
    reason: Reversal
    strategy: str = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPendingCancel(OrderEvent):
    """A cancel is about to be sent; ``fence_at_ms`` is the venue time after which it can no longer arrive."""

    reason: str = ""
    principal: str = ""
    fence_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelRequested(OrderEvent):
    """Someone wants it cancelled, which cannot be asked of the venue yet; done as soon as the doubt is settled."""

    reason: str = ""
    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCanceled(OrderEvent):
    """The order ended without (further) fills: by us or by the venue, see ``reason``."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelRejected(OrderEvent):
    """The cancel was refused and the order works as before."""

    code: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPendingUpdate(OrderEvent):
    """A change of price or quantity is about to be sent; ``fence_at_ms`` as in ``OrderPendingCancel``."""

    limit_price: Decimal | None = None
    quantity: Decimal | None = None
    principal: str = ""
    fence_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdated(OrderEvent):
    """The venue changed the order; ``venue_order_id`` is new where it replaces."""

    limit_price: Decimal | None = None
    quantity: Decimal | None = None
    venue_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdateRejected(OrderEvent):
    """The change was refused and the order works as before."""

    code: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected(OrderEvent):
    """The venue certainly did not take it."""

    code: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderExpired(OrderEvent):
    """The venue ended it by its own rules: IOC or FOK remainder, self-trade prevention, time."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderInDoubt(OrderEvent):
    """The outcome of a request is unknown; it will be settled by reading, never by sending again."""

    doubt: Doubt
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotPlaced(OrderEvent):
    """Certainly not at the venue: not sent, or proved absent after the fence by ``evidence``."""

    code: str
    reason: str = ""
    evidence: tuple[str, ...] = ()
    watch_until_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderResurrected(OrderEvent):
    """The venue showed an order that was proved absent."""

    venue_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderQuarantined(OrderEvent):
    """The venue's words contradict the order; counted at its worst until a person decides."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReleased(OrderEvent):
    """A person closed the case of a quarantined order."""

    reason: str
    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalOrderAdopted(OrderEvent):
    """An order on the account that this engine did not send."""

    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecalled(OrderEvent):
    """A finished order that had left memory is needed again, because the venue spoke of it."""

    order: Order
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRecorded(Event):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceAdjusted(Event):
    """A signed change of one asset that is not trading. ``rate`` is reporting currency per unit."""

    venue: str
    market: Market
    asset: str
    amount: Decimal
    rate: Decimal
    kind: AdjustmentKind
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionAdopted(Event):
    """A derivative position without fills of ours: ``quantity`` is the signed difference taken over."""

    symbol: str
    quote: str
    quantity: Decimal
    price: Decimal
    quote_rate: Decimal
    opening: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid(Event):
    """Funding of a derivative position; ``amount`` in units of ``asset``, negative when paid by us."""

    venue: str
    symbol: str
    asset: str
    amount: Decimal
    rate: Decimal
    income_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityRecorded(Event):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStarted(Event):
    """A new epoch of the one writer."""

    epoch: int
    version: str
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingHalted(Event):
    """No new risk until a person resumes."""

    reason: str
    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingResumed(Event):
    reason: str
    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRestricted(Event):
    """One symbol takes reduce-only orders until ``until_ms`` (0 = until a person lifts it)."""

    symbol: str
    market: Market
    code: str
    reason: str
    until_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolReleased(Event):
    symbol: str
    market: Market
    principal: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskConfigChanged(Event):
    """Limits in force from now on; ``values`` are the flat keys of ``config/risk.yaml`` as text."""

    version: int
    values: Mapping[str, str]
    changed: Mapping[str, str]
    principal: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakFound(Event):
    """A difference between engine and venue. ``resolution`` is imported, closed, adopted or open."""

    break_id: str
    venue: str
    market: Market
    kind: str
    subject: str
    ours: str
    theirs: str
    resolution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationCompleted(Event):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly(Event):
    """Something no rule allows: recorded, counted, not applied."""

    kind: str
    subject: str
    detail: str


# --- strategies -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyChanged(Event):
    """Settings of one strategy from now on. ``budget`` is reporting currency, ``weight`` a fraction."""

    strategy: str
    enabled: bool
    dry_run: bool
    budget: Decimal
    weight: Decimal
    model_version: str = ""
    principal: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStored(Event):
    """A model bundle came in; ``bundle`` is its canonical JSON."""

    strategy: str
    version: str
    bundle: str
    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalEmitted(Event):
    """What a strategy thought of a closed bar. Confidence is signed, -1 to 1; evidence is flat text."""

    strategy: str
    symbol: str
    market: Market
    bar_open_ms: int
    confidence: float
    target: float | None = None
    model_version: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentDryRun(Event):
    """The order a strategy in dry run would have sent."""

    strategy: str
    symbol: str
    market: Market
    side: OrderSide
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    why: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentSkipped(Event):
    """The entry that a strategy wanted and advice kept back; ``reason`` is the advice's."""

    strategy: str
    symbol: str
    market: Market
    side: OrderSide
    quantity: Decimal | None = None
    reason: str = ""
    why: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceGiven(Event):
    """How to send entries, or how large, until ``valid_until_ms``; ``None`` leaves the one or the other as it was."""

    valid_until_ms: int
    tactics: tuple[AdvisedTactic, ...] | None = None
    sizes: tuple[AdvisedSize, ...] | None = None
    principal: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketArmed(Event):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketClosed(Event):
    """The bracket ended: ``outcome`` is take_profit, stop_loss, unprotected, flat, replaced or canceled."""

    bracket_id: str
    symbol: str
    market: Market
    outcome: str
    exit_order_id: str = ""
    realised_pnl: Decimal = ZERO
