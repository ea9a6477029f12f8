"""What strategies are set to, what they wish, and the brackets around their positions."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import field

from engine_service.domain.advice import AdvisedSize, AdvisedTactic
from engine_service.domain.event import Event
from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO
from engine_service.domain.order_status import OrderSide


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
