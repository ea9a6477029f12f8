"""Spot order lists, one-cancels-other: a limit or take-profit leg and a stop leg, of which at most one trades.

Only one leg is ever going to need money, so only the profit leg locks it; the stop leg locks what it may need beyond
that (a buy stop costs more than a buy limit). Once a leg triggers, trades or ends, the other is taken out first.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from msgspec.structs import replace

from engine_service.exchange_sim.enums import Market, OrderStatus, OrderType, Side
from engine_service.exchange_sim.errors import ExchangeError, insufficient_balance, order_rejected, unknown_order
from engine_service.exchange_sim.event_bus import EventBus
from engine_service.exchange_sim.events import AccountEvent, ExecutionType, ListEvent, MarketEvent, OrderEvent
from engine_service.exchange_sim.ledger import SpotLedger
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.listings import Listings
from engine_service.exchange_sim.matching_engine import MatchingEngine
from engine_service.exchange_sim.model import ZERO, NewOrder, OrderList, SimOrder
from engine_service.exchange_sim.order_desk import OrderDesk
from engine_service.exchange_sim.order_store import OrderStore
from engine_service.exchange_sim.spot_stops import SpotStops

PROFIT_TYPES = frozenset({OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})
LOSS_TYPES = frozenset({OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT})


@dataclass(frozen=True, slots=True)
class OcoTicket:
    """Two tickets of one side, symbol and quantity: `above` the market and `below` it."""

    above: NewOrder
    below: NewOrder
    list_client_id: str = ""

    @property
    def legs(self) -> tuple[NewOrder, NewOrder]:
        return self.below, self.above


class OrderLists:
    """Every order list of every account."""

    def __init__(
        self,
        store: OrderStore,
        listings: Listings,
        engine: MatchingEngine,
        stops: SpotStops,
        orders: OrderDesk,
        ledger: SpotLedger,
        bus: EventBus,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._listings = listings
        self._engine = engine
        self._stops = stops
        self._orders = orders
        self._ledger = ledger
        self._bus = bus
        self._now_ms = now_ms
        self._ids = itertools.count(1)
        self._lists: dict[int, OrderList] = {}
        self._ending: set[int] = set()
        stops.on_trigger = self._triggered
        bus.subscribe(self._on_event)

    # -- requests ------------------------------------------------------------------------------------

    def place(self, account_id: str, ticket: OcoTicket) -> tuple[OrderList, tuple[SimOrder, SimOrder]]:
        """Accept both legs or none.

        Returns:
            The list, and its legs: below, above.

        Raises:
            ExchangeError: as the venue refuses; then nothing has changed.
        """
        listing = self._orders.check_list(account_id, ticket.legs)
        profit, loss = _roles(ticket)
        _check_prices(ticket, listing.last_price)
        if ticket.list_client_id and self._open_under(account_id, ticket.list_client_id):
            raise order_rejected("Duplicate order sent.")
        self._check_money(account_id, listing, profit, loss)
        now, list_id = self._now_ms(), next(self._ids)
        made = {
            leg: replace(self._orders.make(account_id, leg, listing.spec), order_list_id=list_id)
            for leg in (profit, loss)
        }
        if profit.type is OrderType.LIMIT_MAKER:
            self._engine.submit(listing, made[profit], now)
        else:
            self._stops.take_in(listing, made[profit], now)
        self._stops.take_in(listing, made[loss], now, _extra(profit, loss))
        found = OrderList(
            account_id=account_id,
            symbol=listing.spec.symbol,
            list_id=list_id,
            client_id=ticket.list_client_id or secrets.token_hex(11),
            order_ids=(made[ticket.below].order_id, made[ticket.above].order_id),
            at_ms=now,
            is_done=False,
        )
        self._lists[list_id] = found
        self._report(found)
        below, above = self.legs(found)
        return found, (below, above)

    def cancel(
        self,
        account_id: str,
        symbol: str,
        list_id: int | None = None,
        client_id: str | None = None,
        request_client_id: str = "",
    ) -> tuple[OrderList, list[SimOrder]]:
        """Cancel what is open of a list. Raises -2011 where nothing is."""
        found = self._find(account_id, list_id, client_id)
        if found is None or found.is_done or found.symbol != symbol:
            raise unknown_order()
        for leg in self.legs(found):
            if leg.status.is_open:
                self._orders.cancel(account_id, Market.SPOT, symbol, leg.order_id, None, request_client_id)
                break
        done = self._lists[found.list_id]
        return done, list(self.legs(done))

    def get(self, account_id: str, list_id: int | None, client_id: str | None) -> OrderList:
        """A list by its id or client id. Raises -2013."""
        found = self._find(account_id, list_id, client_id)
        if found is None:
            raise ExchangeError(-2013, "Order list does not exist.")
        return found

    def lists_of(self, account_id: str, *, open_only: bool = False) -> list[OrderList]:
        """An account's lists, oldest first."""
        return [
            found
            for found in self._lists.values()
            if found.account_id == account_id and not (open_only and found.is_done)
        ]

    def legs(self, found: OrderList) -> tuple[SimOrder, ...]:
        """The orders of a list as they stand: below, above."""
        orders = (self._store.get(Market.SPOT, found.symbol, order_id) for order_id in found.order_ids)
        return tuple(order for order in orders if order is not None)

    def list_of(self, order: SimOrder) -> OrderList | None:
        """The list an order is a leg of."""
        return self._lists.get(order.order_list_id)

    # -- one cancels the other -------------------------------------------------------------------------

    def _triggered(self, listing: Listing, order: SimOrder, at_ms: int) -> None:
        """A leg is about to work: the other goes, and frees what the two shared."""
        found = self.list_of(order)
        if found is not None:
            self._end_others(found, order, OrderStatus.EXPIRED, ExecutionType.EXPIRED, at_ms)

    def _on_event(self, event: MarketEvent | AccountEvent) -> None:
        if not isinstance(event, OrderEvent) or event.market is not Market.SPOT:
            return
        found = self.list_of(event.order)
        if found is None or found.list_id in self._ending:
            return
        if event.trade is None and event.order.status.is_open:
            return
        canceled = event.execution_type is ExecutionType.CANCELED
        status = OrderStatus.CANCELED if canceled else OrderStatus.EXPIRED
        execution = ExecutionType.CANCELED if canceled else ExecutionType.EXPIRED
        self._end_others(found, event.order, status, execution, event.at_ms, event.request_client_id)
        self._close_when_done(found, event.at_ms)

    def _end_others(
        self,
        found: OrderList,
        order: SimOrder,
        status: OrderStatus,
        execution: ExecutionType,
        at_ms: int,
        request_client_id: str = "",
    ) -> None:
        listing = self._listings[Market.SPOT, found.symbol]
        self._ending.add(found.list_id)
        try:
            for leg in self.legs(found):
                if leg.order_id != order.order_id and leg.status.is_open:
                    self._engine.end(listing, leg.order_id, status, execution, at_ms, request_client_id)
        finally:
            self._ending.discard(found.list_id)

    def _close_when_done(self, found: OrderList, at_ms: int) -> None:
        if found.is_done or any(leg.status.is_open for leg in self.legs(found)):
            return
        done = self._lists[found.list_id] = replace(found, is_done=True, at_ms=at_ms)
        self._report(done)

    def _report(self, found: OrderList) -> None:
        self._bus.publish(ListEvent(found.account_id, found, self.legs(found), found.at_ms))

    # -- details ---------------------------------------------------------------------------------------

    def _check_money(self, account_id: str, listing: Listing, profit: NewOrder, loss: NewOrder) -> None:
        spec, quantity = listing.spec, profit.quantity or ZERO
        if profit.side is Side.SELL:
            asset, needed = spec.base_asset, quantity
        else:
            asset, needed = spec.quote_asset, _cost(profit) + _extra(profit, loss)
        if self._ledger.balance(account_id, asset).free < needed:
            raise insufficient_balance()

    def _open_under(self, account_id: str, client_id: str) -> bool:
        return any(found.client_id == client_id for found in self.lists_of(account_id, open_only=True))

    def _find(self, account_id: str, list_id: int | None, client_id: str | None) -> OrderList | None:
        if list_id is not None:
            found = self._lists.get(list_id)
            return found if found is not None and found.account_id == account_id else None
        mine = [found for found in self.lists_of(account_id) if found.client_id == client_id]
        return mine[-1] if mine else None


