"""Where orders of both markets come in: checked, made, matched, cancelled."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from engine_service.exchange_sim.enums import Market, OrderStatus, OrderType, TimeInForce
from engine_service.exchange_sim.errors import ExchangeError, filter_failure, order_rejected, unknown_order
from engine_service.exchange_sim.events import ExecutionType
from engine_service.exchange_sim.futures_settings import FuturesSettings
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.listings import Listings
from engine_service.exchange_sim.matching_engine import MatchingEngine
from engine_service.exchange_sim.model import ZERO, NewOrder, SimOrder, SimTrade, SymbolSpec
from engine_service.exchange_sim.order_queries import OrderQueries
from engine_service.exchange_sim.order_rules import (
    CONDITIONAL_FUTURES_TYPES,
    SPOT_STOP_TYPES,
    check_fields,
    check_futures_filters,
    check_position_side,
    check_spot_filters,
)
from engine_service.exchange_sim.order_store import OrderStore
from engine_service.exchange_sim.spot_stops import SpotStops

_ALGO_ONLY = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."


class OrderEntry(OrderQueries):
    """Orders in and out, and (inherited) every query on them."""

    def __init__(
        self,
        store: OrderStore,
        listings: Listings,
        engine: MatchingEngine,
        stops: SpotStops,
        settings: FuturesSettings,
        now_ms: Callable[[], int],
        catch_up: Callable[[], None],
    ) -> None:
        """`catch_up` lets the market do what is due, so that trades fall into the second they happen in."""
        super().__init__(store)
        self._listings = listings
        self._engine = engine
        self._stops = stops
        self._settings = settings
        self._now_ms = now_ms
        self._catch_up = catch_up

    def place(self, account_id: str, ticket: NewOrder) -> tuple[SimOrder, tuple[SimTrade, ...]]:
        """Accept an order and match it.

        Returns:
            The order as it stands after matching, and its own fills.

        Raises:
            ExchangeError: as the venue refuses; then nothing has changed.
        """
        self._catch_up()
        listing = self.check(account_id, ticket)
        return self.place_checked(account_id, ticket, listing)

    def place_checked(
        self,
        account_id: str,
        ticket: NewOrder,
        listing: Listing,
        algo_id: int = 0,
        original_type: OrderType | None = None,
    ) -> tuple[SimOrder, tuple[SimTrade, ...]]:
        """Place a ticket that has been checked. Conditional orders come in here when they trigger."""
        self._check_room(account_id, ticket, listing.spec)
        order = self._make(account_id, ticket, listing.spec, algo_id, original_type)
        if order.type in SPOT_STOP_TYPES:
            return self._stops.place(listing, order, self._now_ms()), ()
        return self._engine.submit(listing, order, self._now_ms())

    def test(self, account_id: str, ticket: NewOrder) -> None:
        """All checks of `place` that need no matching; nothing is placed."""
        self.check(account_id, ticket)

    def check(self, account_id: str, ticket: NewOrder) -> Listing:
        """Fields and filters. Raises ExchangeError."""
        listing = self._listings[ticket.market, ticket.symbol]
        spec = listing.spec
        if ticket.market is Market.FUTURES and ticket.type in CONDITIONAL_FUTURES_TYPES:
            raise ExchangeError(-4120, _ALGO_ONLY)
        check_fields(ticket, spec)
        if ticket.stp is not None and ticket.stp not in spec.stp_modes:
            raise ExchangeError(-1130, "Invalid data sent for parameter 'selfTradePreventionMode'.")
        if ticket.market is Market.SPOT:
            check_spot_filters(ticket, spec, listing.last_price)
            return listing
        hedge = self._settings.is_hedge_mode(account_id)
        check_position_side(
            ticket.position_side,
            reduce_only=ticket.reduce_only,
            hedge_mode=hedge,
            close_position=ticket.close_position,
        )
        check_futures_filters(ticket, spec, listing.mark_price)
        return listing

    def check_list(self, account_id: str, tickets: tuple[NewOrder, NewOrder]) -> Listing:
        """All checks of two orders that come in together. Raises ExchangeError."""
        self._catch_up()
        listing = self.check(account_id, tickets[0])
        for ticket in tickets:
            self.check(account_id, ticket)
            self._check_room(account_id, ticket, listing.spec)
        ids = [ticket.client_order_id for ticket in tickets if ticket.client_order_id]
        if len(set(ids)) < len(ids):
            raise order_rejected("Duplicate order sent.")
        return listing

    def make(self, account_id: str, ticket: NewOrder, spec: SymbolSpec) -> SimOrder:
        """Make the order of a checked ticket."""
        return self._make(account_id, ticket, spec, 0, None)

    def _check_room(self, account_id: str, ticket: NewOrder, spec: SymbolSpec) -> None:
        """Order count filters and the uniqueness of open client ids."""
        market, symbol = ticket.market, ticket.symbol
        client_id = ticket.client_order_id
        if client_id and self._store.is_client_id_open(account_id, market, symbol, client_id):
            if market is Market.SPOT:
                raise order_rejected("Duplicate order sent.")
            raise ExchangeError(-4116, "ClientOrderId is duplicated.")
        mine = self._store.open_orders(account_id, market, symbol)
        if len(mine) >= spec.max_num_orders:
            if market is Market.SPOT:
                raise filter_failure("MAX_NUM_ORDERS")
            raise ExchangeError(-2025, "Reach max open order limit.")
        if ticket.type in SPOT_STOP_TYPES and sum(not o.is_working for o in mine) >= spec.max_num_algo_orders:
            raise filter_failure("MAX_NUM_ALGO_ORDERS")

    def _make(
        self, account_id: str, ticket: NewOrder, spec: SymbolSpec, algo_id: int, original_type: OrderType | None
    ) -> SimOrder:
        now = self._now_ms()
        waits = ticket.type in SPOT_STOP_TYPES
        return SimOrder(
            account_id=account_id,
            market=ticket.market,
            symbol=ticket.symbol,
            order_id=self._store.new_id(ticket.market),
            client_order_id=ticket.client_order_id or secrets.token_hex(11),
            side=ticket.side,
            type=ticket.type,
            original_type=original_type or ticket.type,
            time_in_force=ticket.time_in_force or TimeInForce.GTC,
            quantity=ticket.quantity or ZERO,
            quote_quantity=ticket.quote_quantity or ZERO,
            price=ticket.price or ZERO,
            stop_price=ticket.stop_price or ZERO,
            status=OrderStatus.NEW,
            executed_quantity=ZERO,
            executed_quote=ZERO,
            created_ms=now,
            updated_ms=now,
            is_working=not waits,
            working_ms=-1 if waits else now,
            stp=ticket.stp or spec.default_stp,
            position_side=ticket.position_side,
            reduce_only=ticket.reduce_only,
            close_position=ticket.close_position,
            good_till_ms=ticket.good_till_ms,
            working_type=ticket.working_type,
            price_protect=ticket.price_protect,
            strategy_id=ticket.strategy_id,
            strategy_type=ticket.strategy_type,
            algo_id=algo_id,
        )

    def cancel(
        self,
        account_id: str,
        market: Market,
        symbol: str,
        order_id: int | None = None,
        client_order_id: str | None = None,
        request_client_id: str = "",
    ) -> SimOrder:
        """Take an open order out. Raises -2011 when there is none under that id.

        Args:
            request_client_id: the cancel request's own `newClientOrderId`, told in the report.
        """
        listing = self._listings[market, symbol]
        order = self._store.find(account_id, market, symbol, order_id, client_order_id)
        if order is None or not order.status.is_open:
            raise unknown_order()
        if order_id is not None and client_order_id not in (None, "", order.client_order_id):
            raise unknown_order()
        return self._end(listing, order, request_client_id)

    def cancel_all(self, account_id: str, market: Market, symbol: str) -> list[SimOrder]:
        """Cancel every open order of a symbol; on spot -2011 when there is none."""
        listing = self._listings[market, symbol]
        mine = self._store.open_orders(account_id, market, symbol)
        if not mine and market is Market.SPOT:
            raise unknown_order()
        # ending a leg of an order list ends the other too, so each is looked at anew
        for order in mine:
            current = self._store.get(market, symbol, order.order_id)
            if current is not None and current.status.is_open:
                self._end(listing, current, "")
        return [self._store.get(market, symbol, order.order_id) or order for order in mine]

    def expire_due(self, now_ms: int) -> None:
        """End the good-till-date orders whose date has come."""
        for order in self._store.due(now_ms):
            listing = self._listings[order.market, order.symbol]
            self._engine.end(listing, order.order_id, OrderStatus.EXPIRED, ExecutionType.EXPIRED, now_ms)

    def _end(self, listing: Listing, order: SimOrder, request_client_id: str) -> SimOrder:
        now = self._now_ms()
        ended = self._engine.end(
            listing, order.order_id, OrderStatus.CANCELED, ExecutionType.CANCELED, now, request_client_id
        )
        self._engine.flush(order.market, now)
        return ended
