"""Conditional USD-M orders: they wait for the last or mark price, then become orders."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from engine_service.exchange_sim.algo_rules import check_algo
from engine_service.exchange_sim.enums import (
    AlgoStatus,
    Market,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
    WorkingType,
)
from engine_service.exchange_sim.errors import ExchangeError, no_such_order, unknown_order
from engine_service.exchange_sim.event_bus import EventBus
from engine_service.exchange_sim.events import AccountEvent, AlgoEvent, MarketEvent, OrderEvent
from engine_service.exchange_sim.futures_margin import FuturesMargin
from engine_service.exchange_sim.futures_settings import FuturesSettings
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.listings import Listings
from engine_service.exchange_sim.model import ZERO, AlgoOrder, NewOrder
from engine_service.exchange_sim.order_entry import OrderEntry
from engine_service.exchange_sim.order_queries import page
from engine_service.exchange_sim.order_rules import would_trigger

_LIMIT_TYPES = (OrderType.STOP, OrderType.TAKE_PROFIT)
_WAITING = AlgoStatus.NEW


class AlgoDesk:
    """Conditional orders of all accounts."""

    def __init__(
        self,
        listings: Listings,
        orders: OrderEntry,
        margin: FuturesMargin,
        settings: FuturesSettings,
        bus: EventBus,
        now_ms: Callable[[], int],
    ) -> None:
        self._listings = listings
        self._orders = orders
        self._margin = margin
        self._settings = settings
        self._bus = bus
        self._now_ms = now_ms
        self._ids = itertools.count(3_000_001)
        self._algos: dict[int, AlgoOrder] = {}
        self._waiting: set[int] = set()
        self._extremes: dict[int, Decimal] = {}
        bus.subscribe(self._follow)

    def place(
        self,
        account_id: str,
        symbol: str,
        side: Side,
        type: OrderType,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        trigger_price: Decimal | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        client_algo_id: str = "",
        position_side: PositionSide = PositionSide.BOTH,
        working_type: WorkingType = WorkingType.CONTRACT_PRICE,
        reduce_only: bool = False,
        close_position: bool = False,
        price_protect: bool = False,
        activation_price: Decimal | None = None,
        callback_rate_pct: Decimal | None = None,
        good_till_ms: int = 0,
    ) -> AlgoOrder:
        """Take a conditional order in.

        Args:
            quantity: base quantity; None with `close_position`.
            trigger_price: quote per base; None only for a trailing stop, whose `callback_rate_pct` is in percent.

        Raises:
            ExchangeError: -2021 would trigger at once, -4116 client id open, and all checks of an order's fields.
        """
        listing = self._listings[Market.FUTURES, symbol]
        now = self._now_ms()
        algo = AlgoOrder(
            account_id=account_id,
            symbol=symbol,
            algo_id=0,
            client_algo_id=client_algo_id or secrets.token_hex(11),
            side=side,
            type=type,
            position_side=position_side,
            time_in_force=time_in_force,
            quantity=quantity or ZERO,
            price=price or ZERO,
            trigger_price=trigger_price or ZERO,
            working_type=working_type,
            reduce_only=reduce_only,
            close_position=close_position,
            price_protect=price_protect,
            stp=listing.spec.default_stp,
            status=AlgoStatus.NEW,
            created_ms=now,
            updated_ms=now,
            activation_price=activation_price or ZERO,
            callback_rate_pct=callback_rate_pct or ZERO,
            good_till_ms=good_till_ms,
        )
        check_algo(algo, listing.spec, hedge_mode=self._settings.is_hedge_mode(account_id))
        self._check_room(algo, listing)
        return self._put(replace(algo, algo_id=next(self._ids)))

    def _check_room(self, algo: AlgoOrder, listing: Listing) -> None:
        mine = self.open_orders(algo.account_id)
        if any(other.client_algo_id == algo.client_algo_id for other in mine):
            raise ExchangeError(-4116, "ClientOrderId is duplicated.")
        if len(mine) >= listing.spec.max_num_algo_orders:
            raise ExchangeError(-4045, "Reach max stop order limit.")
        trailing = algo.type is OrderType.TRAILING_STOP_MARKET
        price = _watched_price(algo, listing)
        if not trailing and would_trigger(algo.type, algo.side, algo.trigger_price, price):
            raise ExchangeError(-2021, "Order would immediately trigger.")

    def cancel(self, account_id: str, algo_id: int | None = None, client_algo_id: str | None = None) -> AlgoOrder:
        """Raises -2011 when it is not waiting."""
        algo = self._find(account_id, algo_id, client_algo_id)
        if algo is None or algo.status is not _WAITING:
            raise unknown_order()
        return self._put(replace(algo, status=AlgoStatus.CANCELED, updated_ms=self._now_ms()))

    def cancel_all(self, account_id: str, symbol: str) -> list[AlgoOrder]:
        """Cancel the account's waiting orders of a symbol."""
        return [self.cancel(account_id, algo.algo_id) for algo in self.open_orders(account_id, symbol)]

    def get(self, account_id: str, algo_id: int | None = None, client_algo_id: str | None = None) -> AlgoOrder:
        """By id, or the newest under a client id. Raises -2013."""
        algo = self._find(account_id, algo_id, client_algo_id)
        if algo is None:
            raise no_such_order()
        return algo

    def open_orders(self, account_id: str, symbol: str | None = None) -> list[AlgoOrder]:
        """Waiting orders, oldest first."""
        waiting = (self._algos[algo_id] for algo_id in sorted(self._waiting))
        return [a for a in waiting if a.account_id == account_id and symbol in (None, a.symbol)]

    def all_orders(
        self,
        account_id: str,
        symbol: str,
        from_algo_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[AlgoOrder]:
        """Oldest first: from an id or a start time, else the last `limit`."""
        mine = (a for a in self._algos.values() if a.account_id == account_id and a.symbol == symbol)
        return page(mine, lambda a: a.algo_id, lambda a: a.created_ms, from_algo_id, start_ms, end_ms, limit)

    def check(self, listing: Listing, at_ms: int) -> None:
        """Trigger what the symbol's last or mark price has reached, oldest first."""
        for algo_id in sorted(self._waiting):
            algo = self._algos[algo_id]
            if algo.symbol != listing.spec.symbol or algo.status is not _WAITING:
                continue
            if algo.good_till_ms and algo.good_till_ms <= at_ms:
                self._put(replace(algo, status=AlgoStatus.EXPIRED, updated_ms=at_ms))
            elif self._is_reached(algo, _watched_price(algo, listing)):
                self._trigger(algo, listing, at_ms)

    def _is_reached(self, algo: AlgoOrder, price: Decimal) -> bool:
        if algo.type is not OrderType.TRAILING_STOP_MARKET:
            return would_trigger(algo.type, algo.side, algo.trigger_price, price)
        return self._is_trail_broken(algo, price)

    def _is_trail_broken(self, algo: AlgoOrder, price: Decimal) -> bool:
        """Whether the price came back from its best since activation by the callback rate."""
        sells = algo.side is Side.SELL
        best = self._extremes.get(algo.algo_id)
        if best is None:
            start = algo.activation_price or price
            if (price < start) if sells else (price > start):
                return False
            best = price
        best = max(best, price) if sells else min(best, price)
        self._extremes[algo.algo_id] = best
        share = algo.callback_rate_pct / 100
        return price <= best * (1 - share) if sells else price >= best * (1 + share)

    def _trigger(self, algo: AlgoOrder, listing: Listing, at_ms: int) -> None:
        algo = self._put(replace(algo, status=AlgoStatus.TRIGGERING, triggered_ms=at_ms, updated_ms=at_ms))
        closable = self._margin.closable(algo.account_id, algo.symbol, algo.position_side, algo.side)
        if algo.close_position and not closable:
            self._put(replace(algo, status=AlgoStatus.EXPIRED, updated_ms=at_ms))
            return
        is_limit = algo.type in _LIMIT_TYPES
        ticket = NewOrder(
            market=Market.FUTURES,
            symbol=algo.symbol,
            side=algo.side,
            type=OrderType.LIMIT if is_limit else OrderType.MARKET,
            quantity=closable if algo.close_position else algo.quantity,
            price=algo.price if is_limit else None,
            time_in_force=algo.time_in_force if is_limit else None,
            client_order_id=algo.client_algo_id,
            position_side=algo.position_side,
            reduce_only=algo.position_side is PositionSide.BOTH and (algo.reduce_only or algo.close_position),
            close_position=algo.close_position,
            working_type=algo.working_type,
            price_protect=algo.price_protect,
        )
        try:
            order, _ = self._orders.place_checked(
                algo.account_id, ticket, listing, algo.algo_id, original_type=algo.type
            )
        except ExchangeError as refusal:
            self._put(replace(algo, status=AlgoStatus.REJECTED, failure=refusal.message, updated_ms=at_ms))
            return
        triggered = self._put(replace(algo, status=AlgoStatus.TRIGGERED, order_id=order.order_id, updated_ms=at_ms))
        if not order.status.is_open:
            self._put(
                replace(triggered, status=AlgoStatus.FINISHED, actual_price=order.average_price, updated_ms=at_ms)
            )

    def _follow(self, event: MarketEvent | AccountEvent) -> None:
        """Finish a conditional order when the order it became has ended."""
        if not isinstance(event, OrderEvent) or not event.order.algo_id or event.order.status.is_open:
            return
        algo = self._algos[event.order.algo_id]
        if algo.status is AlgoStatus.TRIGGERED:
            price = event.order.average_price
            self._put(replace(algo, status=AlgoStatus.FINISHED, actual_price=price, updated_ms=event.at_ms))

    def _find(self, account_id: str, algo_id: int | None, client_algo_id: str | None) -> AlgoOrder | None:
        if algo_id is not None:
            algo = self._algos.get(algo_id)
            return algo if algo is not None and algo.account_id == account_id else None
        mine = (a for a in reversed(self._algos.values()) if a.account_id == account_id)
        return next((a for a in mine if a.client_algo_id == client_algo_id), None)

    def _put(self, algo: AlgoOrder) -> AlgoOrder:
        self._algos[algo.algo_id] = algo
        if algo.status is _WAITING:
            self._waiting.add(algo.algo_id)
        else:
            self._waiting.discard(algo.algo_id)
            self._extremes.pop(algo.algo_id, None)
        self._bus.publish(AlgoEvent(algo.account_id, algo, algo.updated_ms))
        return algo


def _watched_price(algo: AlgoOrder, listing: Listing) -> Decimal:
    return listing.mark_price if algo.working_type is WorkingType.MARK_PRICE else listing.last_price
