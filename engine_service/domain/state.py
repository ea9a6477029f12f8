"""The engine's whole state, and ``apply``: the one function that changes it, live, at recovery and in replay.

``apply`` does no I/O and reads no clock. What it needs is in the event. Derived figures (exposure, reserved funds)
are kept along so that a risk check costs the same with ten orders as with ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from engine_service.domain import events as e
from engine_service.domain.errors import EngineError
from engine_service.domain.exposure import ExposureBook
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market, venue_of
from engine_service.domain.money import ZERO, exactly
from engine_service.domain.order import Order
from engine_service.domain.order_changes import changed
from engine_service.domain.order_status import OrderStatus
from engine_service.domain.portfolio import Portfolio


class IllegalEvent(EngineError):
    """An event that no rule allows reached ``apply``: a defect, or a journal that was tampered with."""


@dataclass(slots=True, kw_only=True)
class StrategySettings:
    """What a person or governance set for a strategy."""

    strategy: str
    enabled: bool = False
    dry_run: bool = False
    budget: Decimal = ZERO
    weight: Decimal = Decimal(1)
    model_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """A symbol that takes reduce-only orders until ``until_ms`` (0 = until a person lifts it)."""

    symbol: str
    market: Market
    code: str
    reason: str
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Who stopped trading, why, since when."""

    reason: str
    principal: str
    at_ms: int


@dataclass(slots=True, kw_only=True)
class StateImage:
    """Everything that a snapshot keeps: plain containers with text keys."""

    reporting: str = "USDT"
    epoch: int = 0
    last_event_ms: int = 0
    orders: dict[str, Order] = field(default_factory=dict)
    fills: dict[str, list[Fill]] = field(default_factory=dict)
    portfolio: Portfolio = field(default_factory=Portfolio)
    tombstones: dict[str, int] = field(default_factory=dict)
    restrictions: dict[str, Restriction] = field(default_factory=dict)
    halt: Halt | None = None
    strategies: dict[str, StrategySettings] = field(default_factory=dict)
    models: dict[str, e.ModelStored] = field(default_factory=dict)
    brackets: dict[str, e.BracketArmed] = field(default_factory=dict)
    risk_version: int = 0
    risk_values: dict[str, str] = field(default_factory=dict)
    equity: e.EquityRecorded | None = None
    last_trade_ids: dict[str, str] = field(default_factory=dict)
    funding_ids: list[str] = field(default_factory=list)
    open_breaks: dict[str, e.BreakFound] = field(default_factory=dict)
    opened_accounts: dict[str, int] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


FUNDING_IDS_KEPT = 2_000
#: Finished orders kept in memory; the oldest are let go in lots once there are a lot more.
FINISHED_KEPT = 2_000
FINISHED_LOT = 256


class EngineState:
    """``image`` is what is kept; ``exposure`` and the indexes are derived from it."""

    def __init__(self, image: StateImage | None = None) -> None:
        self.image = image or StateImage()
        self.exposure = ExposureBook(self.image.reporting)
        self.open_orders: dict[str, Order] = {}
        self.in_doubt: dict[str, Order] = {}
        self._by_instrument: dict[tuple[str, Market], dict[str, Order]] = {}
        self.by_venue_id: dict[tuple[str, str], str] = {}
        for order in self.image.orders.values():
            self._index(order)
        self.exposure.rebuild(self.image.portfolio)

    def set_reporting(self, asset: str) -> None:
        """Choose the currency everything is valued in; only before the first event."""
        self.image.reporting = asset
        self.image.portfolio.reporting = asset
        self.exposure.reporting = asset

    # --- reading ------------------------------------------------------------------------------------------

    @property
    def portfolio(self) -> Portfolio:
        return self.image.portfolio

    @property
    def halted(self) -> bool:
        return self.image.halt is not None

    def order(self, client_order_id: str) -> Order | None:
        """Return an order of the hot state: every open one and the newest finished ones."""
        return self.image.orders.get(client_order_id)

    def order_by_venue_id(self, symbol: str, venue_order_id: str) -> Order | None:
        """Return an order by the venue's own id."""
        found = self.by_venue_id.get((symbol, venue_order_id))
        return None if found is None else self.image.orders.get(found)

    def fills_of(self, client_order_id: str) -> tuple[Fill, ...]:
        """Return the booked fills of a hot order, in the order they were booked."""
        return tuple(self.image.fills.get(client_order_id, ()))

    def knows_fill(self, client_order_id: str, fill: Fill) -> bool:
        """Tell whether a trade of a hot order is booked already."""
        return any(known.key == fill.key for known in self.image.fills.get(client_order_id, ()))

    def working_orders(self, symbol: str = "", strategy: str = "") -> list[Order]:
        """Return open orders, oldest first, optionally of one symbol and one strategy."""
        return [
            order
            for order in self.open_orders.values()
            if (not symbol or order.symbol == symbol) and (not strategy or order.strategy == strategy)
        ]

    def orders_of_line(self, symbol: str, market: Market) -> list[Order]:
        """Return the open orders of one instrument."""
        return list(self._by_instrument.get((symbol, market), {}).values())

    def restriction(self, symbol: str, market: Market, now_ms: int) -> Restriction | None:
        """Return the restriction in force on an instrument."""
        found = self.image.restrictions.get(f"{market.value}|{symbol}")
        return found if found is not None and (found.until_ms == 0 or now_ms < found.until_ms) else None

    def strategy(self, strategy: str) -> StrategySettings | None:
        return self.image.strategies.get(strategy)

    # --- changing -----------------------------------------------------------------------------------------

    def put_order(self, order: Order) -> None:
        """Replace an order and everything derived from it."""
        before = self.image.orders.get(order.client_order_id)
        self.image.orders[order.client_order_id] = order
        if before is not None:
            self.exposure.release(before)
        self._index(order)
        if not order.is_open and (before is None or before.is_open):
            self._finished(order.client_order_id)

    def _finished(self, client_order_id: str) -> None:
        finished = self.image.finished
        finished.append(client_order_id)
        if len(finished) >= FINISHED_KEPT + FINISHED_LOT:
            self._forget(finished[:FINISHED_LOT])
            del finished[:FINISHED_LOT]

    def _index(self, order: Order) -> None:
        if order.venue_order_id:
            self.by_venue_id[(order.symbol, order.venue_order_id)] = order.client_order_id
        same_instrument = self._by_instrument.setdefault((order.symbol, order.market), {})
        if order.is_open:
            self.open_orders[order.client_order_id] = order
            same_instrument[order.client_order_id] = order
            self.exposure.reserve(order)
        else:
            self.open_orders.pop(order.client_order_id, None)
            same_instrument.pop(order.client_order_id, None)
        if order.status is OrderStatus.IN_DOUBT:
            self.in_doubt[order.client_order_id] = order
        else:
            self.in_doubt.pop(order.client_order_id, None)

    def _forget(self, client_order_ids: Iterable[str]) -> None:
        """Let finished orders go from memory; the tables keep them. Open orders stay."""
        for client_order_id in client_order_ids:
            order = self.image.orders.get(client_order_id)
            if order is None or order.is_open:
                continue
            del self.image.orders[client_order_id]
            self.image.fills.pop(client_order_id, None)
            self.by_venue_id.pop((order.symbol, order.venue_order_id), None)


