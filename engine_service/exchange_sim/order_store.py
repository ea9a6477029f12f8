"""Every order and trade of every account, with the indexes that queries need."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.model import SimOrder, SimTrade

_Place = tuple[Market, str]
_AccountPlace = tuple[str, Market, str]


class OrderStore:
    """Orders by market, symbol and id; ids count per market so that a symbol's ids grow with time."""

    def __init__(self) -> None:
        self._orders: dict[tuple[Market, str, int], SimOrder] = {}
        self._open: dict[tuple[str, Market], dict[int, str]] = defaultdict(dict)
        self._open_by_client_id: dict[tuple[str, Market, str, str], int] = {}
        self._newest_by_client_id: dict[tuple[str, Market, str, str], int] = {}
        self._ids: dict[_AccountPlace, list[int]] = defaultdict(list)
        self._trades: dict[_AccountPlace, list[SimTrade]] = defaultdict(list)
        self._dated: dict[tuple[Market, str, int], int] = {}
        self._next_id = {Market.SPOT: itertools.count(1_000_001), Market.FUTURES: itertools.count(8_000_001)}

    def new_id(self, market: Market) -> int:
        return next(self._next_id[market])

    def put(self, order: SimOrder) -> SimOrder:
        """Keep an order as it now stands; returns it."""
        key = (order.market, order.symbol, order.order_id)
        if key not in self._orders:
            self._ids[order.account_id, order.market, order.symbol].append(order.order_id)
            self._newest_by_client_id[self._client_key(order)] = order.order_id
        self._orders[key] = order
        if order.good_till_ms:
            self._note_date(key, order)
        mine = self._open[order.account_id, order.market]
        if order.status.is_open:
            mine[order.order_id] = order.symbol
            self._open_by_client_id[self._client_key(order)] = order.order_id
        elif mine.pop(order.order_id, None) is not None:
            self._open_by_client_id.pop(self._client_key(order), None)
        return order

    def _note_date(self, key: tuple[Market, str, int], order: SimOrder) -> None:
        if order.status.is_open:
            self._dated[key] = order.good_till_ms
        else:
            self._dated.pop(key, None)

    def due(self, now_ms: int) -> list[SimOrder]:
        """Open good-till-date orders whose date has come."""
        return [self._orders[key] for key, until in self._dated.items() if until <= now_ms]

    def rename(self, order: SimOrder, renamed: SimOrder) -> SimOrder:
        """Keep an order under another client id (an amendment may change it)."""
        self._open_by_client_id.pop(self._client_key(order), None)
        self._newest_by_client_id[self._client_key(renamed)] = renamed.order_id
        return self.put(renamed)

    def get(self, market: Market, symbol: str, order_id: int) -> SimOrder | None:
        return self._orders.get((market, symbol, order_id))

    def find(
        self, account_id: str, market: Market, symbol: str, order_id: int | None, client_order_id: str | None
    ) -> SimOrder | None:
        """An account's order by id, or the newest one under a client id (an open one before closed ones)."""
        if order_id is None and client_order_id:
            key = (account_id, market, symbol, client_order_id)
            order_id = self._open_by_client_id.get(key) or self._newest_by_client_id.get(key)
        if order_id is None:
            return None
        order = self._orders.get((market, symbol, order_id))
        return order if order is not None and order.account_id == account_id else None

    def is_client_id_open(self, account_id: str, market: Market, symbol: str, client_order_id: str) -> bool:
        return (account_id, market, symbol, client_order_id) in self._open_by_client_id

    def open_orders(self, account_id: str, market: Market, symbol: str | None = None) -> list[SimOrder]:
        """Open orders, oldest first."""
        return [
            self._orders[market, place, order_id]
            for order_id, place in list(self._open[account_id, market].items())
            if symbol in (None, place)
        ]

    def orders_of(self, account_id: str, market: Market, symbol: str) -> list[SimOrder]:
        """All orders of a symbol, oldest first."""
        ids = self._ids.get((account_id, market, symbol), ())
        return [self._orders[market, symbol, order_id] for order_id in ids]

    def add_trade(self, trade: SimTrade) -> None:
        self._trades[trade.account_id, trade.market, trade.symbol].append(trade)

    def trades_of(self, account_id: str, market: Market, symbol: str) -> list[SimTrade]:
        """An account's trades of a symbol, oldest first."""
        return self._trades.get((account_id, market, symbol), [])

    def every_order(self) -> Iterator[SimOrder]:
        return iter(self._orders.values())

    def every_trade(self) -> Iterator[SimTrade]:
        return itertools.chain.from_iterable(self._trades.values())

    @staticmethod
    def _client_key(order: SimOrder) -> tuple[str, Market, str, str]:
        return order.account_id, order.market, order.symbol, order.client_order_id
