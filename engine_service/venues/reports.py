"""What a venue says, in our words: the outcome of a request, and its reports about orders, accounts and markets."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO
from engine_service.domain.money_events import AdjustmentKind
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType

# --- what a request can come to: three truths, no fourth --------------------------------------------------------


class Accepted(Struct, frozen=True, kw_only=True, gc=False):
    """The venue has the order. ``status`` and ``fills`` are what it said in the same answer.

    ``quantity`` is its size where that was only known on the way: what a cancelled order had left to trade.
    ``refused`` is why the venue cancelled an order and took none in its place.
    """

    venue_order_id: str
    status: OrderStatus
    fills: tuple[Fill, ...] = ()
    executed_quantity: Decimal = ZERO
    quantity: Decimal | None = None
    refused: str = ""


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
    """Best bid and ask with sizes; ``received_at_s`` is this machine's monotonic time, for staleness."""

    symbol: str
    market: Market
    bid: Decimal
    ask: Decimal
    bid_quantity: Decimal
    ask_quantity: Decimal
    received_at_s: float
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
