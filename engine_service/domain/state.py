"""The engine's whole state: what a snapshot keeps (``StateImage``) and what is derived from it (``EngineState``).

Only ``domain.apply`` changes it. Derived figures (exposure, reserved funds, indexes) are kept along so that a risk
check costs the same with ten orders as with ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from engine_service.domain import events as e
from engine_service.domain.exposure import ExposureBook
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO, exactly
from engine_service.domain.order import Order
from engine_service.domain.order_status import IN_DOUBT, TERMINAL
from engine_service.domain.portfolio import Portfolio


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
    closed_brackets: list[str] = field(default_factory=list)
    risk_version: int = 0
    risk_values: dict[str, str] = field(default_factory=dict)
    equity: e.EquityRecorded | None = None
    tactics: e.AdviceGiven | None = None
    sizes: e.AdviceGiven | None = None
    last_trade_ids: dict[str, str] = field(default_factory=dict)
    funding_ids: list[str] = field(default_factory=list)
    open_breaks: dict[str, e.BreakFound] = field(default_factory=dict)
    opened_accounts: dict[str, int] = field(default_factory=dict)
    compared_accounts: dict[str, int] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


FUNDING_IDS_KEPT = 2_000
#: Closed brackets remembered, more than finished orders are: an entry in memory knows whether its bracket is over.
CLOSED_BRACKETS_KEPT = 4_000
#: Finished orders kept in memory; the oldest are let go in lots once there are a lot more.
FINISHED_KEPT = 2_000
FINISHED_LOT = 256


class EngineState:
    """``image`` is what is kept; ``exposure`` and the indexes are derived from it."""

    def __init__(self, image: StateImage | None = None) -> None:
        self.image = image or StateImage()
        self.portfolio = self.image.portfolio
        self.exposure = ExposureBook(self.image.reporting)
        self.open_orders: dict[str, Order] = {}
        self.in_doubt: dict[str, Order] = {}
        self._by_instrument: dict[tuple[str, Market], dict[str, Order]] = {}
        self.by_venue_id: dict[tuple[str, str], str] = {}
        self._derive()

    @exactly
    def _derive(self) -> None:
        for order in self.image.orders.values():
            self._index(order)
            if order.is_open:
                self.exposure.reserve(order)
        self.exposure.rebuild(self.image.portfolio)

    def set_reporting(self, asset: str) -> None:
        """Choose the currency everything is valued in; only before the first event."""
        self.image.reporting = asset
        self.image.portfolio.reporting = asset
        self.exposure.reporting = asset

    # --- reading ------------------------------------------------------------------------------------------

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
        if not self.image.restrictions:
            return None
        found = self.image.restrictions.get(f"{market}|{symbol}")
        return found if found is not None and (found.until_ms == 0 or now_ms < found.until_ms) else None

    def strategy(self, strategy: str) -> StrategySettings | None:
        return self.image.strategies.get(strategy)

    # --- changing -----------------------------------------------------------------------------------------

    def put_order(self, order: Order) -> None:
        """Replace an order and everything derived from it."""
        orders, cid, is_open = self.image.orders, order.client_order_id, order.is_open
        before = orders.get(cid)
        orders[cid] = order
        if before is None or not _reserves_the_same(before, order):
            if before is not None:
                self.exposure.release(before)
            if is_open:
                self.exposure.reserve(order)
        self._index(order)
        if not is_open and (before is None or before.is_open):
            self._finished(cid)

    def _finished(self, client_order_id: str) -> None:
        finished = self.image.finished
        finished.append(client_order_id)
        if len(finished) >= FINISHED_KEPT + FINISHED_LOT:
            self._forget(finished[:FINISHED_LOT])
            del finished[:FINISHED_LOT]

    def _index(self, order: Order) -> None:
        cid, symbol, status = order.client_order_id, order.symbol, order.status
        if order.venue_order_id:
            self.by_venue_id[(symbol, order.venue_order_id)] = cid
        if status not in TERMINAL:
            self.open_orders[cid] = order
            self._by_instrument.setdefault((symbol, order.market), {})[cid] = order
        elif self.open_orders.pop(cid, None) is not None:
            self._by_instrument[symbol, order.market].pop(cid, None)
        if status is IN_DOUBT:
            self.in_doubt[cid] = order
        elif self.in_doubt:
            self.in_doubt.pop(cid, None)

    def _forget(self, client_order_ids: Iterable[str]) -> None:
        """Let finished orders go from memory; the tables keep them. Open orders stay."""
        for client_order_id in client_order_ids:
            order = self.image.orders.get(client_order_id)
            if order is None or order.is_open:
                continue
            del self.image.orders[client_order_id]
            self.image.fills.pop(client_order_id, None)
            self.by_venue_id.pop((order.symbol, order.venue_order_id), None)


def _reserves_the_same(before: Order, after: Order) -> bool:
    """Tell whether a change of an open order left alone what it holds back; most of an order's steps do."""
    return (
        after.is_open
        and before.is_open
        and before.quantity == after.quantity
        and before.filled_quantity == after.filled_quantity
        and before.pending_quantity == after.pending_quantity
        and before.unit_value == after.unit_value
        and before.reserve_per_unit == after.reserve_per_unit
        and before.reserve_asset == after.reserve_asset
        and before.strategy == after.strategy
    )
