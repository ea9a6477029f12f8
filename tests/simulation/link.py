"""The wire to the model venue: everything that can go wrong between two computers, as a ``Venue`` the engine trades on.

One link per life of the engine. It adapts like the real adapters do: one send, three answers, reads that fail as such.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from random import Random
from typing import TypeVar

from msgspec.structs import replace

from engine_service.domain.errors import Unavailable
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus, OrderType
from engine_service.venues.port import AmendRequest, SendWindow, VenueInfo, VenueUnavailable
from engine_service.venues.reports import (
    Accepted,
    AccountSnapshot,
    Balance,
    BarReport,
    FundingReport,
    MarketEvent,
    NotFoundReport,
    OrderReport,
    OutcomeUnknown,
    QueryOutcome,
    ReadFailed,
    Rejected,
    StreamStatus,
    SubmitOutcome,
    UserEvent,
    VenuePosition,
)
from tests.simulation.exchange import INSTRUMENTS, PRICES, VENUE, Exchange, VenueOrder
from tests.simulation.weather import Weather
from tests.simulation.world import World

D = Decimal
_T = TypeVar("_T")
WINDOW = SendWindow(validity_ms=3_000, engine_timeout_ms=10_000, lag_ms=5_000)
INFO = VenueInfo(name=VENUE, markets=tuple(Market), account="simulated", window=WINDOW)
GIVES_UP_S = 10.0


class Link:
    """A ``Venue`` over a bad wire. ``note`` hears of every fault, for the schedule that is printed on failure."""

    def __init__(
        self, world: World, exchange: Exchange, weather: Weather, chance: Random, note: Callable[[str], None]
    ) -> None:
        self._world, self._exchange, self._weather, self._chance = world, exchange, weather, chance
        self._note = note
        self._stream: asyncio.Queue[UserEvent] | None = None
        self._down_until_s = 0.0
        self.dead = False
        exchange.publish = self._publish

    @property
    def info(self) -> VenueInfo:
        return INFO

    async def open(self) -> None:
        await self._bulk_read()

    async def close(self) -> None:
        """Nothing to close."""

    def venue_time_ms(self) -> int:
        return self._exchange.now_ms

    async def instruments(self) -> Sequence[Instrument]:
        return INSTRUMENTS

    # --- requests -------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> SubmitOutcome:
        """Send an order once."""
        refuse = self._hit(self._weather.refused)
        slices = self._slices(order)

        def act() -> SubmitOutcome:
            known = self._exchange.newest(order.client_order_id)
            if known is not None and known.is_open:
                return OutcomeUnknown(reason="duplicate order sent", duplicate=True)
            if refuse:
                return Rejected(code="VENUE_SAYS_NO", reason="insufficient balance")
            record = self._exchange.place(order, slices)
            return self._accepted(record)

        return await self._request(f"submit {order.client_order_id}", act)

    async def cancel(self, order: Order) -> SubmitOutcome:
        """Send a cancel once."""

        def act() -> SubmitOutcome:
            record = self._exchange.newest(order.client_order_id)
            if record is None or not record.is_open:
                return Rejected(code="VENUE_ORDER_UNKNOWN", reason="unknown order")
            self._exchange.end(record, OrderStatus.CANCELED)
            return self._accepted(record)

        return await self._request(f"cancel {order.client_order_id}", act)

    async def amend(self, request: AmendRequest) -> SubmitOutcome:
        """Send a change once: in place, or by a cancel and a new order."""
        refuse = self._hit(self._weather.refused)

        def act() -> SubmitOutcome:
            record = self._exchange.newest(request.order.client_order_id)
            if record is None or not record.is_open:
                return Rejected(code="VENUE_ORDER_UNKNOWN", reason="unknown order")
            if not request.replacement_client_order_id:
                if refuse:
                    return Rejected(code="VENUE_SAYS_NO", reason="refused")
                self._exchange.change(record, request.limit_price, request.quantity)
                return self._accepted(record)
            self._exchange.end(record, OrderStatus.CANCELED)
            if refuse:
                return self._accepted(record)
            return self._accepted(self._exchange.place(_replacement(request)))

        return await self._request(f"amend {request.order.client_order_id}", act)

    async def _request(self, what: str, act: Callable[[], SubmitOutcome]) -> SubmitOutcome:
        """Carry a request over the wire; the venue drops what arrives after its validity window."""
        self._alive()
        weather, sent_s = self._weather, self._world.now_s
        answer: asyncio.Future[SubmitOutcome] = asyncio.get_running_loop().create_future()
        if self._hit(weather.unsent):
            self._note(f"{what}: not sent")
            await asyncio.sleep(self._latency())
            return Rejected(code="VENUE_UNREACHABLE", reason="connection refused", not_sent=True)
        lost, mute, late = self._hit(weather.lost), self._hit(weather.mute), self._hit(weather.late)
        outlaw, vague = self._hit(weather.outlaw), self._hit(weather.duplicate_word)
        hold_s = self._chance.uniform(0.0, 12.0 if late else 0.0)
        hold_s = self._chance.uniform(20.0, 60.0) if outlaw else hold_s
        faults = [name for name, hit in (("lost", lost), ("mute", mute), ("late", late), ("outlaw", outlaw)) if hit]
        self._note(f"{what}: {' '.join(faults) or 'sent'}")

        def arrive() -> None:
            arrived_late = self._world.now_s - sent_s > WINDOW.validity_ms / 1000
            outcome = Rejected(code="TIMESTAMP", reason="too old") if arrived_late else None

            def execute() -> None:
                done = outcome or act()
                self._note(f"{what}: venue did {type(done).__name__}")
                if not mute:
                    said = OutcomeUnknown(reason="HTTP 503") if vague else done
                    self._world.after(self._latency(), lambda: _say(answer, said))

            self._world.after(hold_s, execute)

        if not lost:
            self._world.after(self._latency(), arrive)
        self._world.after(GIVES_UP_S, lambda: _say(answer, OutcomeUnknown(reason="timed out")))
        return await answer

    def _accepted(self, record: VenueOrder) -> SubmitOutcome:
        if self._hit(self._weather.gateway_only):
            return Accepted(venue_order_id=record.venue_order_id, status=OrderStatus.PENDING_ACK)
        named = tuple(record.fills) if record.type is OrderType.MARKET else ()
        return Accepted(
            venue_order_id=record.venue_order_id, status=record.status, fills=named, executed_quantity=record.executed
        )

    def _slices(self, order: Order) -> tuple[Decimal, ...]:
        if order.type is not OrderType.MARKET or order.quantity is None:
            return ()
        parts = self._chance.choice((1, 1, 1, 2, 4))
        part = (order.quantity / parts).quantize(D("0.001") if order.market is Market.FUTURES else D("0.00001"))
        slices = [part] * (parts - 1)
        if not self._hit(0.1):
            slices.append(order.quantity - sum(slices, ZERO))
        return tuple(slices)

    # --- reads ----------------------------------------------------------------------------------------------

    async def query_order(self, order: Order) -> QueryOutcome:
        """Read one order, perhaps as it was a moment ago."""
        if not await self._read():
            return ReadFailed(reason="no answer")
        report = self._exchange.report(order.client_order_id, self._staleness())
        return report or NotFoundReport(endpoint="order")

    async def query_open_order(self, order: Order) -> QueryOutcome:
        """Look for one order among the open ones."""
        if not await self._read():
            return ReadFailed(reason="no answer")
        report = self._exchange.report(order.client_order_id, self._staleness())
        if report is None or report.status.is_terminal:
            return NotFoundReport(endpoint="open")
        return report

    async def query_fills(self, order: Order) -> tuple[Fill, ...] | ReadFailed:
        """Read an order's trades."""
        if not await self._read() or self._hit(self._weather.hidden):
            return ReadFailed(reason="no answer")
        until_ms = self._exchange.now_ms - int(self._staleness() * 1000)
        records = self._exchange.by_client_id.get(order.client_order_id, [])
        return tuple(fill for record in records for fill in record.fills if fill.at_ms <= until_ms)

    async def funding_since(self, since_ms: int) -> Sequence[FundingReport]:
        """Read what funding was paid since a time."""
        await self._bulk_read()
        return [paid for paid in self._exchange.payments if paid.at_ms >= since_ms]

    async def account(self, market: Market) -> AccountSnapshot:
        """Read balances, positions and open orders, all of one moment."""
        await self._bulk_read()
        exchange = self._exchange
        positions = tuple(
            VenuePosition(
                symbol=symbol,
                signed_quantity=held.quantity,
                entry_price=held.entry_price,
                mark_price=PRICES[symbol],
            )
            for symbol, held in exchange.positions.items()
            if market is Market.FUTURES
        )
        return AccountSnapshot(
            venue=VENUE,
            market=market,
            at_ms=exchange.now_ms,
            balances=tuple(
                Balance(asset=a, free=amount) for (m, a), amount in exchange.balances.items() if m is market
            ),
            positions=positions,
            open_orders=tuple(
                record.seen[-1][1] for record in exchange.orders.values() if record.is_open and record.market is market
            ),
        )

    async def fills_since(
        self, market: Market, symbol: str, from_trade_id: str | None, since_ms: int
    ) -> Sequence[Fill]:
        """Read the trades of an instrument."""
        await self._bulk_read()
        after = int(from_trade_id) if from_trade_id else -1
        return [
            fill
            for fill in self._exchange.trades
            if fill.market is market and fill.symbol == symbol and int(fill.trade_id) > after and fill.at_ms >= since_ms
        ]

    async def bars(self, market: Market, symbol: str, interval: str, limit: int) -> Sequence[BarReport]:
        """There are no bars here."""
        return ()

    async def _bulk_read(self) -> None:
        if not await self._read():
            raise VenueUnavailable("VENUE_DOWN", "no answer")

    async def _read(self) -> bool:
        self._alive()
        await asyncio.sleep(self._latency())
        now_s = self._world.now_s
        if now_s >= self._down_until_s and self._hit(self._weather.read_fails):
            self._down_until_s = now_s + self._chance.uniform(0.0, self._weather.down_for_s)
            self._note(f"reads fail until {self._down_until_s:.3f}")
            return False
        return now_s >= self._down_until_s or self._weather.read_fails == 0

    # --- streams --------------------------------------------------------------------------------------------

    async def user_events(self) -> AsyncIterator[UserEvent]:
        """Yield private events: some lost, doubled, late, out of order; a broken connection says so later."""
        self._stream = asyncio.Queue()
        yield StreamStatus(stream="user", connected=True)
        while True:
            yield await self._stream.get()

    async def market_events(self, market: Market, symbols: Sequence[str], interval: str) -> AsyncIterator[MarketEvent]:
        """There is no market stream here."""
        no_events: tuple[MarketEvent, ...] = ()
        for event in no_events:
            yield event

    def _publish(self, event: UserEvent) -> None:
        weather = self._weather
        if self._stream is None or self.dead:
            return
        if self._hit(weather.stream_breaks):
            self._note("stream breaks")
            back = StreamStatus(stream="user", connected=True, reason="again")
            self._world.after(self._chance.uniform(0.5, 8.0), lambda: self._deliver(back))
            return
        if self._hit(weather.stream_lost):
            self._note("stream loses a message")
            return
        if isinstance(event, OrderReport) and event.fill is not None and self._hit(weather.unnamed):
            self._note("stream counts a trade and does not name it")
            event = replace(event, fill=None)
        for _ in range(2 if self._hit(weather.stream_twice) else 1):
            self._world.after(self._chance.uniform(0.0, weather.stream_delay_s), lambda: self._deliver(event))

    def _deliver(self, event: UserEvent) -> None:
        if self._stream is not None and not self.dead:
            self._stream.put_nowait(event)

    # --- chance ---------------------------------------------------------------------------------------------

    def _alive(self) -> None:
        if self.dead:
            raise Unavailable("PROCESS_KILLED", "this process was killed")

    def _hit(self, odds: float) -> bool:
        return odds > 0 and self._chance.random() < odds

    def _latency(self) -> float:
        return self._chance.uniform(0.5, 1.5) * self._weather.latency_s

    def _staleness(self) -> float:
        return self._chance.uniform(0.0, self._weather.stale_s)


def _say(answer: asyncio.Future[_T], outcome: _T) -> None:
    if not answer.done() and not answer.get_loop().is_closed():
        answer.set_result(outcome)


def _replacement(request: AmendRequest) -> Order:
    """Return the order that takes the other's place: what is left of it, under its new id."""
    order = request.order
    remaining = (request.quantity or order.quantity or ZERO) - order.filled_quantity
    return replace(
        order,
        client_order_id=request.replacement_client_order_id,
        quantity=remaining,
        limit_price=request.limit_price or order.limit_price,
    )
