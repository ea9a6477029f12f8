"""The one door to a venue. Adapters translate; they never decide, retry an order, or guess an outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Protocol

from msgspec import Struct, field

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ZERO
from engine_service.domain.money_events import AdjustmentKind
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType

# --- what a request can come to: three truths, no fourth --------------------------------------------------------


class Accepted(Struct, frozen=True, kw_only=True, gc=False):
    """The venue has the order. ``status`` and ``fills`` are what it said in the same answer.

    ``quantity`` is its size where that was only known on the way: what a cancelled order had left to trade.
    """

    venue_order_id: str
    status: OrderStatus
    fills: tuple[Fill, ...] = ()
    executed_quantity: Decimal = ZERO
    quantity: Decimal | None = None


class Rejected(Struct, frozen=True, kw_only=True):
    """The venue certainly has not placed (or changed) the order.

    ``not_sent`` tells that no byte left this machine. ``stop_venue`` tells that credentials or address are refused
    and that no further traffic makes sense until a person or ``retry_after_s`` clears it. ``duplicate`` asks the
    caller to look the order up: a duplicate-id answer is evidence that it may live, never a rejection.
    """

    code: str
    reason: str
    not_sent: bool = False
    stop_venue: bool = False
    retry_after_s: float = 0.0


class OutcomeUnknown(Struct, frozen=True, kw_only=True):
    """The venue may or may not have acted. ``duplicate`` tells that the venue already knows the client id.

    ``answered`` tells that the venue is well and did answer, and that only a read can say what the answer means: it
    knows no such order to cancel, because that one filled, or ended, or never came.
    """

    reason: str
    duplicate: bool = False
    answered: bool = False


SubmitOutcome = Accepted | Rejected | OutcomeUnknown


# --- reports: the venue's words about an order, a balance, a bar -----------------------------------------------


class OrderReport(Struct, frozen=True, kw_only=True, gc=False):
    """The venue's view of one order, from the stream or from a query."""

    symbol: str
    market: Market
    client_order_id: str
    venue_order_id: str
    side: OrderSide
    type: OrderType
    status: OrderStatus
    quantity: Decimal
    executed_quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reason: str = ""
    at_ms: int = 0
    fill: Fill | None = None


class NotFoundReport(Struct, frozen=True, kw_only=True):
    """The venue answered and does not know the order. Evidence only after the fence."""

    endpoint: str


class ReadFailed(Struct, frozen=True, kw_only=True):
    """No answer or an unusable one: no evidence either way."""

    reason: str
    retry_after_s: float = 0.0


QueryOutcome = OrderReport | NotFoundReport | ReadFailed


class Balance(Struct, frozen=True, kw_only=True, gc=False):
    """One asset of the account, in units of the asset."""

    asset: str
    free: Decimal
    locked: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return self.free + self.locked


class VenuePosition(Struct, frozen=True, kw_only=True, gc=False):
    """One derivative position; ``signed_quantity`` is negative for a short."""

    symbol: str
    signed_quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealised_pnl: Decimal = ZERO


class AccountSnapshot(Struct, frozen=True, kw_only=True):
    """Balances, positions and open orders as the venue gave them at ``at_ms`` (venue time)."""

    venue: str
    market: Market
    at_ms: int
    balances: tuple[Balance, ...]
    positions: tuple[VenuePosition, ...] = ()
    open_orders: tuple[OrderReport, ...] = ()
    can_withdraw: bool | None = None


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """Best bid and ask with sizes; ``received_at_ms`` is this machine's time, for staleness."""

    symbol: str
    market: Market
    bid: Decimal
    ask: Decimal
    bid_quantity: Decimal
    ask_quantity: Decimal
    received_at_ms: int
    last: Decimal | None = None

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


PriceLevel = tuple[Decimal, Decimal]


class BookReport(Struct, frozen=True, kw_only=True, gc=False):
    """Displayed (price, quantity) levels, best first, as the venue gave them."""

    symbol: str
    market: Market
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]


class BarReport(Struct, frozen=True, kw_only=True, gc=False):
    """One bar of the market stream; half-open, usable as a fact only when ``closed``."""

    symbol: str
    market: Market
    interval: str
    open_at_ms: int
    close_at_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool = True


class BalanceReport(Struct, frozen=True, kw_only=True, gc=False):
    """A pushed change of balances: absolute totals by asset, or a ``transfer`` delta of one asset."""

    venue: str
    market: Market
    at_ms: int
    balances: tuple[Balance, ...] = ()
    transfer_asset: str = ""
    transfer_amount: Decimal = ZERO
    kind: str = "snapshot"


class FundingReport(Struct, frozen=True, kw_only=True, gc=False):
    """A funding payment on a derivative position, signed (negative is paid by us)."""

    symbol: str
    asset: str
    amount: Decimal
    at_ms: int
    income_id: str


class IncomeReport(Struct, frozen=True, kw_only=True, gc=False):
    """What a futures wallet got (negative: gave) that is neither trading nor funding, by its id at the venue."""

    asset: str
    amount: Decimal
    kind: AdjustmentKind
    at_ms: int
    income_id: str


