"""A paper account behind the port: real market data, simulated fills, after a stated latency.

What is durable: nothing here. The engine's journal is the only record of a paper account, and a restarted engine
puts the account back from it (``PaperState``). An order whose outcome the engine did not journal never happened on
paper, which is exactly what the reads answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct, field
from msgspec.structs import replace

from engine_service.domain.clock import Clock, SystemClock
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.order import Order
from engine_service.venues.paper.account import FuturesAccount, PaperAccount, SpotAccount
from engine_service.venues.paper.checks import PaperRefusal
from engine_service.venues.paper.exchange import PaperExchange
from engine_service.venues.paper.fill_model import Costs
from engine_service.venues.paper.paper_order import PaperOrder
from engine_service.venues.paper.sources import BarTick, BookUpdate, PaperSource, Print, SourceEvent, quote_of
from engine_service.venues.port import AmendRequest, SendWindow, VenueInfo
from engine_service.venues.reports import (
    Accepted,
    AccountSnapshot,
    BarReport,
    BookReport,
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
)

_EVENTS = 100_000
_STALE_MS = 10_000


class PaperState(Struct, frozen=True, kw_only=True):
    """What the engine's journal says of the account: cash by asset, futures positions, working orders.

    ``positions`` maps a symbol to its signed quantity and average entry price.
    """

    balances: Mapping[str, Decimal]
    positions: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    working: tuple[Order, ...] = ()


class PaperVenue:
    """One paper account on one market. See `Venue` for what each method promises.

    Args:
        state: the account as the journal knows it, or the opening balances of a new one.
        name: the venue part of its symbols; paper trading of Binance's instruments keeps their names.
        latency_ms: between the engine's send and the book.
        stale_ms: a book older than this fills nothing: its price may be gone.
    """

    def __init__(
        self,
        source: PaperSource,
        state: PaperState,
        *,
        costs: Costs | None = None,
        name: str = "BINANCE",
        latency_ms: int = 20,
        stale_ms: int = _STALE_MS,
        clock: Clock | None = None,
    ) -> None:
        self._source = source
        self._state = state
        self._costs = costs or Costs()
        self._latency_s = latency_ms / 1000
        self._stale_ms = stale_ms
        self._clock: Clock = clock or SystemClock()
        self._events: asyncio.Queue[UserEvent] = asyncio.Queue(_EVENTS)
        self._exchange: PaperExchange | None = None
        market = source.market
        self._info = VenueInfo(
            name=name,
            markets=(market,),
            account="paper",
            window=SendWindow(validity_ms=latency_ms, engine_timeout_ms=0, lag_ms=0),
            can_short=frozenset({market} if market is Market.FUTURES else ()),
        )

    @property
    def info(self) -> VenueInfo:
        return self._info

    @property
    def exchange(self) -> PaperExchange:
        """Return the exchange behind an open venue, for a caller that drives the market itself."""
        return self._opened()

    async def open(self) -> None:
        await self._source.open()
        found = await self._source.instruments()
        account = self._account(found)
        self._exchange = PaperExchange(
            self._info.name, account, found, self._costs, first_id=self._source.now_ms() * 1000
        )
        for order in self._state.working:
            self._exchange.restore(order, self._source.now_ms())

    async def close(self) -> None:
        await self._source.close()

    def venue_time_ms(self) -> int:
        return self._source.now_ms()

    async def instruments(self) -> Sequence[Instrument]:
        return await self._source.instruments()

    # --- orders -------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> SubmitOutcome:
        await self._travel()
        return self.place(order)

    def place(self, order: Order) -> SubmitOutcome:
        """Answer an order at once: what ``submit`` does when the order has arrived, and the backtest's whole wire."""
        exchange, now_ms = self._exchange or self._opened(), self._source.now_ms()
        book = exchange.book(order.symbol)
        if book is not None and now_ms - book.at_ms > self._stale_ms:
            return Rejected(code="VENUE_NO_LIQUIDITY", reason="the market data of this symbol is stale")
        try:
            paper = exchange.place(order, now_ms)
        except PaperRefusal as refusal:
            return _refused(refusal)
        return _accepted(paper, paper.fills)

    async def cancel(self, order: Order) -> SubmitOutcome:
        await self._travel()
        try:
            return _accepted(self._opened().cancel(order.client_order_id, self._source.now_ms()), ())
        except PaperRefusal as refusal:
            return _refused(refusal)

    async def amend(self, request: AmendRequest) -> SubmitOutcome:
        """Change an order in place; with a replacement id, cancel it and place a new one, as spot venues do."""
        await self._travel()
        exchange, order = self._opened(), request.order
        if request.replacement_client_order_id:
            return self._replace(exchange, request)
        before = exchange.find(order.client_order_id)
        known = len(before.fills) if before else 0
        try:
            paper = exchange.amend(order, request.limit_price, request.quantity, self._source.now_ms())
        except PaperRefusal as refusal:
            return _refused(refusal)
        return _accepted(paper, paper.fills[known:])

    def _replace(self, exchange: PaperExchange, request: AmendRequest) -> SubmitOutcome:
        order, now_ms = request.order, self._source.now_ms()
        try:
            old = exchange.cancel(order.client_order_id, now_ms)
        except PaperRefusal as refusal:
            return _refused(refusal)
        new = replace(
            order,
            client_order_id=request.replacement_client_order_id,
            limit_price=request.limit_price if request.limit_price is not None else order.limit_price,
            quantity=(request.quantity if request.quantity is not None else old.quantity) - old.executed,
        )
        try:
            paper = exchange.place(new, now_ms)
        except PaperRefusal:
            return _accepted(old, ())
        return _accepted(paper, paper.fills)

    # --- reads --------------------------------------------------------------------------------------------------

    async def query_order(self, order: Order) -> QueryOutcome:
        paper = self._opened().find(order.client_order_id)
        return paper.report() if paper else NotFoundReport(endpoint="paper orders")

    async def query_open_order(self, order: Order) -> QueryOutcome:
        paper = self._opened().find(order.client_order_id)
        if paper is None or paper.status.is_terminal:
            return NotFoundReport(endpoint="paper open orders")
        return paper.report()

    async def query_fills(self, order: Order) -> tuple[Fill, ...] | ReadFailed:
        paper = self._opened().find(order.client_order_id)
        return tuple(paper.fills) if paper else ()

    async def account(self, market: Market) -> AccountSnapshot:
        exchange = self._opened()
        return AccountSnapshot(
            venue=self._info.name,
            market=market,
            at_ms=self._source.now_ms(),
            balances=exchange.account.balances(),
            positions=exchange.account.positions(exchange.marks()),
            open_orders=tuple(paper.report() for paper in exchange.working()),
            can_withdraw=False,
        )

    async def fills_since(
        self, market: Market, symbol: str, from_trade_id: str | None, since_ms: int
    ) -> Sequence[Fill]:
        after = int(from_trade_id) if from_trade_id is not None else -1
        return [
            fill
            for fill in self._opened().fills()
            if fill.symbol == symbol
            and (int(fill.trade_id) > after if from_trade_id is not None else fill.at_ms >= since_ms)
        ]

    async def bars(self, market: Market, symbol: str, interval: str, limit: int) -> Sequence[BarReport]:
        return await self._source.bars(symbol, interval, limit)

    async def order_book(self, market: Market, symbol: str, levels: int) -> BookReport | ReadFailed:
        book = self._opened().book(symbol)
        if book is None or market is not self._source.market:
            return ReadFailed(reason="no book of this symbol is known yet")
        return BookReport(
            symbol=symbol,
            market=market,
            bids=tuple((level.price, level.quantity) for level in book.bids[:levels]),
            asks=tuple((level.price, level.quantity) for level in book.asks[:levels]),
        )

    # --- streams ------------------------------------------------------------------------------------------------

    async def user_events(self) -> AsyncGenerator[UserEvent, None]:
        yield StreamStatus(stream="user", connected=True)
        while True:
            yield await self._events.get()

    async def market_events(
        self, market: Market, symbols: Sequence[str], interval: str
    ) -> AsyncGenerator[MarketEvent, None]:
        async for event in self._source.events(symbols, interval):
            told = self.move(event)
            if told is not None:
                yield told

    def move(self, event: SourceEvent) -> MarketEvent | None:
        """Let the market move the resting orders, and return what the engine is told of it."""
        exchange = self._opened()
        match event:
            case BookUpdate(symbol, book):
                self._tell(exchange.on_book(symbol, book))
            case Print(symbol, traded, at_ms):
                self._tell(exchange.on_print(symbol, traded, at_ms))
                return None
            case BarTick(symbol, bar, at_ms):
                self._tell(exchange.on_bar(symbol, bar, at_ms))
            case _:
                return event
        book_now = exchange.book(symbol)
        return quote_of(symbol, book_now, self._source.market, self._clock.monotonic_s()) if book_now else None

    def take_reports(self) -> list[UserEvent]:
        """Return what the user stream holds now, for a caller that drives the market itself."""
        taken = []
        while not self._events.empty():
            taken.append(self._events.get_nowait())
        return taken

    def _tell(self, reports: Iterable[OrderReport]) -> None:
        for report in reports:
            self._events.put_nowait(report)

    # --- details ------------------------------------------------------------------------------------------------

    async def _travel(self) -> None:
        if self._latency_s:
            await asyncio.sleep(self._latency_s)

    def _opened(self) -> PaperExchange:
        if self._exchange is None:
            raise RuntimeError("the paper venue is not open")
        return self._exchange

    def _account(self, instruments: Iterable[Instrument]) -> PaperAccount:
        if self._source.market is Market.SPOT:
            return SpotAccount(self._state.balances)
        account = FuturesAccount(self._state.balances)
        for instrument in instruments:
            if instrument.symbol in self._state.positions:
                account.set_position(instrument, *self._state.positions[instrument.symbol])
        return account


def _accepted(paper: PaperOrder, fills: Iterable[Fill]) -> Accepted:
    return Accepted(
        venue_order_id=paper.venue_order_id,
        status=paper.status,
        fills=tuple(fills),
        executed_quantity=paper.executed,
    )


def _refused(refusal: PaperRefusal) -> SubmitOutcome:
    if refusal.code == "VENUE_DUPLICATE_ID":
        return OutcomeUnknown(reason=refusal.reason, duplicate=True)
    if refusal.code == "VENUE_UNKNOWN_ORDER":
        return OutcomeUnknown(reason=refusal.reason, answered=True)
    return Rejected(code=refusal.code, reason=refusal.reason)
