"""What some venues can do beyond the port: ask with ``isinstance``, and do without where they cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.venues.reports import BookReport, FundingReport, IncomeReport, ReadFailed, SubmitOutcome


@runtime_checkable
class BookSource(Protocol):
    """A venue that can show its order book on demand; not every one can."""

    async def order_book(self, market: Market, symbol: str, levels: int) -> BookReport | ReadFailed:
        """Return up to ``levels`` displayed levels of either side, read anew."""


@runtime_checkable
class OcoVenue(Protocol):
    """A venue with one-cancels-other lists of its own; not every one has them."""

    async def submit_oco(
        self, take_profit: Order, stop_loss: Order, list_client_id: str
    ) -> tuple[SubmitOutcome, SubmitOutcome]:
        """Send both orders as one list, once; return the outcome of each, in that order."""


@runtime_checkable
class DeadManVenue(Protocol):
    """A venue that cancels open orders by itself when it hears nothing for a while; not every one does."""

    async def set_dead_man(self, symbol: str, after_ms: int) -> ReadFailed | None:
        """Let an instrument's open orders be cancelled ``after_ms`` from now, 0 never; said again it starts anew."""


@runtime_checkable
class RecallingVenue(Protocol):
    """A venue that tells one order under more than one id: after a start it has to know again which are open."""

    def recall(self, orders: Iterable[Order]) -> None:
        """Take in the orders that the journal has as open, before anything is read."""


@runtime_checkable
class FundingSource(Protocol):
    """A venue whose positions pay funding and that keeps a history of it; not every one does."""

    async def funding_since(self, since_ms: int) -> Sequence[FundingReport]:
        """Return payments since a time, as far back as the venue remembers, oldest first.

        Raises:
            VenueUnavailable: no usable answer came.
        """


@runtime_checkable
class IncomeSource(Protocol):
    """A venue that names what its wallets got without a trade; not every one does."""

    async def income_since(self, since_ms: int) -> Sequence[IncomeReport]:
        """Return what came since a time, funding left out, oldest first. The venue lists trades in between: ask late.

        Raises:
            VenueUnavailable: no usable answer came.
        """