class TradeBust(Struct, frozen=True, kw_only=True, gc=False):
    """The venue has taken a trade back; ``trade_id`` is the one it was reported under."""

    symbol: str
    market: Market
    trade_id: str
    client_order_id: str
    venue_order_id: str
    at_ms: int


class StreamStatus(Struct, frozen=True, kw_only=True):
    """The user or market stream came up or went down; after a gap everything is read again."""

    stream: str
    connected: bool
    reason: str = ""


UserEvent = OrderReport | BalanceReport | FundingReport | IncomeReport | TradeBust | StreamStatus
MarketEvent = Quote | BarReport | StreamStatus


class SendWindow(Struct, frozen=True, kw_only=True):
    """How long the venue may still act on a request after it was sent, in milliseconds (the fence)."""

    validity_ms: int
    engine_timeout_ms: int
    lag_ms: int

    @property
    def fence_ms(self) -> int:
        return self.validity_ms + self.engine_timeout_ms + self.lag_ms

    def is_too_late(self, fence_at_ms: int, venue_ms: int) -> bool:
        """Tell whether a request that leaves now could be acted on after a fence that is written down."""
        # Never where there is no margin: that is the window of a venue in this process.
        return 0 < self.lag_ms < venue_ms + self.fence_ms - fence_at_ms


class AmendRequest(Struct, frozen=True, kw_only=True):
    """A change of a working order: new limit price and / or new total quantity in base units."""

    order: Order
    limit_price: Decimal | None = None
    quantity: Decimal | None = None
    replacement_client_order_id: str = ""

    @property
    def total(self) -> Decimal | None:
        """Return what the order is to trade in all, what it has traded included."""
        return self.order.quantity if self.quantity is None else self.quantity


class VenueInfo(Struct, frozen=True, kw_only=True):
    """What a venue is and can do."""

    name: str
    markets: tuple[Market, ...]
    account: str
    window: SendWindow
    can_short: frozenset[Market] = field(default_factory=frozenset)
    reporting_asset: str = "USDT"


class Venue(Protocol):
    """A trading account on one venue. All methods are coroutine safe; none raises for a venue's answer.

    ``submit``, ``cancel`` and ``amend`` send at most once and answer one of three truths. Reads answer
    ``ReadFailed`` (or raise ``VenueUnavailable`` for bulk reads) where nothing usable came back.
    """

    @property
    def info(self) -> VenueInfo: ...

    async def open(self) -> None:
        """Connect: clock offset, credentials check, instrument rules."""

    async def close(self) -> None:
        """Close sockets and sessions; working orders stay as they are."""

    def venue_time_ms(self) -> int:
        """Return the venue's time now, from the measured offset."""

    async def instruments(self) -> Sequence[Instrument]:
        """Return the trading rules of every instrument, read anew."""

    async def submit(self, order: Order) -> SubmitOutcome: ...

    async def cancel(self, order: Order) -> SubmitOutcome: ...

    async def amend(self, request: AmendRequest) -> SubmitOutcome:
        """Change a working order.

        ``Accepted`` names the order that works now: the same ``venue_order_id`` where the venue changed it in place,
        a new one where it was replaced under ``replacement_client_order_id`` (then the old order is CANCELED).
        ``Accepted`` with the old id and status CANCELED: the old order is gone and no new one was placed.
        """

    async def query_order(self, order: Order) -> QueryOutcome:
        """Ask for an order by its client id."""

    async def query_fills(self, order: Order) -> tuple[Fill, ...] | ReadFailed:
        """Ask a second endpoint: the trades of this order (by venue id, or by time since it was sent)."""

    async def query_open_order(self, order: Order) -> QueryOutcome:
        """Ask a second endpoint: is the client id among the open orders?"""

    async def account(self, market: Market) -> AccountSnapshot:
        """Return balances, positions and open orders.

        Raises:
            VenueUnavailable: no usable answer came.
        """

    async def fills_since(
        self, market: Market, symbol: str, from_trade_id: str | None, since_ms: int
    ) -> Sequence[Fill]:
        """Return trades after a venue trade id (or a time when ``None``), paged to the end, oldest first.

        Each carries the engine's client id: adapters ask for it where the venue's trade list does not repeat it.

        Raises:
            VenueUnavailable: no usable answer came.
        """

    async def bars(self, market: Market, symbol: str, interval: str, limit: int) -> Sequence[BarReport]:
        """Return the last closed bars, oldest first.

        Raises:
            VenueUnavailable: no usable answer came.
        """

    def user_events(self) -> AsyncIterator[UserEvent]:
        """Yield private events for ever, reconnecting by itself; a gap is told by ``StreamStatus``."""

    def market_events(self, market: Market, symbols: Sequence[str], interval: str) -> AsyncIterator[MarketEvent]:
        """Yield quotes and bars for ever, reconnecting by itself."""


class VenueUnavailable(Exception):
    """A bulk read brought no usable answer; ``code`` says why, ``retry_after_s`` when to try again."""

    def __init__(self, code: str, detail: str, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.retry_after_s = code, detail, retry_after_s
