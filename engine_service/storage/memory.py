"""A journal in memory with the same promises but durability: for the backtest, and for tests that need no disk."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence

from engine_service.domain.events import EquityRecorded, OrderEvent
from engine_service.domain.fill import Fill
from engine_service.domain.money import plain
from engine_service.domain.order import Order
from engine_service.storage.codec import encode
from engine_service.storage.port import (
    ENDLESS_MS,
    EQUITY_FIGURES,
    Entry,
    EquityFilter,
    EquityPoint,
    FillFilter,
    FillRow,
    Found,
    JournalReader,
    LogRow,
    OrderFilter,
    OrderRow,
    Projection,
    Recorded,
    StoredAnswer,
)
from engine_service.storage.projections import FillValue


class MemoryJournal:
    """Implements ``Journal``. Everything is committed at once, in the caller's own turn."""

    def __init__(self) -> None:
        self._events: list[Recorded] = []
        self._orders: dict[str, tuple[int, Order]] = {}
        self._fills: dict[tuple[str, ...], FillRow] = {}
        self._answers: dict[tuple[str, ...], StoredAnswer] = {}
        self._listeners: list[Callable[[Sequence[Recorded]], None]] = []

    @property
    def last_seq(self) -> int:
        return len(self._events)

    @property
    def failed(self) -> bool:
        return False

    def append(self, entries: Sequence[Entry]) -> Future[int]:
        """Keep entries; the future is done already."""
        for entry in entries:
            self._events.append(entry.recorded)
            for projection in entry.projections:
                self._project(entry.recorded.seq, projection)
        batch = [entry.recorded for entry in entries]
        for listener in self._listeners:
            listener(batch)
        done: Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(len(self._events))
        return done

    def _project(self, seq: int, projection: Projection) -> None:
        match projection.value:
            case Order() as order:
                first = self._orders.get(order.client_order_id)
                self._orders[order.client_order_id] = (seq if first is None else first[0], order)
            case FillValue() as value:
                self._fills[projection.key] = FillRow(seq=seq, fill=value.fill, strategy=value.strategy)
            case StoredAnswer() as answer:
                self._answers[projection.key] = answer
            case _:
                pass

    def on_commit(self, listener: Callable[[Sequence[Recorded]], None]) -> None:
        """Call ``listener`` with what was appended."""
        self._listeners.append(listener)

    def on_failure(self, listener: Callable[[str], None]) -> None:
        """Memory does not fail."""

    async def flush(self) -> None:
        """Everything is there already."""

    def close(self) -> None:
        """Nothing to let go of."""

    def events_after(self, seq: int, limit: int) -> list[Recorded]:
        """Return events with a larger sequence number, in order."""
        return self._events[seq : seq + limit]

    def log_rows_after(self, seq: int, limit: int) -> list[LogRow]:
        """Return events with a larger sequence number as text, in order."""
        return [
            LogRow(r.seq, r.kind, isinstance(r.event, OrderEvent), encode(r.event).decode())
            for r in self.events_after(seq, limit)
        ]

    def order(self, client_order_id: str) -> Order | None:
        """Return an order, however old."""
        found = self._orders.get(client_order_id)
        return None if found is None else found[1]

    def order_by_venue_id(self, symbol: str, venue_order_id: str) -> Order | None:
        """Return an order by the venue's own id."""
        for _, order in self._orders.values():
            if venue_order_id and order.venue_order_id == venue_order_id and order.symbol == symbol:
                return order
        return None

    def orders(self, query: OrderFilter) -> list[OrderRow]:
        """Return orders, newest first."""
        rows = [OrderRow(seq=seq, order=order) for seq, order in self._orders.values()]
        rows.sort(key=lambda row: -row.seq)
        return [row for row in rows if _order_matches(row, query)][: query.limit]

    def order_history(self, client_order_id: str) -> list[Recorded]:
        """Return every event of one order, in order."""
        return [
            recorded
            for recorded in self._events
            if isinstance(recorded.event, OrderEvent) and recorded.event.client_order_id == client_order_id
        ]

    def fills(self, query: FillFilter) -> list[FillRow]:
        """Return fills, oldest first unless the newest are asked for."""
        found = [row for row in self._fills.values() if _fill_matches(row, query)]
        return (found[::-1] if query.newest_first else found)[: query.limit]

    async def aside(self, read: Callable[[JournalReader], Found]) -> Found:
        """Return what a read finds."""
        return read(self)

    def fill_known(self, fill: Fill) -> bool:
        """Tell whether this venue trade was ever booked."""
        return fill.key in self._fills

    def equity_curve(self, query: EquityFilter) -> list[EquityPoint]:
        """Return samples of equity, oldest first."""
        return [
            EquityPoint(
                seq=row.seq,
                at_ms=row.event.at_ms,
                values={name: plain(getattr(row.event, name)) for name in EQUITY_FIGURES},
            )
            for row in self._events
            if isinstance(row.event, EquityRecorded)
            and row.seq > query.after_seq
            and query.since_ms <= row.event.at_ms < (query.until_ms or ENDLESS_MS)
        ][: query.limit]

    def answer(self, scope: str, key: str) -> StoredAnswer | None:
        """Return what was answered under an idempotency key."""
        return self._answers.get((scope, key))


def _order_matches(row: OrderRow, query: OrderFilter) -> bool:
    order = row.order
    return (
        (not query.symbol or order.symbol == query.symbol)
        and (not query.strategy or order.strategy == query.strategy)
        and (not query.statuses or order.status.value in query.statuses)
        and (not query.open_only or order.is_open)
        and (not query.since_ms or order.created_at_ms >= query.since_ms)
        and (not query.until_ms or order.created_at_ms < query.until_ms)
        and (not query.before_seq or row.seq < query.before_seq)
    )


def _fill_matches(row: FillRow, query: FillFilter) -> bool:
    fill = row.fill
    return (
        (not query.symbol or fill.symbol == query.symbol)
        and (not query.strategy or row.strategy == query.strategy)
        and (not query.client_order_id or fill.client_order_id == query.client_order_id)
        and (not query.since_ms or fill.at_ms >= query.since_ms)
        and (not query.until_ms or fill.at_ms < query.until_ms)
        and (not query.after_seq or row.seq > query.after_seq)
    )
