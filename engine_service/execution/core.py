"""What every use case needs, in one bundle, and the one way to record facts: apply, append, await the disk."""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from engine_service.domain import events as e
from engine_service.domain.apply import IllegalEvent, apply, count
from engine_service.domain.apply_unit import apply_unit
from engine_service.domain.clock import Clock
from engine_service.domain.errors import InvalidRequest, NotFound, Unavailable
from engine_service.domain.ids import Market, venue_of
from engine_service.domain.instrument import Instrument
from engine_service.domain.marks import Mark, MarkBook
from engine_service.domain.money import ONE, ZERO
from engine_service.domain.order import Order
from engine_service.domain.state import EngineState
from engine_service.risk.gate import RiskGate
from engine_service.storage.halt_note import HaltNote
from engine_service.storage.idempotency import IdempotencyStore
from engine_service.storage.port import Entry, Journal, Recorded
from engine_service.storage.projections import projections_of
from engine_service.venues.port import Venue
from engine_service.venues.reports import Quote, SubmitOutcome

#: Facts that move money: after any other the books are as they were.
_BOOKED: Final = frozenset({e.OrderFilled, e.OrderFillReversed, e.BalanceAdjusted, e.FundingPaid, e.PositionAdopted})


class Phase(StrEnum):
    """Where the engine stands between start and service. A halt is separate: it is journaled and sticky."""

    BOOT = "BOOT"
    RECOVERING = "RECOVERING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(slots=True, kw_only=True)
