"""What the engine asks of its journal, whoever keeps it: SQLite on disk, or memory for the backtest."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from engine_service.domain.events import Event, IdempotencyMark
from engine_service.domain.fill import Fill
from engine_service.domain.order import Order

Found = TypeVar("Found")

#: Later than any time that is written down.
ENDLESS_MS: Final = 10**15
#: What a sample of the equity curve holds, in the reporting currency.
EQUITY_FIGURES: Final = (
    "equity",
    "peak",
    "day_start",
    "realised_pnl",
    "unrealised_pnl",
    "fees",
    "funding",
    "transfers",
)


class Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event with its place in the journal."""

    seq: int
    event: Event

    @property
    def kind(self) -> str:
        return type(self.event).__name__


class LogRow(NamedTuple):
    """An event as text, the way the audit log writes it."""

    seq: int
    kind: str
    of_order: bool
    body: str


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered under an idempotency key. ``outcome`` is empty while the first request still runs.

    For orders ``order`` and ``fills`` are as they were at the answer. Other routes keep ``status_code``, ``body`` and,
    in ``numbers``, the headers of a success; of a refusal its code is the ``outcome`` and its detail the ``body``.
    """

    mark: IdempotencyMark
    at_ms: int
    outcome: str = ""
    client_order_id: str = ""
    order: Order | None = None
    fills: tuple[Fill, ...] = ()
    numbers: Mapping[str, str] = msgspec.field(default_factory=dict)
    status_code: int = 0
    body: str = ""


class Projection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of one table, written in the transaction of its event. Later rows of the same key replace it."""

    table: str
    key: tuple[str, ...]
    value: object


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event to append and the rows that follow from it."""

    recorded: Recorded
    projections: tuple[Projection, ...] = ()


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fill as stored, with its place: ``seq`` is the cursor for paging."""

    seq: int
    fill: Fill
    strategy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders to list; empty fields match all. ``before_seq`` pages backwards, newest first."""

    symbol: str = ""
    strategy: str = ""
    statuses: tuple[str, ...] = ()
    open_only: bool = False
    since_ms: int = 0
    until_ms: int = 0
    before_seq: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FillFilter:
    """Which fills to list; ``after_seq`` pages forwards, oldest first; ``newest_first`` turns that round."""

    symbol: str = ""
    strategy: str = ""
    client_order_id: str = ""
    since_ms: int = 0
    until_ms: int = 0
    after_seq: int = 0
    limit: int = 100
    newest_first: bool = False


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order as stored; ``seq`` is the sequence number of its first event, the cursor for paging."""

    seq: int
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityFilter:
    """Which samples of equity to list, by their time; ``after_seq`` pages forwards, oldest first."""

    since_ms: int = 0
    until_ms: int = 0
    after_seq: int = 0
    limit: int = 100


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of the equity curve, reporting currency as text; ``seq`` is its event's, the cursor for paging."""

    seq: int
    at_ms: int
    values: Mapping[str, str] = msgspec.field(default_factory=dict)


class JournalReader(Protocol):
    """Reads of what is committed. Answers may lag the newest append by one commit."""

    def events_after(self, seq: int, limit: int) -> list[Recorded]:
        """Return events with a larger sequence number, in order."""

    def order(self, client_order_id: str) -> Order | None:
        """Return an order, however old."""

    def order_by_venue_id(self, symbol: str, venue_order_id: str) -> Order | None:
        """Return an order by the venue's own id."""

    def orders(self, query: OrderFilter) -> list[OrderRow]:
        """Return orders, newest first."""

    def order_history(self, client_order_id: str) -> list[Recorded]:
        """Return every event of one order, in order."""

    def fills(self, query: FillFilter) -> list[FillRow]:
        """Return fills, oldest first unless the newest are asked for."""

    def equity_curve(self, query: EquityFilter) -> list[EquityPoint]:
        """Return samples of equity, oldest first."""

    def answer(self, scope: str, key: str) -> StoredAnswer | None:
        """Return what was answered under an idempotency key, however old."""


class Journal(JournalReader, Protocol):
    """Append-only. A future resolves when its events are on disk; a failing commit is final."""

    @property
    def last_seq(self) -> int:
        """The newest sequence number given out."""

    @property
    def failed(self) -> bool:
        """True once a commit failed: nothing more will be written by this process."""

    def fill_known(self, fill: Fill) -> bool:
        """Tell whether this venue trade was ever booked."""

    def append(self, entries: Sequence[Entry]) -> Future[int]:
        """Queue entries, which commit together or not at all; the result is the last sequence number.

        Raises:
            Unavailable: the journal failed before (``JOURNAL_UNAVAILABLE``).
        """

    def on_commit(self, listener: Callable[[Sequence[Recorded]], None]) -> None:
        """Call ``listener`` on the event loop with what became durable, in order."""

    def on_failure(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` on the event loop when a commit failed; the process should end."""

    async def aside(self, read: Callable[[JournalReader], Found]) -> Found:
        """Return what a read finds that may take long; orders do not wait for it.

        Raises:
            Unavailable: the journal is closed (``JOURNAL_UNAVAILABLE``).
        """

    async def flush(self) -> None:
        """Wait until everything appended so far is on disk."""

    def close(self) -> None:
        """Write what is queued and let go of the file."""
