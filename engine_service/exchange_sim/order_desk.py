"""Changing orders that rest: cancel and replace, amend keeping priority, modify."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from engine_service.exchange_sim.enums import Market, OrderStatus, OrderType, Side
from engine_service.exchange_sim.errors import ExchangeError, no_such_order
from engine_service.exchange_sim.events import ExecutionType
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.model import NewOrder, SimOrder, SimTrade
from engine_service.exchange_sim.order_entry import OrderEntry
from engine_service.exchange_sim.order_rules import check_futures_price, check_futures_quantity


class OrderDesk(OrderEntry):
    """Everything that can be done with orders."""

    def cancel_replace(
        self,
        account_id: str,
        ticket: NewOrder,
        order_id: int | None,
        client_order_id: str | None,
        stop_on_failure: bool,
        request_client_id: str = "",
    ) -> tuple[SimOrder, SimOrder, tuple[SimTrade, ...]]:
        """Cancel a spot order and place another. The ticket's filters are judged before either is done.

        Returns:
            The cancelled order, the new one, its fills.

        Raises:
            ExchangeError: -2022 (both failed) or -2021 (one of them) with `data`.
        """
        listing = self.check(account_id, ticket)
        cancelled = self._try_cancel(account_id, ticket.symbol, order_id, client_order_id, request_client_id)
        if isinstance(cancelled, ExchangeError) and stop_on_failure:
            raise _failed(cancelled, None)
        placed = self._try_place(account_id, ticket, listing)
        if isinstance(cancelled, ExchangeError) or isinstance(placed, ExchangeError):
            raise _failed(cancelled, placed)
        return cancelled, *placed

    def _try_cancel(
        self,
        account_id: str,
        symbol: str,
        order_id: int | None,
        client_order_id: str | None,
        request_client_id: str,
    ) -> SimOrder | ExchangeError:
        try:
            return self.cancel(account_id, Market.SPOT, symbol, order_id, client_order_id, request_client_id)
        except ExchangeError as refusal:
            return refusal

    def _try_place(
        self, account_id: str, ticket: NewOrder, listing: Listing
    ) -> tuple[SimOrder, tuple[SimTrade, ...]] | ExchangeError:
        try:
            return self.place_checked(account_id, ticket, listing)
        except ExchangeError as refusal:
            return refusal

    def amend_keep_priority(
        self,
        account_id: str,
        symbol: str,
        new_quantity: Decimal,
        order_id: int | None = None,
        client_order_id: str | None = None,
        new_client_order_id: str = "",
    ) -> SimOrder:
        """Lower the quantity of a resting spot order; it keeps its place in the queue.

        Raises:
            ExchangeError: -2013 unknown or closed, -2038 no lower quantity, -1013 LOT_SIZE or NOTIONAL.
        """
        listing = self._listings[Market.SPOT, symbol]
        order = self._open_order(account_id, Market.SPOT, symbol, order_id, client_order_id)
        if new_quantity >= order.quantity:
            raise ExchangeError(-2038, "Order amend (quantity increase) is not supported.")
        if new_quantity <= order.executed_quantity:
            raise ExchangeError(-2038, "Order amend (quantity not above what is executed) is not supported.")
        self._check_amended(listing, order, new_quantity)
        now = self._now_ms()
        amended = replace(
            order,
            quantity=new_quantity,
            client_order_id=new_client_order_id or order.client_order_id,
            updated_ms=now,
        )
        self._store.rename(order, amended)
        self._resize_resting(listing, amended)
        self._engine.release(amended)
        self._engine.report(amended, ExecutionType.REPLACED, now, request_client_id=order.client_order_id)
        self._engine.flush(Market.SPOT, now)
        return amended

    def _check_amended(self, listing: Listing, order: SimOrder, quantity: Decimal) -> None:
        spec = listing.spec
        if quantity < spec.min_quantity or quantity % spec.step_size:
            raise ExchangeError(-1013, "Filter failure: LOT_SIZE")
        if quantity * (order.price or order.stop_price) < spec.min_notional:
            raise ExchangeError(-1013, "Filter failure: NOTIONAL")

    def modify(
        self,
        account_id: str,
        symbol: str,
        side: Side,
        quantity: Decimal,
        price: Decimal,
        order_id: int | None = None,
        client_order_id: str | None = None,
    ) -> SimOrder:
        """Give a resting USD-M limit order a new price and quantity; a lower quantity alone keeps its priority.

        A quantity not above what is executed cancels it, as on the venue.

        Raises:
            ExchangeError: -2013 unknown, -5025 not a limit order, -1117 another side, -5027 nothing changed;
                also what the filters refuse.
        """
        listing = self._listings[Market.FUTURES, symbol]
        order = self._open_order(account_id, Market.FUTURES, symbol, order_id, client_order_id)
        if order.type is not OrderType.LIMIT:
            raise ExchangeError(-5025, "Only limit order is supported.")
        if side is not order.side:
            raise ExchangeError(-1117, "Invalid side.")
        if (quantity, price) == (order.quantity, order.price):
            raise ExchangeError(-5027, "No need to modify the order.")
        check_futures_price(price, listing.spec)
        check_futures_quantity(quantity, listing.spec, is_market=False)
        if quantity <= order.executed_quantity:
            return self.cancel(account_id, Market.FUTURES, symbol, order.order_id)
        changed = replace(order, quantity=quantity, price=price, updated_ms=self._now_ms())
        if price == order.price and quantity < order.quantity:
            self._store.put(changed)
            self._resize_resting(listing, changed)
            self._engine.report(changed, ExecutionType.AMENDMENT, changed.updated_ms)
            return changed
        return self._requeue(listing, order, changed)

    def _requeue(self, listing: Listing, order: SimOrder, changed: SimOrder) -> SimOrder:
        """Send a changed order through matching anew; the old one stays if that is refused."""
        # closed while it is judged, so that its margin is not counted twice and it does not meet itself
        self._store.put(replace(order, status=OrderStatus.CANCELED))
        listing.resting.remove(order.order_id)
        try:
            result, _ = self._engine.submit(listing, changed, changed.updated_ms, ExecutionType.AMENDMENT)
        except ExchangeError:
            self._store.put(order)
            self._engine.rest(listing, order)
            raise
        return result

    def _resize_resting(self, listing: Listing, order: SimOrder) -> None:
        resting = listing.resting.get(order.order_id)
        if resting is not None:
            resting.steps = listing.to_steps(self._engine.offerable(order))
            listing.touch_book()

    def _open_order(
        self,
        account_id: str,
        market: Market,
        symbol: str,
        order_id: int | None,
        client_order_id: str | None,
    ) -> SimOrder:
        order = self._store.find(account_id, market, symbol, order_id, client_order_id)
        if order is None or not order.status.is_open:
            raise no_such_order()
        return order


def _failed(
    cancelled: SimOrder | ExchangeError, placed: tuple[SimOrder, tuple[SimTrade, ...]] | ExchangeError | None
) -> ExchangeError:
    """The venue's account of a cancel-replace of which something failed."""
    cancel_failed = isinstance(cancelled, ExchangeError)
    place_failed = isinstance(placed, ExchangeError)
    attempted = "FAILURE" if place_failed else "SUCCESS"
    data: dict[str, object] = {
        "cancelResult": "FAILURE" if cancel_failed else "SUCCESS",
        "newOrderResult": "NOT_ATTEMPTED" if placed is None else attempted,
        "cancelResponse": cancelled,
        "newOrderResponse": placed,
    }
    if cancel_failed and (placed is None or place_failed):
        return ExchangeError(-2022, "Order cancel-replace failed.", 400, data)
    return ExchangeError(-2021, "Order cancel-replace partially failed.", 409, data)