class EngineCore:
    """One account's engine. Everything runs on one event loop; only the journal's writer is a thread.

    ``default_venue`` answers for a request without one; ``on_task_failure`` hears of background tasks that ended
    by an error; ``sleep`` is the pause between reads, exchanged by the backtest and by tests. ``at_once`` names the
    venues that live in this process and answer an order without a wire in between. ``turns`` holds which name of a
    listing was asked about last, ``read_once`` the instruments whose newest mark was read for an order, because nobody
    follows their quotes. ``asked_again_at_s`` is the moment, by the monotonic clock, before which a venue has said that
    it is not to be asked. ``halt_note`` keeps a halt that the journal cannot take.
    """

    account: str
    instance_key: bytes
    clock: Clock
    state: EngineState
    journal: Journal
    marks: MarkBook
    gate: RiskGate
    venues: dict[str, Venue]
    idempotency: IdempotencyStore
    default_venue: str = ""
    instruments: dict[tuple[str, Market], Instrument] = field(default_factory=dict)
    publish: Callable[[Recorded], None] = lambda recorded: None
    on_task_failure: Callable[[str, BaseException], None] = lambda name, error: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    phase: Phase = Phase.BOOT
    not_ready_because: list[str] = field(default_factory=list)
    reconciled_at_ms: dict[str, int] = field(default_factory=dict)
    account_is_shared: bool = False
    adopt_positions: bool = False
    seen_differences: dict[str, tuple[int, Decimal | None]] = field(default_factory=dict)
    turns: dict[str, str] = field(default_factory=dict)
    answer_deadline_s: float = 2.5
    tasks: dict[str, Task[None]] = field(default_factory=dict)
    reconciling: asyncio.Lock = field(default_factory=asyncio.Lock)
    at_once: dict[str, Callable[[Order], SubmitOutcome]] = field(default_factory=dict)
    read_once: set[tuple[str, Market]] = field(default_factory=set)
    asked_again_at_s: float = 0.0
    halt_note: HaltNote | None = None
    _held: list[Entry] | None = None
    _later: Future[int] | None = None
    _money_moved: bool = True

    def connect(self) -> None:
        """Wire the parts together: marks to exposure, the journal to the bus and to the emergency stop."""
        self.state.exposure.watch(self.marks)
        self.journal.on_commit(self._committed)
        self.journal.on_failure(self._journal_failed)

    # --- facts ----------------------------------------------------------------------------------------------

    def record(self, *events: e.Event) -> Future[int]:
        """Apply facts to the state now and queue them for the disk as one unit.

        Nothing may be answered or sent on the strength of them before the future is done. An order event that
        the state table forbids is recorded as an ``Anomaly`` instead and leaves the order as it is.

        Raises:
            Unavailable: the journal failed (``JOURNAL_UNAVAILABLE``).
        """
        self._require_journal()
        return self._journaled(map(self._applied, events))

    @property
    def records(self) -> bool:
        """False once no fact is taken any more: the journal is dead, or the books are not to be trusted."""
        return not self.journal.failed and self.phase is not Phase.FAILED

    def _require_journal(self) -> None:
        if not self.records:
            raise Unavailable("JOURNAL_UNAVAILABLE", "the journal cannot be written; the engine has to be restarted")

    def _journaled(self, applied: Iterable[e.Event]) -> Future[int]:
        """Hand over facts as they are applied: the rows of each are those of the state right after it."""
        entries: list[Entry] = [] if self._held is None else self._held
        for event in applied:
            recorded = Recorded(seq=self.journal.last_seq + len(entries) + 1, event=event)
            entries.append(Entry(recorded=recorded, projections=projections_of(self.state, recorded, self.account)))
            if type(event) in _BOOKED:
                self._money_moved = True
        if self._money_moved:
            self._money_moved = False
            error = self.state.portfolio.identity_error
            if error != 0:
                self._stop(f"the equity identity is off by {error}")
        return self.journal.append(entries) if self._held is None else self._never()

    def record_unit(self, begun: Sequence[e.OrderEvent], order: Order, life: Sequence[e.OrderEvent]) -> Future[int]:
        """Record an order that nobody saw yet, with all that became of it, as ``record`` does one by one.

        ``begun`` are the events that ``order`` has behind it, ``life`` those that it does not know of yet.

        Raises:
            IllegalEvent: no rule allows one of the events; nothing is recorded.
            Unavailable: as ``record``.
        """
        self._require_journal()
        apply_unit(self.state, order, life)
        events = (*begun, *life)
        for event in events:
            count(self.state, event)
        return self._journaled(events)

    def together(self, work: Callable[[], None]) -> Future[int]:
        """Run ``work``, which may not wait, and hand all it records to the journal as one unit.

        Also when it raises: what was applied must be written. The futures that ``record`` returns to it never end;
        the one returned here does.

        Raises:
            Unavailable: as ``record``.
        """
        entries: list[Entry] = []
        self._held = entries
        try:
            work()
        except BaseException:
            self._held = None
            if entries:
                self.journal.append(entries)
            raise
        self._held = None
        return self.journal.append(entries)

    def _never(self) -> Future[int]:
        if self._later is None:
            self._later = asyncio.get_running_loop().create_future()
        return self._later

    async def commit(self, *events: e.Event) -> int:
        """Record facts and wait until they are on disk; return the last sequence number."""
        return await self.record(*events)

    def _applied(self, event: e.Event) -> e.Event:
        """Apply a fact and return it; one that no rule allows is applied as the anomaly that it is."""
        try:
            apply(self.state, event)
        except IllegalEvent:
            if not isinstance(event, e.OrderEvent):
                raise
            anomaly = self._anomaly(event)
            apply(self.state, anomaly)
            return anomaly
        return event

    def _anomaly(self, event: e.OrderEvent) -> e.Anomaly:
        order = self.state.order(event.client_order_id)
        status = "unknown" if order is None else order.status.value
        return e.Anomaly(
            at_ms=event.at_ms,
            kind="illegal_transition",
            subject=event.client_order_id,
            detail=f"{type(event).__name__} in {status}",
        )

    def _committed(self, batch: Sequence[Recorded]) -> None:
        publish = self.publish
        for recorded in batch:
            publish(recorded)

    def _journal_failed(self, reason: str) -> None:
        self._stop(f"journal: {reason}")
        halt = self.state.image.halt
        if halt is not None and self.halt_note is not None:
            # It may be among what was not written; one that was is merely noted twice.
            self.halt_note.keep(halt)

    def _stop(self, reason: str) -> None:
        self.phase = Phase.FAILED
        self.not_ready_because = [reason]

    def told_to_wait(self, seconds: float) -> None:
        """Note that a venue, or the limits it gave, allow no request for so long."""
        if seconds > 0:
            self.asked_again_at_s = max(self.asked_again_at_s, self.clock.monotonic_s() + seconds)

    # --- look-ups -------------------------------------------------------------------------------------------

    def order(self, client_order_id: str) -> Order | None:
        """Return an order, however old: from memory, or as the journal has it."""
        return self.state.order(client_order_id) or self.journal.order(client_order_id)

    def known_order(self, client_order_id: str) -> Order:
        """Return an order, however old.

        Raises:
            NotFound: no such order (``ORDER_UNKNOWN``).
        """
        order = self.order(client_order_id)
        if order is None:
            raise NotFound("ORDER_UNKNOWN", "there is no such order")
        return order

    def venue(self, name: str) -> Venue:
        """Return the venue of that name.

        Raises:
            InvalidRequest: no such venue is configured (``VENUE_UNKNOWN``).
        """
        venue = self.venues.get(name)
        if venue is None:
            raise InvalidRequest("VENUE_UNKNOWN", f"This engine trades on {', '.join(sorted(self.venues))} alone.")
        return venue

    def venue_for(self, symbol: str) -> Venue:
        """Return the venue an instrument trades on."""
        return self.venue(venue_of(symbol))

    def instrument(self, symbol: str, market: Market) -> Instrument:
        """Return an instrument's rules.

        Raises:
            NotFound: the venue lists no such instrument on this market (``SYMBOL_UNKNOWN``).
            InvalidRequest: it is listed, but on another market (``MARKET_INVALID``).
        """
        found = self.instruments.get((symbol, market))
        if found is not None:
            return found
        if any(key[0] == symbol for key in self.instruments):
            raise InvalidRequest("MARKET_INVALID", "the instrument is not listed on this market")
        raise NotFound("SYMBOL_UNKNOWN", "the venue lists no such instrument")

    def rate(self, venue: str, asset: str) -> Decimal | None:
        """Return reporting currency per unit of an asset at the newest marks."""
        return self.marks.rate(venue, asset)

    def booking_rate(self, venue: str, asset: str) -> Decimal:
        """Return the rate to book an asset at: the mark, else what the held units cost, else 0."""
        rate = self.marks.rate(venue, asset)
        if rate is not None:
            return rate
        for market in Market:
            book = self.state.portfolio.holdings.get(f"{venue}|{market.value}|{asset}")
            if book is not None and book.quantity > 0 and book.cost > 0:
                return (book.cost / book.quantity).quantize(Decimal("1e-12"))
        return ONE if asset == self.state.image.reporting else ZERO

    def update_quote(self, quote: Quote) -> None:
        """Take a market quote as the newest mark of its instrument."""
        if self.read_once:
            self.read_once.discard((quote.symbol, quote.market))
        self.marks.update(
            Mark(
                symbol=quote.symbol,
                market=quote.market,
                bid=quote.bid,
                ask=quote.ask,
                at_s=quote.received_at_s,
                last=quote.last,
            )
        )

    @property
    def ready(self) -> bool:
        """True once snapshot, replay and the first reconciliation are done and nothing failed since."""
        return self.phase is Phase.READY

    # --- background work --------------------------------------------------------------------------------------

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> Task[None]:
        """Run work of which the engine keeps hold; one task per name, a second one of the same name is dropped."""
        running = self.tasks.get(name)
        if running is not None and not running.done():
            work.close()
            return running
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks[name] = task
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: Task[None]) -> None:
        if self.tasks.get(task.get_name()) is task:
            del self.tasks[task.get_name()]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.on_task_failure(task.get_name(), error)

    async def settle(self) -> None:
        """Wait until no background work of the engine is left; for shutdown and for tests."""
        while self.tasks:
            await asyncio.wait(list(self.tasks.values()))

    async def cut_off(self) -> None:
        """End what background work is left, also what that begins with its last breath; before the venues close."""
        while self.tasks:
            for task in list(self.tasks.values()):
                task.cancel()
            await asyncio.wait(list(self.tasks.values()))
