"""The journal of a backtest: the same appends and reads as on disk, kept in memory and gone afterwards."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from engine_service.domain.events import EquityRecorded, OrderEvent
from engine_service.domain.fill import Fill
from engine_service.domain.order import Order
from engine_service.storage.port import (
    Entry,
    EquityPoint,
    FillFilter,
    FillRow,
    OrderFilter,
    OrderRow,
    Recorded,
    StoredAnswer,
)
from engine_service.storage.projections import FillValue

T = TypeVar("T")


class MemoryJournal:
    """Everything is durable the moment it is appended, which is what a backtest may pretend."""

    failed = False

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self._first_seq: dict[str, int] = {}
        self._orders: dict[str, Order] = {}
        self._by_venue_id: dict[tuple[str, str], str] = {}
        self._fills: dict[tuple[str, ...], FillValue] = {}
        self._answers: dict[tuple[str, ...], StoredAnswer] = {}
        self._listeners: list[Callable[[Sequence[Recorded]], None]] = []

    # --- writing ------------------------------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        return len(self.events)

    def append(self, entries: Sequence[Entry]) -> Future[int]:
        """Keep entries and tell whoever listens; the future is done already."""
        for entry in entries:
            self.events.append(entry.recorded)
            for row in entry.projections:
                self._keep(row.key, row.value, entry.recorded.seq)
        told = [entry.recorded for entry in entries]
        for listener in self._listeners:
            listener(told)
        done: Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(self.last_seq)
        return done

    def on_commit(self, listener: Callable[[Sequence[Recorded]], None]) -> None:
        self._listeners.append(listener)

    def on_failure(self, listener: Callable[[str], None]) -> None:
        """Memory does not fail; nobody is ever called."""

    async def flush(self) -> None:
        return None

    def close(self) -> None:
        return None

    def _keep(self, key: tuple[str, ...], value: object, seq: int) -> None:
        match value:
            case Order():
                self._orders[value.client_order_id] = value
                self._first_seq.setdefault(value.client_order_id, seq)
                if value.venue_order_id:
                    self._by_venue_id[(value.symbol, value.venue_order_id)] = value.client_order_id
            case FillValue():
                self._fills[key] = value
            case StoredAnswer():
                self._answers[key] = value
            case _:
                return

    def all_orders(self) -> tuple[Order, ...]:
        """Return every order, oldest first."""
        return tuple(self._orders.values())

    def all_fills(self) -> tuple[Fill, ...]:
        """Return every fill, oldest first."""
        return tuple(row.fill for row in self._fills.values())

    # --- reading ------------------------------------------------------------------------------------------------

    def events_after(self, seq: int, limit: int) -> list[Recorded]:
        return self.events[seq : seq + limit]

    def order(self, client_order_id: str) -> Order | None:
        return self._orders.get(client_order_id)

    def order_by_venue_id(self, symbol: str, venue_order_id: str) -> Order | None:
        found = self._by_venue_id.get((symbol, venue_order_id))
        return None if found is None else self._orders.get(found)

    def orders(self, query: OrderFilter) -> list[OrderRow]:
        rows = [OrderRow(seq=self._first_seq[cid], order=order) for cid, order in self._orders.items()]
        wanted = [row for row in rows if _order_fits(row, query)]
        return sorted(wanted, key=lambda row: -row.seq)[: query.limit]

    def order_history(self, client_order_id: str) -> list[Recorded]:
        return [
            row
            for row in self.events
            if isinstance(row.event, OrderEvent) and row.event.client_order_id == client_order_id
        ]

    def fills(self, query: FillFilter) -> list[FillRow]:
        found = (FillRow(seq=row.seq, fill=row.fill, strategy=row.strategy) for row in self._fills.values())
        return _first((row for row in found if _fill_fits(row, query)), query.limit)

    def fill_known(self, fill: Fill) -> bool:
        return fill.key in self._fills

    def equity_curve(self, since_ms: int, limit: int) -> list[EquityPoint]:
        samples = (row.event for row in self.events if isinstance(row.event, EquityRecorded))
        points = (EquityPoint(at_ms=s.at_ms, values={"equity": str(s.equity)}) for s in samples)
        return _first((point for point in points if point.at_ms >= since_ms), limit)

    def answer(self, scope: str, key: str) -> StoredAnswer | None:
        return self._answers.get((scope, key))


def _order_fits(row: OrderRow, query: OrderFilter) -> bool:
    order = row.order
    return (
        (not query.symbol or order.symbol == query.symbol)
        and (not query.strategy or order.strategy == query.strategy)
        and (not query.statuses or order.status.value in query.statuses)
        and (not query.open_only or order.is_open)
        and order.created_at_ms >= query.since_ms
        and (not query.until_ms or order.created_at_ms < query.until_ms)
        and (not query.before_seq or row.seq < query.before_seq)
    )


def _fill_fits(row: FillRow, query: FillFilter) -> bool:
    fill = row.fill
    return (
        row.seq > query.after_seq
        and (not query.symbol or fill.symbol == query.symbol)
        and (not query.strategy or row.strategy == query.strategy)
        and (not query.client_order_id or fill.client_order_id == query.client_order_id)
        and fill.at_ms >= query.since_ms
        and (not query.until_ms or fill.at_ms < query.until_ms)
    )


def _first(rows: Iterable[T], limit: int) -> list[T]:
    found: list[T] = []
    for row in rows:
        if len(found) >= limit:
            break
        found.append(row)
    return found
