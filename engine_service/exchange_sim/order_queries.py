"""Reading orders and trades, as the venue's query endpoints do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from engine_service.exchange_sim.enums import Market, OrderStatus
from engine_service.exchange_sim.errors import no_such_order
from engine_service.exchange_sim.model import SimOrder, SimTrade
from engine_service.exchange_sim.order_store import OrderStore

_T = TypeVar("_T")


def page(
    items: Iterable[_T],
    identity: Callable[[_T], int],
    at_ms: Callable[[_T], int],
    from_id: int | None,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
) -> list[_T]:
    """The venue's paging: from an id or a start forwards, else the last `limit`; oldest first always."""
    kept = [
        item
        for item in items
        if (from_id is None or identity(item) >= from_id)
        and (start_ms is None or at_ms(item) >= start_ms)
        and (end_ms is None or at_ms(item) <= end_ms)
    ]
    if from_id is None and start_ms is None:
        return kept[-limit:]
    return kept[:limit]


class OrderQueries:
    """Orders and trades of an account."""

    def __init__(self, store: OrderStore) -> None:
        self._store = store

    def get(
        self,
        account_id: str,
        market: Market,
        symbol: str,
        order_id: int | None = None,
        client_order_id: str | None = None,
    ) -> SimOrder:
        """The order by id, or the newest under the client id. Raises -2013."""
        order = self._store.find(account_id, market, symbol, order_id, client_order_id)
        if order is None or (order_id is not None and client_order_id not in (None, "", order.client_order_id)):
            raise no_such_order()
        return order

    def open_orders(self, account_id: str, market: Market, symbol: str | None = None) -> list[SimOrder]:
        """Open orders of a symbol or of all, oldest first."""
        return self._store.open_orders(account_id, market, symbol)

    def all_orders(
        self,
        account_id: str,
        market: Market,
        symbol: str,
        from_order_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[SimOrder]:
        """Oldest first: from an id or a start time, else the last `limit`."""
        return page(
            (o for o in self._store.orders_of(account_id, market, symbol) if o.status is not OrderStatus.REJECTED),
            lambda order: order.order_id,
            lambda order: order.created_ms,
            from_order_id,
            start_ms,
            end_ms,
            limit,
        )

    def trades(
        self,
        account_id: str,
        market: Market,
        symbol: str,
        order_id: int | None = None,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[SimTrade]:
        """An account's trades, oldest first: of an order, from an id or a start time, else the last `limit`."""
        return page(
            (t for t in self._store.trades_of(account_id, market, symbol) if order_id in (None, t.order_id)),
            lambda trade: trade.trade_id,
            lambda trade: trade.at_ms,
            from_id,
            start_ms,
            end_ms,
            limit,
        )
