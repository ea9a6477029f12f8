"""A paper exchange: orders, an account, and the fill model between them. No I/O, no clock, no chance.

Time comes with every call. What trades is returned as reports; nothing is pushed. The live paper venue and the
backtest both drive this class, which is why they agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine_service.domain.fill import Fill
from engine_service.domain.instrument import Instrument
from engine_service.domain.order import Order
from engine_service.domain.order_status import ACCEPTED, FILLED, TERMINAL, OrderStatus, TimeInForce
from engine_service.venues.paper.account import PaperAccount
from engine_service.venues.paper.checks import PaperRefusal, check_affordable, check_filters, size
from engine_service.venues.paper.fill_model import (
    CONDITIONAL,
    STOPS,
    WITH_LIMIT,
    Book,
    Costs,
    Level,
    PriceBar,
    Queue,
    book_around,
    is_triggered,
    take,
    traded_in_bar,
    trigger_in_bar,
)
from engine_service.venues.paper.paper_order import PaperOrder
from engine_service.venues.reports import OrderReport

_REMEMBERED = 10_000


class PaperExchange:
    """Orders of one account over the instruments it is given.

    Args:
        venue: the name fills carry.
        first_id: where venue order and trade ids begin; a restarted venue begins above the last.
    """

    def __init__(
        self,
        venue: str,
        account: PaperAccount,
        instruments: Iterable[Instrument],
        costs: Costs,
        *,
        first_id: int = 1,
    ) -> None:
        self.account = account
        self.costs = costs
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self._venue = venue
        self._books: dict[str, Book] = {}
        self._next_id = first_id
        self._resting: dict[str, dict[str, PaperOrder]] = {}
        self._known: dict[str, PaperOrder] = {}
        self._sweep_at = 2 * _REMEMBERED
        self._fills: deque[Fill] = deque(maxlen=_REMEMBERED)

    # --- the market ---------------------------------------------------------------------------------------------

    def book(self, symbol: str) -> Book | None:
        return self._books.get(symbol)

    def marks(self) -> dict[str, Decimal]:
        """Return the middle of every known book."""
        return {
            symbol: (book.bids[0].price + book.asks[0].price) / 2
            for symbol, book in self._books.items()
            if book.bids and book.asks
        }

    def on_book(self, symbol: str, book: Book) -> list[OrderReport]:
        """Take over a displayed book; it may cross resting orders."""
        self._books[symbol] = book
        reports: list[OrderReport] = []
        for paper in self._waiting(symbol):
            if paper.order.type in CONDITIONAL and not paper.triggered:
                continue
            if paper.queue is None:
                paper.queue = Queue(paper.order, book)
            reports += self._crossed(paper, book)
        return reports

    def _crossed(self, paper: PaperOrder, book: Book) -> list[OrderReport]:
        # The resting order was there first: it trades at its own price, not at the better one that came to it.
        side, limit = paper.order.side, paper.order.limit_price
        came = take(book.against(side), side, paper.left, limit)
        own = [Level(limit or level.price, level.quantity) for level in came]
        return [self._traded(paper, level, book.at_ms) for level in own]

    def on_print(self, symbol: str, print_: Level, at_ms: int) -> list[OrderReport]:
        """Let a printed trade trigger conditional orders and fill resting ones behind their queue."""
        reports: list[OrderReport] = []
        for paper in self._waiting(symbol):
            if paper.order.type in CONDITIONAL and not paper.triggered:
                if is_triggered(paper.order, print_.price):
                    reports += self._trigger(paper, self._books.get(symbol), at_ms)
                continue
            if paper.queue is None:
                continue
            quantity = paper.queue.traded(paper.order, paper.left, print_)
            if quantity > 0:
                level = Level(paper.order.limit_price or print_.price, quantity)
                reports.append(self._traded(paper, level, at_ms))
        return reports

    def on_bar(self, symbol: str, bar: PriceBar, at_ms: int) -> list[OrderReport]:
        """Let a recorded bar trigger and fill, stops before take-profits, and leave the book around its close."""
        reports: list[OrderReport] = []
        tick = self.instruments[symbol].tick
        for paper in sorted(self._waiting(symbol), key=lambda paper: paper.order.type not in STOPS):
            if paper.order.type in CONDITIONAL and not paper.triggered:
                price = trigger_in_bar(paper.order, bar)
                if price is not None:
                    reports += self._trigger(paper, book_around(price, self.costs, tick, at_ms), at_ms)
                continue
            traded = traded_in_bar(paper.order, paper.left, bar)
            if traded is not None:
                reports.append(self._traded(paper, traded, at_ms))
        self._books[symbol] = book_around(bar.close, self.costs, tick, at_ms)
        return reports

    # --- orders -------------------------------------------------------------------------------------------------

    def place(self, order: Order, at_ms: int) -> PaperOrder:
        """Take an order and trade what it crosses.

        Raises:
            PaperRefusal: it is not taken, and nothing changed.
        """
        instrument, book = self._checked(order)
        quantity = size(order, instrument, book)
        check_affordable(order, instrument, book, quantity, self.account, self.costs)
        paper = PaperOrder(order, self._id(), quantity, ACCEPTED, at_ms)
        self._remember(paper)
        if order.type in CONDITIONAL:
            self._rest(paper, None)
        else:
            self._aggress(paper, book, at_ms)
        return paper

    def cancel(self, client_order_id: str, at_ms: int) -> PaperOrder:
        """End a working order.

        Raises:
            PaperRefusal: no such order is working.
        """
        paper = self._known.get(client_order_id)
        if paper is None or paper.status.is_terminal:
            raise PaperRefusal("VENUE_UNKNOWN_ORDER", "no such order is working")
        self._end(paper, OrderStatus.CANCELED, at_ms)
        return paper

    def amend(self, order: Order, limit_price: Decimal | None, quantity: Decimal | None, at_ms: int) -> PaperOrder:
        """Change price and total quantity of a resting order in one step; it goes to the end of the queue.

        Raises:
            PaperRefusal: it is not working, or the change is not acceptable; the order stays as it was.
        """
        paper = self._known.get(order.client_order_id)
        if paper is None or paper.status.is_terminal:
            raise PaperRefusal("VENUE_UNKNOWN_ORDER", "no such order is working")
        wish = quantity if quantity is not None else paper.quantity
        if wish <= paper.executed:
            raise PaperRefusal("VENUE_BAD_REQUEST", "the new quantity is traded already")
        changed = paper.order if limit_price is None else replace(paper.order, limit_price=limit_price)
        instrument, book = self._checked(changed, known=True)
        self.account.release(paper.venue_order_id)
        try:
            check_affordable(changed, instrument, book, wish - paper.executed, self.account, self.costs)
        except PaperRefusal:
            self._lock(paper)
            raise
        paper.order, paper.quantity = changed, wish
        self._aggress(paper, book, at_ms)
        return paper

    def find(self, client_order_id: str) -> PaperOrder | None:
        return self._known.get(client_order_id)

    def working(self) -> list[PaperOrder]:
        return [paper for orders in self._resting.values() for paper in orders.values()]

    def fills(self) -> Sequence[Fill]:
        """Return the last trades, oldest first (bounded: the engine's journal is the full record)."""
        return self._fills

    def restore(self, order: Order, at_ms: int) -> None:
        """Put a working order of an earlier life back on the book."""
        if order.quantity is None:
            return
        paper = PaperOrder(
            order, order.venue_order_id or self._id(), order.quantity, order.status, at_ms, order.filled_quantity
        )
        paper.triggered = order.status is OrderStatus.TRIGGERED
        self._remember(paper)
        self._rest(paper, self._books.get(order.symbol))

    # --- details ------------------------------------------------------------------------------------------------

    def _checked(self, order: Order, *, known: bool = False) -> tuple[Instrument, Book]:
        instrument = self.instruments.get(order.symbol)
        if instrument is None:
            raise PaperRefusal("VENUE_BAD_REQUEST", "no such symbol")
        book = self._books.get(order.symbol)
        if book is None or not book.bids or not book.asks:
            raise PaperRefusal("VENUE_NO_LIQUIDITY", "no market data for this symbol yet")
        before = self._known.get(order.client_order_id)
        if not known and before is not None and not before.status.is_terminal:
            raise PaperRefusal("VENUE_DUPLICATE_ID", "the client id is in use")
        check_filters(order, instrument)
        return instrument, book

    def _aggress(self, paper: PaperOrder, book: Book, at_ms: int) -> None:
        """Trade what the order crosses, then rest or end it as its kind says."""
        order, left = paper.order, paper.left
        side, symbol = order.side, order.symbol
        limit = order.limit_price if order.type in WITH_LIMIT else None
        slices = take(book.against(side), side, left, limit)
        if limit is not None and order.time_in_force is TimeInForce.FOK and sum(s.quantity for s in slices) < left:
            self._end(paper, OrderStatus.EXPIRED, at_ms)
            return
        for level in slices:
            self._trade(paper, level, at_ms, maker=False)
        shown = self._books.get(symbol)
        if slices and shown is not None:
            self._books[symbol] = shown.after(side, slices)
        if paper.status in TERMINAL:
            return
        if limit is None or order.time_in_force is not TimeInForce.GTC:
            self._end(paper, OrderStatus.EXPIRED, at_ms)
        else:
            self._rest(paper, book)

    def _trigger(self, paper: PaperOrder, book: Book | None, at_ms: int) -> list[OrderReport]:
        if book is None:
            return []
        paper.triggered = True
        paper.status = OrderStatus.TRIGGERED
        before = len(paper.fills)
        started = paper.report()
        self._resting[paper.order.symbol].pop(paper.order.client_order_id, None)
        self._aggress(paper, book, at_ms)
        told = [paper.report(fill) for fill in paper.fills[before:]]
        return [started, *told] if told or not paper.status.is_terminal else [started, paper.report()]

    def _traded(self, paper: PaperOrder, level: Level, at_ms: int) -> OrderReport:
        """Let a resting order trade, and tell of it."""
        return paper.report(self._trade(paper, level, at_ms, maker=True))

    def _trade(self, paper: PaperOrder, level: Level, at_ms: int, *, maker: bool) -> Fill:
        order = paper.order
        side, symbol = order.side, order.symbol
        instrument = self.instruments[symbol]
        fee = self.costs.fee(level.price * level.quantity, maker=maker)
        self.account.release(paper.venue_order_id)
        self.account.trade(instrument, side, level, fee)
        fill = Fill(
            venue=self._venue,
            market=order.market,
            symbol=symbol,
            trade_id=self._id(),
            client_order_id=order.client_order_id,
            venue_order_id=paper.venue_order_id,
            side=side,
            price=level.price,
            quantity=level.quantity,
            fee=fee,
            fee_asset=instrument.quote,
            at_ms=at_ms,
            liquidity="maker" if maker else "taker",
        )
        paper.fills.append(fill)
        self._fills.append(fill)
        paper.executed += level.quantity
        paper.at_ms = at_ms
        if paper.executed >= paper.quantity:
            self._end(paper, FILLED, at_ms)
        else:
            paper.status = OrderStatus.PARTIALLY_FILLED
            if maker:
                self._lock(paper)
        return fill

    def _rest(self, paper: PaperOrder, book: Book | None) -> None:
        self._resting.setdefault(paper.order.symbol, {})[paper.order.client_order_id] = paper
        if book is not None:
            paper.queue = Queue(paper.order, book)
        self._lock(paper)

    def _lock(self, paper: PaperOrder) -> None:
        order = paper.order
        price = order.limit_price or order.stop_price
        if price is None or order.reduce_only:
            return
        asset, amount = self.account.cost(self.instruments[order.symbol], order.side, paper.left, price)
        self.account.reserve(paper.venue_order_id, asset, amount)

    def _end(self, paper: PaperOrder, status: OrderStatus, at_ms: int) -> None:
        paper.status, paper.at_ms = status, at_ms
        self.account.release(paper.venue_order_id)
        resting = self._resting.get(paper.order.symbol)
        if resting is not None:
            resting.pop(paper.order.client_order_id, None)

    def _waiting(self, symbol: str) -> list[PaperOrder]:
        resting = self._resting.get(symbol)
        return list(resting.values()) if resting else []

    def _remember(self, paper: PaperOrder) -> None:
        self._known[paper.order.client_order_id] = paper
        if len(self._known) >= self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Let go of what ended long ago, much at a time; what still works stays, however much that is."""
        older = list(self._known.items())[:-_REMEMBERED]
        for client_order_id, paper in older:
            if paper.status in TERMINAL:
                del self._known[client_order_id]
        self._sweep_at = len(self._known) + _REMEMBERED

    def _id(self) -> str:
        self._next_id += 1
        return str(self._next_id)
