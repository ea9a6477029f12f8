"""What both Binance markets share: opening, the clock kept measured, and the three ways of asking."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

import structlog

from engine_service.domain.errors import ConfigurationError
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.order import Order
from engine_service.venues.binance.history import QuietPast
from engine_service.venues.binance.outcomes import Failure, Meaning
from engine_service.venues.binance.params import Params, Untranslatable
from engine_service.venues.binance.parse import VENUE, ParseError, Payload, mapping, rows
from engine_service.venues.binance.permissions import key_can_withdraw
from engine_service.venues.binance.public import BinancePublic
from engine_service.venues.binance.session import WINDOW, BinanceSession, Call
from engine_service.venues.port import VenueInfo, VenueUnavailable
from engine_service.venues.reports import (
    Accepted,
    BarReport,
    BookReport,
    MarketEvent,
    NotFoundReport,
    OrderReport,
    OutcomeUnknown,
    QueryOutcome,
    ReadFailed,
    SubmitOutcome,
)

CLOCK_EVERY_S = 60.0
_REMEMBERED_ORDERS = 50_000
_NO_SUCH_ORDER = -2013
_log = structlog.get_logger(__name__)


class ClientIds:
    """Which of the engine's ids a venue order id belongs to; the trade endpoints do not repeat it. Bounded."""

    def __init__(self, size: int = _REMEMBERED_ORDERS) -> None:
        self._size = size
        self._known: OrderedDict[str, str] = OrderedDict()

    def remember(self, venue_order_id: str, client_order_id: str) -> None:
        if venue_order_id and client_order_id:
            self._known[venue_order_id] = client_order_id
            self._known.move_to_end(venue_order_id)
            if len(self._known) > self._size:
                self._known.popitem(last=False)

    def find(self, venue_order_id: str) -> str:
        return self._known.get(venue_order_id, "")