# --- apply ------------------------------------------------------------------------------------------------------


def legal(state: EngineState, event: e.OrderEvent) -> bool:
    """Tell whether ``apply`` would take an order event now."""
    if isinstance(event, e.OrderInitialized | e.ExternalOrderAdopted):
        return event.client_order_id not in state.image.orders
    if isinstance(event, e.OrderRecalled):
        return True
    order = state.order(event.client_order_id)
    return order is not None and changed(order, event) is not None


@exactly
def apply(state: EngineState, event: e.Event) -> None:
    """Change the state by one fact.

    Raises:
        IllegalEvent: no rule allows the event in this state.
    """
    image = state.image
    image.last_event_ms = max(image.last_event_ms, event.at_ms)
    kind = type(event).__name__
    image.counts[kind] = image.counts.get(kind, 0) + 1
    handler = _HANDLERS.get(type(event))
    if handler is not None:
        handler(state, event)
    elif isinstance(event, e.OrderEvent):
        _apply_order(state, event)


def _apply_order(state: EngineState, event: e.OrderEvent) -> None:
    order = state.order(event.client_order_id)
    after = None if order is None else changed(order, event)
    if after is None:
        raise IllegalEvent("ILLEGAL_EVENT", f"{type(event).__name__} does not fit the state of its order")
    state.put_order(after)


def _initialized(state: EngineState, event: e.OrderInitialized | e.ExternalOrderAdopted) -> None:
    if event.client_order_id in state.image.orders:
        raise IllegalEvent("ILLEGAL_EVENT", "an order with this client order id exists")
    state.put_order(event.order)


def _recalled(state: EngineState, event: e.OrderRecalled) -> None:
    if event.client_order_id not in state.image.orders:
        state.put_order(event.order)
        state.image.fills[event.client_order_id] = list(event.fills)


def _filled(state: EngineState, event: e.OrderFilled) -> None:
    _apply_order(state, event)
    state.image.fills.setdefault(event.client_order_id, []).append(event.fill)
    state.portfolio.book_fill(event)
    state.exposure.after_fill(state.portfolio, event)


def trade_rank(trade_id: str) -> tuple[int, str]:
    """Order venue trade ids: numbers by size, other ids by text."""
    return (int(trade_id), "") if trade_id.isascii() and trade_id.isdigit() else (-1, trade_id)


def _not_placed(state: EngineState, event: e.OrderNotPlaced) -> None:
    _apply_order(state, event)
    if event.watch_until_ms:
        state.image.tombstones[event.client_order_id] = event.watch_until_ms
    expired = [cid for cid, until in state.image.tombstones.items() if until < event.at_ms]
    for client_order_id in expired:
        del state.image.tombstones[client_order_id]


def _resurrected(state: EngineState, event: e.OrderResurrected) -> None:
    _apply_order(state, event)
    state.image.tombstones.pop(event.client_order_id, None)


