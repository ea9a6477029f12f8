"""An order's way through the market: reported, resting, ended, its money freed, closing orders kept in step."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import replace

from engine_service.exchange_sim.enums import Market, OrderStatus
from engine_service.exchange_sim.event_bus import EventBus
from engine_service.exchange_sim.events import ExecutionType, OrderEvent
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.model import SimOrder, SimTrade
from engine_service.exchange_sim.order_store import OrderStore
from engine_service.exchange_sim.settlement import Settlement


class OrderLifecycle:
    """What happens to an order apart from matching."""

    def __init__(
        self,
        store: OrderStore,
        settlements: Mapping[Market, Settlement],
        listings: Mapping[tuple[Market, str], Listing],
        bus: EventBus,
    ) -> None:
        self._store = store
        self._settlements = settlements
        self._listings = listings
        self._bus = bus
        self._execution_ids = itertools.count(1)

    def offerable(self, order: SimOrder) -> Decimal:
        """Base quantity the order may trade now: what remains, or what it may close where it may only close."""
        closable = self._settlements[order.market].closable(order)
        return order.remaining if closable is None else min(order.remaining, closable)

    def release(self, order: SimOrder) -> None:
        """Free the money that the order no longer needs."""
        self._settlements[order.market].release(order)

    def rest(self, listing: Listing, order: SimOrder) -> None:
        """Put an open limit order on the book, behind those of its price."""
        listing.resting.add(
            order.side,
            order.order_id,
            order.account_id,
            listing.to_ticks(order.price),
            listing.to_steps(self.offerable(order)),
        )
        listing.touch_book()

    def end(
        self,
        listing: Listing,
        order_id: int,
        status: OrderStatus,
        execution: ExecutionType,
        at_ms: int,
        request_client_id: str = "",
    ) -> SimOrder:
        """Take an open order out of the market, free its money and report it."""
        order = replace(self._require(listing, order_id), status=status, updated_ms=at_ms)
        if status is OrderStatus.EXPIRED_IN_MATCH:
            order = replace(order, prevented_quantity=order.remaining)
        listing.resting.remove(order_id)
        listing.touch_book()
        self._store.put(order)
        self._settlements[order.market].release(order)
        self.report(order, execution, at_ms, request_client_id=request_client_id)
        return order

    def report(
        self,
        order: SimOrder,
        execution: ExecutionType,
        at_ms: int,
        trade: SimTrade | None = None,
        request_client_id: str = "",
    ) -> None:
        """Send one report to the order's account."""
        self._bus.publish(
            OrderEvent(
                order.account_id,
                order.market,
                execution,
                order,
                trade,
                next(self._execution_ids),
                at_ms,
                request_client_id,
            )
        )

    def flush(self, market: Market, at_ms: int) -> None:
        """Report changed balances; orders that may only close follow the positions that changed."""
        for account, symbol in self._settlements[market].flush(at_ms):
            self._fit_closing_orders(account, symbol, at_ms)

    def _fit_closing_orders(self, account_id: str, symbol: str, at_ms: int) -> None:
        listing = self._listings[Market.FUTURES, symbol]
        settlement = self._settlements[Market.FUTURES]
        for order in self._store.open_orders(account_id, Market.FUTURES, symbol):
            closable = settlement.closable(order)
            if closable is None:
                continue
            if not closable:
                self.end(listing, order.order_id, OrderStatus.EXPIRED, ExecutionType.EXPIRED, at_ms)
                continue
            resting = listing.resting.get(order.order_id)
            if resting is not None:
                resting.steps = listing.to_steps(min(order.remaining, closable))

    def _current(self, order: SimOrder) -> SimOrder:
        return self._store.get(order.market, order.symbol, order.order_id) or order

    def _require(self, listing: Listing, order_id: int) -> SimOrder:
        order = self._store.get(listing.spec.market, listing.spec.symbol, order_id)
        if order is None:
            raise KeyError(order_id)
        return order
