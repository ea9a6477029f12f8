"""The engine itself and its controls: starts, halts, limits, comparisons with the venue."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import field

from engine_service.domain.event import Event
from engine_service.domain.ids import Market


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