def _adjusted(state: EngineState, event: e.BalanceAdjusted) -> None:
    before = state.portfolio.transfers
    state.portfolio.book_adjustment(event)
    _shift_equity_marks(state, state.portfolio.transfers - before)
    state.exposure.after_holding(state.portfolio, event.venue, event.market, event.asset)


def _shift_equity_marks(state: EngineState, amount: Decimal) -> None:
    """A deposit or withdrawal is neither a new peak nor a loss of the day."""
    seen = state.image.equity
    if seen is None or amount == 0:
        return
    state.image.equity = e.EquityRecorded(
        at_ms=seen.at_ms,
        equity=seen.equity + amount,
        peak=max(ZERO, seen.peak + amount),
        day_start=seen.day_start + amount,
        realised_pnl=seen.realised_pnl,
        unrealised_pnl=seen.unrealised_pnl,
        fees=seen.fees,
        funding=seen.funding,
        transfers=seen.transfers + amount,
    )


def _adopted(state: EngineState, event: e.PositionAdopted) -> None:
    state.portfolio.book_adoption(event, venue_of(event.symbol))
    state.exposure.after_derivative(state.portfolio, event.symbol)


def _funded(state: EngineState, event: e.FundingPaid) -> None:
    state.portfolio.book_funding(event)
    state.exposure.after_holding(state.portfolio, event.venue, Market.FUTURES, event.asset)
    state.image.funding_ids.append(event.income_id)
    del state.image.funding_ids[:-FUNDING_IDS_KEPT]


def _started(state: EngineState, event: e.EngineStarted) -> None:
    state.image.epoch = event.epoch


def _halted(state: EngineState, event: e.TradingHalted) -> None:
    if state.image.halt is None:
        state.image.halt = Halt(reason=event.reason, principal=event.principal, at_ms=event.at_ms)


def _resumed(state: EngineState, event: e.TradingResumed) -> None:
    state.image.halt = None


def _restricted(state: EngineState, event: e.SymbolRestricted) -> None:
    state.image.restrictions[f"{event.market.value}|{event.symbol}"] = Restriction(
        symbol=event.symbol, market=event.market, code=event.code, reason=event.reason, until_ms=event.until_ms
    )


def _released(state: EngineState, event: e.SymbolReleased) -> None:
    state.image.restrictions.pop(f"{event.market.value}|{event.symbol}", None)


def _risk_changed(state: EngineState, event: e.RiskConfigChanged) -> None:
    state.image.risk_version = event.version
    state.image.risk_values = dict(event.values)


def _break(state: EngineState, event: e.BreakFound) -> None:
    if event.resolution == "open":
        state.image.open_breaks[event.break_id] = event
    else:
        state.image.open_breaks.pop(event.break_id, None)


def _reconciled(state: EngineState, event: e.ReconciliationCompleted) -> None:
    for key, trade_id in event.last_trade_ids.items():
        if trade_rank(trade_id) > trade_rank(state.image.last_trade_ids.get(key, "")):
            state.image.last_trade_ids[key] = trade_id
    state.image.opened_accounts.setdefault(event.venue, event.as_of_ms)


def _strategy_changed(state: EngineState, event: e.StrategyChanged) -> None:
    state.image.strategies[event.strategy] = StrategySettings(
        strategy=event.strategy,
        enabled=event.enabled,
        dry_run=event.dry_run,
        budget=event.budget,
        weight=event.weight,
        model_version=event.model_version,
    )


def _model_stored(state: EngineState, event: e.ModelStored) -> None:
    state.image.models[event.strategy] = event


def _bracket_armed(state: EngineState, event: e.BracketArmed) -> None:
    state.image.brackets[event.bracket_id] = event


def _bracket_closed(state: EngineState, event: e.BracketClosed) -> None:
    state.image.brackets.pop(event.bracket_id, None)


def _equity(state: EngineState, event: e.EquityRecorded) -> None:
    state.image.equity = event


_HANDLERS: Final[Mapping[type[e.Event], Callable[[EngineState, Any], None]]] = {
    e.OrderInitialized: _initialized,
    e.ExternalOrderAdopted: _initialized,
    e.OrderFilled: _filled,
    e.OrderRecalled: _recalled,
    e.OrderNotPlaced: _not_placed,
    e.OrderResurrected: _resurrected,
    e.BalanceAdjusted: _adjusted,
    e.PositionAdopted: _adopted,
    e.FundingPaid: _funded,
    e.EngineStarted: _started,
    e.TradingHalted: _halted,
    e.TradingResumed: _resumed,
    e.SymbolRestricted: _restricted,
    e.SymbolReleased: _released,
    e.RiskConfigChanged: _risk_changed,
    e.BreakFound: _break,
    e.ReconciliationCompleted: _reconciled,
    e.StrategyChanged: _strategy_changed,
    e.ModelStored: _model_stored,
    e.BracketArmed: _bracket_armed,
    e.BracketClosed: _bracket_closed,
    e.EquityRecorded: _equity,
}