class BinanceVenue(ABC):
    """One account on one Binance market.

    Args:
        account: a name for the account that stays the same when keys are rotated; client order ids depend on it.
    """

    def __init__(self, session: BinanceSession, *, account: str = "main", silence_s: float = 30.0) -> None:
        self._session = session
        self._public = BinancePublic(session, silence_s=silence_s)
        self._ids = ClientIds()
        self._pasts: dict[str, QuietPast] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        market = session.market
        self._info = VenueInfo(
            name=VENUE,
            markets=(market,),
            account=account,
            window=WINDOW,
            can_short=frozenset({market} if market is Market.FUTURES else ()),
        )
        self.can_withdraw: bool | None = None

    @property
    def info(self) -> VenueInfo:
        return self._info

    def venue_time_ms(self) -> int:
        return self._session.clock.now_ms()

    def _sent_ms(self, order: Order) -> int:
        """Return when an order was sent by the venue's clock, in which its history is told.

        The fence is of that clock; the order's own times are of a wall clock that may have been anywhere.
        """
        if order.fence_at_ms:
            return order.fence_at_ms - WINDOW.fence_ms
        return order.sent_at_ms or order.created_at_ms or self.venue_time_ms()

    async def open(self) -> None:
        """Measure the clock, refuse a key that can withdraw, check that the key is good, read the rules.

        Raises:
            VenueUnavailable: the venue gives no usable answer.
            ConfigurationError: the key may withdraw, or the venue refuses it.
        """
        await self._session.synchronise()
        self.can_withdraw = await key_can_withdraw(self._session)
        if self.can_withdraw:
            raise ConfigurationError("VENUE_KEY_CAN_WITHDRAW", "make a key that can trade and not withdraw")
        await self._public.instruments()
        await self._check_credentials()
        self._start(self._keep_time())

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._public.close()
        await self._close_streams()
        await self._session.close()

    async def instruments(self) -> Sequence[Instrument]:
        return await self._public.instruments()

    async def bars(self, market: Market, symbol: str, interval: str, limit: int) -> Sequence[BarReport]:
        self._own(market)
        return await self._public.bars(symbol, interval, limit)

    async def order_book(self, market: Market, symbol: str, levels: int) -> BookReport | ReadFailed:
        if market is not self._session.market:
            return ReadFailed(reason=f"this account trades {self._session.market.value}")
        return await self._public.order_book(symbol, levels)

    async def market_events(
        self, market: Market, symbols: Sequence[str], interval: str
    ) -> AsyncGenerator[MarketEvent, None]:
        self._own(market)
        async for event in self._public.market_events(symbols, interval):
            yield event

    # --- for the markets ----------------------------------------------------------------------------------------

    @abstractmethod
    async def _check_credentials(self) -> None:
        """Make one signed read, so that a wrong key is told at the start."""

    @abstractmethod
    async def _close_streams(self) -> None:
        """Close the private sockets."""

    async def _act(
        self, call: Call, params: Callable[[], Params], read: Callable[[Payload], Accepted]
    ) -> SubmitOutcome:
        """Send a request that changes something, once, and say which of the three truths came back."""
        return self._outcome(await self._attempt(call, params), read)

    async def _attempt(self, call: Call, params: Callable[[], Params]) -> Any | Failure:
        """Send a request that changes something, once, unless it cannot be said or timed."""
        try:
            asked = params()
        except Untranslatable as error:
            return Failure(Meaning.NOT_DONE, "VENUE_BAD_REQUEST", str(error), not_sent=True)
        if not self._session.clock.trustworthy:
            self._session.clock_doubted.set()
            reason = "the venue's time is not known well enough"
            return Failure(Meaning.NOT_DONE, "VENUE_CLOCK_UNCERTAIN", reason, not_sent=True)
        return await self._session.signed(call, asked)

    def _outcome(self, answer: Any | Failure, read: Callable[[Payload], Accepted]) -> SubmitOutcome:
        if isinstance(answer, Failure):
            return answer.as_outcome()
        try:
            return read(mapping(answer))
        except ParseError as error:
            return OutcomeUnknown(reason=f"VENUE_ANSWER_UNREADABLE: {error}")

    async def _find(
        self, call: Call, params: Params, read: Callable[[Payload], OrderReport], *, absent: int = _NO_SUCH_ORDER
    ) -> QueryOutcome:
        """Ask for one order: found, certainly not known at this endpoint, or no evidence."""
        answer = await self._session.signed(call, params)
        if isinstance(answer, Failure):
            if answer.venue_code == absent:
                return NotFoundReport(endpoint=call.path)
            return self._read_failed(answer)
        try:
            report = read(mapping(answer))
        except ParseError as error:
            return ReadFailed(reason=f"VENUE_ANSWER_UNREADABLE: {error}")
        if not _is_about(report, params):
            # Asked for one order, told of another: no evidence about either.
            return ReadFailed(reason="VENUE_ANSWER_UNREADABLE: the answer is about another order")
        return self._learned(report)

    async def _find_in_list(
        self, call: Call, params: Params, client_order_id: str, read: Callable[[Payload], OrderReport]
    ) -> QueryOutcome:
        """Look for one client id in a list of orders."""
        answer = await self._session.signed(call, params)
        if isinstance(answer, Failure):
            return self._read_failed(answer)
        try:
            reports = [self._learned(read(row)) for row in rows(answer)]
        except ParseError as error:
            return ReadFailed(reason=f"VENUE_ANSWER_UNREADABLE: {error}")
        mine = [report for report in reports if report.client_order_id == client_order_id]
        return mine[-1] if mine else NotFoundReport(endpoint=call.path)

    def _learned(self, report: OrderReport) -> OrderReport:
        self._ids.remember(report.venue_order_id, report.client_order_id)
        return report

    def _remembered(self, outcome: SubmitOutcome, client_order_id: str) -> SubmitOutcome:
        if isinstance(outcome, Accepted):
            self._ids.remember(outcome.venue_order_id, client_order_id)
        return outcome

    def _read_failed(self, failure: Failure) -> ReadFailed:
        return ReadFailed(reason=f"{failure.code}: {failure.reason}", retry_after_s=failure.retry_after_s)

    def _past(self, symbol: str) -> QuietPast:
        return self._pasts.setdefault(symbol, QuietPast())

    def _own(self, market: Market) -> None:
        if market is not self._session.market:
            raise VenueUnavailable("MARKET_NOT_TRADED", f"this account trades {self._session.market.value}")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_time(self) -> None:
        """Measure the venue's time every minute, and at once when the venue refused a timestamp."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOCK_EVERY_S):
                    await self._session.clock_doubted.wait()
            self._session.clock_doubted.clear()
            try:
                await self._session.synchronise()
            except VenueUnavailable as error:
                _log.warning("venue_clock_not_measured", code=error.code)
                await asyncio.sleep(1)


def _is_about(report: OrderReport, asked: Params) -> bool:
    """Tell whether a report is of the order that was asked for, by whichever id it was."""
    client_order_id = asked.get("origClientOrderId", asked.get("clientAlgoId", report.client_order_id))
    return client_order_id == report.client_order_id and _has_id(report.venue_order_id, asked)


def _has_id(venue_order_id: str, asked: Params) -> bool:
    return str(asked.get("orderId", venue_order_id)) == venue_order_id


def certain(found: QueryOutcome) -> OrderReport:
    """Return the order of a trade, which the venue must know.

    Raises:
        VenueUnavailable: it could not be read.
    """
    if isinstance(found, OrderReport):
        return found
    if isinstance(found, ReadFailed):
        raise VenueUnavailable(found.reason.partition(":")[0], found.reason, found.retry_after_s)
    raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", "the venue does not know the order of a trade")


def only_of(fills: Sequence[Fill], asked: Params) -> tuple[Fill, ...]:
    """Return trades that were asked for by their order.

    Raises:
        ParseError: one is another order's.
    """
    if not all(_has_id(fill.venue_order_id, asked) for fill in fills):
        raise ParseError("a trade of another order")
    return tuple(fills)


def unusable_credentials(failure: Failure) -> Exception:
    """Return what a refused first signed read means to the operator. A ban that passes says nothing of the key."""
    if failure.meaning is Meaning.STOP and failure.venue_code and failure.code != "VENUE_BANNED":
        return ConfigurationError(failure.code, f"the venue refuses this key: {failure.reason}")
    return VenueUnavailable(failure.code, failure.reason, failure.retry_after_s)
