"""The judge: every fact the engine writes is held against what truly happened, and at the end everything against all.

Nothing the engine believes is taken on trust; the model venue's own records are the truth.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from engine_service.domain import events as e
from engine_service.domain.money import ZERO, exactly
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.storage.port import Entry, Journal
from engine_service.storage.restore import restore
from tests.simulation.exchange import VENUE, Exchange, VenueOrder
from tests.simulation.weather import STALEST_S

_NEVER_THERE = frozenset({OrderStatus.REJECTED, OrderStatus.NOT_PLACED, OrderStatus.DENIED})
#: From the moment that a read tells of until what it proved is durable: it may be old, and then it has to arrive.
LONGEST_READ_S = STALEST_S + 2.0


class Witness:
    """Collects violations. ``lawful`` says that the venue keeps its word and nobody else uses the account."""

    def __init__(self, exchange: Exchange, *, lawful: bool) -> None:
        self._exchange = exchange
        self._lawful = lawful
        self.violations: list[str] = []
        self.told: dict[str, str] = {}

    def accuse(self, what: str) -> None:
        """Note a violation."""
        self.violations.append(f"{self._exchange.world.now_s:.3f}s {what}")

    # --- while it runs --------------------------------------------------------------------------------------

    def on_append(self, entry: Entry) -> None:
        """Hold one fact against the truth of this moment."""
        event = entry.recorded.event
        match event:
            case e.OrderNotPlaced() | e.OrderRejected() | e.OrderDenied():
                self._must_be_absent(event)
            case e.OrderCanceled() | e.OrderExpired():
                self._must_have_ended(event)
            case e.OrderFilled() if not event.fill.provisional:
                if event.fill not in self._exchange.trades:
                    self.accuse(f"booked a trade that never was: {event.fill.trade_id}")
            case e.Anomaly(kind="illegal_transition" | "contradiction"):
                self._unlawful_only(f"{event.kind}: {event.subject} {event.detail}")
            case e.TradingHalted() | e.OrderQuarantined():
                self._unlawful_only(f"{type(event).__name__}: {event.reason}")
            case _:
                pass

    def on_answer(self, key: str, client_order_id: str) -> None:
        """A caller was told about its order: from now on it must exist, under this id for ever."""
        known = self.told.setdefault(key, client_order_id)
        if known != client_order_id:
            self.accuse(f"{key} was answered with two orders, {known} and {client_order_id}")

    def _unlawful_only(self, what: str) -> None:
        if self._lawful:
            self.accuse(what)

    def _must_be_absent(self, event: e.OrderEvent) -> None:
        record = self._exchange.newest(event.client_order_id)
        if record is None:
            return
        # Where the venue breaks its word an order may come after the read that proved it absent had passed it.
        unseen = not self._lawful and self._exchange.world.now_s - record.seen[0][0] < LONGEST_READ_S
        if not unseen:
            self.accuse(f"{type(event).__name__} for {event.client_order_id}, which the venue has")

    def _must_have_ended(self, event: e.OrderEvent) -> None:
        record = self._exchange.newest(event.client_order_id)
        if record is None or record.is_open:
            self.accuse(f"{type(event).__name__} for {event.client_order_id}, which the venue still trades")

    # --- at the end -----------------------------------------------------------------------------------------

    def conclude(self, core: EngineCore, journal: Journal) -> None:
        """Compare everything once the schedule has calmed down."""
        self._nothing_lost(core, journal)
        self._each_trade_once(journal)
        self._orders(core, journal)
        self._money(core)
        self._books(core, journal)

    def _nothing_lost(self, core: EngineCore, journal: Journal) -> None:
        for cid in core.state.in_doubt:
            self.accuse(f"{cid} is still in doubt")
        for key, cid in self.told.items():
            if journal.order(cid) is None:
                self.accuse(f"{key} was acknowledged and is lost")

    def _each_trade_once(self, journal: Journal) -> None:
        """The tables of the journal take no trade twice, not even a stand-in: a second one would end the engine."""
        facts = [recorded.event for recorded in journal.events_after(0, journal.last_seq)]
        booked = Counter(fact.fill.key for fact in facts if isinstance(fact, e.OrderFilled))
        for key, times in booked.items():
            if times > 1:
                self.accuse(f"{key} is booked {times} times")

    def _orders(self, core: EngineCore, journal: Journal) -> None:
        for cid, records in self._exchange.by_client_id.items():
            if len(records) > 1:
                self.accuse(f"{cid} has {len(records)} venue orders")
            order = journal.order(cid)
            if order is None:
                self._unlawful_only(f"{cid} is at the venue and not in the journal")
            else:
                self._same(order, records[-1])
        for order in core.state.image.orders.values():
            if order.client_order_id not in self._exchange.by_client_id and order.status not in _NEVER_THERE:
                self.accuse(f"{order.client_order_id} is {order.status} and the venue never had it")

    def _same(self, order: Order, record: VenueOrder) -> None:
        if order.filled_quantity != record.executed:
            self.accuse(f"{order.client_order_id} filled {order.filled_quantity}, truly {record.executed}")
        if order.quantity is not None and order.filled_quantity > order.quantity and not order.overfill:
            self.accuse(f"{order.client_order_id} is overfilled without a flag")
        known = OrderStatus.ACCEPTED if order.status is OrderStatus.PARTIALLY_FILLED else order.status
        truth = OrderStatus.ACCEPTED if record.status is OrderStatus.PARTIALLY_FILLED else record.status
        if known is not truth:
            self.accuse(f"{order.client_order_id} is {order.status}, truly {record.status}")
        if order.is_open and order.cancel_requested:
            self.accuse(f"{order.client_order_id} works on although a cancel was asked for")
        if order.is_open and (order.quantity, order.limit_price) != (record.quantity, record.limit_price):
            self.accuse(
                f"{order.client_order_id} is {order.quantity} at {order.limit_price}, "
                f"truly {record.quantity} at {record.limit_price}"
            )

    def _money(self, core: EngineCore) -> None:
        books, exchange = core.state.portfolio, self._exchange
        for (market, asset), truth in exchange.balances.items():
            if books.holding(VENUE, market, asset) != truth:
                self.accuse(f"{market} {asset}: {books.holding(VENUE, market, asset)}, truly {truth}")
        for symbol, held in exchange.positions.items():
            if books.position(symbol) != held.quantity:
                self.accuse(f"{symbol}: {books.position(symbol)}, truly {held.quantity}")
            cost = books.derivatives[symbol].book.cost if symbol in books.derivatives else ZERO
            if cost != held.cost:
                self.accuse(f"{symbol} cost {cost}, truly {held.cost}")
        if books.identity_error != 0 or books.summed_book_value() != books.book_value:
            self.accuse(f"the books are off by {books.identity_error}")
        if self._lawful and self._came_and_went(core) != exchange.deposited + exchange.funded:
            self.accuse(f"{self._came_and_went(core)} came and went, truly {exchange.deposited} and {exchange.funded}")
        if self._lawful and (funded := self._funded(core)) != -books.funding:
            self.accuse(f"funding is {-books.funding}, truly {funded}")

    @exactly
    def _came_and_went(self, core: EngineCore) -> Decimal:
        """Return what the books say came and went beside trading."""
        books = core.state.portfolio
        return books.starting_equity + books.transfers - books.funding - self._exchange.opening_value

    def _funded(self, core: EngineCore) -> Decimal:
        """Return what funding was paid since the account is known; what was paid before is in what it began with."""
        opened_ms = core.state.image.opened_accounts.get(VENUE, 0)
        return sum((paid.amount for paid in self._exchange.payments if paid.at_ms >= opened_ms), ZERO)

    def _books(self, core: EngineCore, journal: Journal) -> None:
        """Counters, replay and what is derived from the books."""
        written = Counter(recorded.kind for recorded in journal.events_after(0, journal.last_seq))
        if dict(written) != core.state.image.counts:
            self.accuse("the counters are not what the journal holds")
        again = restore(journal, newest_seq=journal.last_seq, snapshots=None).state
        if again.image != core.state.image:
            self.accuse("a replay of the journal gives another state")
        held = {key: value for key, value in core.state.exposure.reserved.items() if value}
        wanted = {key: value for key, value in again.exposure.reserved.items() if value}
        if held != wanted or min(held.values(), default=ZERO) < 0:
            self.accuse(f"reserved funds are {held}, the open orders make {wanted}")
