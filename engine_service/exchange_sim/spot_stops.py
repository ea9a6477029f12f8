"""Spot stop and take-profit orders: wait off the book until the last price reaches their trigger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from engine_service.exchange_sim.enums import Market, OrderStatus
from engine_service.exchange_sim.errors import ExchangeError, order_rejected
from engine_service.exchange_sim.events import ExecutionType
from engine_service.exchange_sim.ledger import SpotLedger
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.matching import MatchPlan
from engine_service.exchange_sim.matching_engine import MatchingEngine
from engine_service.exchange_sim.model import SimOrder
from engine_service.exchange_sim.order_rules import would_trigger
from engine_service.exchange_sim.order_store import OrderStore
from engine_service.exchange_sim.settlement import Settlement


class SpotStops:
    """Orders of the spot market that wait for a price."""

    def __init__(self, store: OrderStore, engine: MatchingEngine, settlement: Settlement, ledger: SpotLedger) -> None:
        self._store = store
        self._engine = engine
        self._settlement = settlement
        self._ledger = ledger
        self._waiting: dict[str, list[int]] = defaultdict(list)
        #: Hears of an order that is about to work, before it needs its money.
        self.on_trigger: Callable[[Listing, SimOrder, int], None] = lambda listing, order, at_ms: None

    def place(self, listing: Listing, order: SimOrder, at_ms: int) -> SimOrder:
        """Take a stop order in and lock its money. Raises -2010 (would trigger at once, money short)."""
        if would_trigger(order.type, order.side, order.stop_price, listing.last_price):
            raise order_rejected("Stop price would trigger immediately.")
        self._settlement.reserve(listing, order, MatchPlan())
        self._store.put(order)
        self._waiting[order.symbol].append(order.order_id)
        self._engine.report(order, ExecutionType.NEW, at_ms)
        self._engine.flush(Market.SPOT, at_ms)
        return order

    def take_in(self, listing: Listing, order: SimOrder, at_ms: int, lock: Decimal | None = None) -> None:
        """Take in a leg of an order list. `lock`: quote it needs beyond the other leg; `None`: all it needs."""
        if lock is None:
            self._settlement.reserve(listing, order, MatchPlan())
        elif lock:
            self._ledger.lock(order.account_id, order.symbol, order.order_id, listing.spec.quote_asset, lock)
        self._store.put(order)
        self._waiting[order.symbol].append(order.order_id)
        self._engine.report(order, ExecutionType.NEW, at_ms)
        self._engine.flush(Market.SPOT, at_ms)

    def check(self, listing: Listing, at_ms: int) -> None:
        """Trigger what the last price has reached, oldest first."""
        waiting = self._waiting.get(listing.spec.symbol)
        if not waiting:
            return
        last = listing.last_price
        for order_id in list(waiting):
            order = self._store.get(Market.SPOT, listing.spec.symbol, order_id)
            if order is None or not order.status.is_open:
                waiting.remove(order_id)
            elif would_trigger(order.type, order.side, order.stop_price, last):
                waiting.remove(order_id)
                self._trigger(listing, order, at_ms)

    def _trigger(self, listing: Listing, order: SimOrder, at_ms: int) -> None:
        self.on_trigger(listing, order, at_ms)
        # the lock was sized at the trigger price; the working order locks what it needs now
        self._ledger.shrink_lock(order.symbol, order.order_id, order.quantity * 0)
        working = replace(order, is_working=True, working_ms=at_ms, updated_ms=at_ms)
        try:
            self._engine.submit(listing, working, at_ms)
        except ExchangeError:
            self._engine.end(listing, order.order_id, OrderStatus.EXPIRED, ExecutionType.EXPIRED, at_ms)
            self._engine.flush(Market.SPOT, at_ms)
