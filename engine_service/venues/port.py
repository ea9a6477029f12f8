"""The one door to a venue. Adapters translate; they never decide, retry an order, or guess an outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Protocol

from msgspec import Struct, field

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.order import Order
from engine_service.venues.reports import (
    AccountSnapshot,
    BarReport,
    MarketEvent,
    QueryOutcome,
    ReadFailed,
    SubmitOutcome,
    UserEvent,
)


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