def _roles(ticket: OcoTicket) -> tuple[NewOrder, NewOrder]:
    """(profit, loss) legs. Raises -1128 where the types do not make a pair."""
    for profit, loss in (ticket.legs, ticket.legs[::-1]):
        if profit.type in PROFIT_TYPES and loss.type in LOSS_TYPES:
            return profit, loss
    raise ExchangeError(-1128, "Combination of optional parameters invalid.")


def _check_prices(ticket: OcoTicket, last: Decimal) -> None:
    """Both legs lie on their side of the last price. Raises -2010."""
    profit, _ = _roles(ticket)
    sells = profit.side is Side.SELL
    fits = profit is (ticket.above if sells else ticket.below)
    below, above = (_reference(leg) for leg in ticket.legs)
    if not fits or not below < last < above:
        raise order_rejected("The relationship of the prices for the orders is not correct.")


def _reference(leg: NewOrder) -> Decimal:
    """Where a leg starts to matter: its trigger, or the limit of one that has none."""
    return leg.stop_price or leg.price or ZERO


def _cost(leg: NewOrder) -> Decimal:
    return (leg.quantity or ZERO) * (leg.price or leg.stop_price or ZERO)


def _extra(profit: NewOrder, loss: NewOrder) -> Decimal:
    """What a buy stop may cost beyond the profit leg."""
    return ZERO if profit.side is Side.SELL else max(ZERO, _cost(loss) - _cost(profit))
