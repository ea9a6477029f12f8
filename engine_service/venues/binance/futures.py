"""Binance USD-M futures behind the port: orders, conditional orders, queries, the account and the user stream."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import structlog
from msgspec.structs import replace

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market, local_symbol
from engine_service.domain.order import Order
from engine_service.venues.binance import params, parse_futures, parse_income
from engine_service.venues.binance.algo_orders import AlgoOrders
from engine_service.venues.binance.base import BinanceVenue, certain, only_of, unusable_credentials
from engine_service.venues.binance.history import DAY_MS, trades_since
from engine_service.venues.binance.outcomes import Failure
from engine_service.venues.binance.params import Params
from engine_service.venues.binance.parse import VENUE, ParseError, Payload, at_ms, mapping, named, rows
from engine_service.venues.binance.session import BinanceSession, Call, unreadable, usable
from engine_service.venues.binance.user_stream import FuturesUserStream
from engine_service.venues.port import AmendRequest, VenueUnavailable
from engine_service.venues.rate_limit import Priority
from engine_service.venues.reports import (
    Accepted,
    AccountSnapshot,
    FundingReport,
    IncomeReport,
    NotFoundReport,
    OrderReport,
    OutcomeUnknown,
    QueryOutcome,
    ReadFailed,
    StreamStatus,
    SubmitOutcome,
    UserEvent,
)

_ORDER = "/fapi/v1/order"
_PLACE = Call("POST", _ORDER, 0, Priority.ORDER, orders=1)
_CANCEL = Call("DELETE", _ORDER, 1, Priority.ORDER)
_AMEND = Call("PUT", _ORDER, 1, Priority.ORDER, orders=1)
_QUERY = Call("GET", _ORDER, 1)
_OPEN = Call("GET", "/fapi/v1/openOrders", 1)
_ALL_OPEN = Call("GET", "/fapi/v1/openOrders", 40, max_bytes=16_000_000)
_HISTORY = Call("GET", "/fapi/v1/allOrders", 5)
_ACCOUNT = Call("GET", "/fapi/v3/account", 5)
_POSITIONS = Call("GET", "/fapi/v3/positionRisk", 5)
_TRADES = Call("GET", "/fapi/v1/userTrades", 5)
_INCOME = Call("GET", "/fapi/v1/income", 30)
_DEAD_MAN = Call("POST", "/fapi/v1/countdownCancelAll", 10)
_WEEK_MS = 7 * DAY_MS
#: The income history goes back three months, in pages.
_INCOME_MS = 90 * DAY_MS
_INCOME_PAGE = 1000
_MOST_INCOME_PAGES = 100
_CANCEL_REJECTED = -2011
_log = structlog.get_logger(__name__)
Row = TypeVar("Row")


class BinanceFutures(BinanceVenue):
    """The USD-M venue, one-way positions. See `Venue` for what each method promises."""

    def __init__(
        self,
        session: BinanceSession,
        *,
        account: str = "main",
        silence_s: float = 30.0,
        keep_alive_s: float = 1800.0,
    ) -> None:
        super().__init__(session, account=account, silence_s=silence_s)
        self._user_stream = FuturesUserStream(session, keep_alive_s=keep_alive_s)
        self._algo = AlgoOrders(session)

    # --- orders -------------------------------------------------------------------------------------------------

    def recall(self, orders: Iterable[Order]) -> None:
        """Take back in which open orders are conditional: the venue tells what became of them under other ids."""
        for order in orders:
            self._algo.expect(order)

    async def submit(self, order: Order) -> SubmitOutcome:
        if params.is_conditional(order):
            self._algo.expect(order)
            call, wish, read = self._algo.placement(order)
            outcome = self._algo.placed(await self._act(call, wish, read), order)
        else:
            outcome = await self._act(_PLACE, lambda: params.futures_order(order), self._settled(order))
        return self._remembered(outcome, order.client_order_id)

    async def cancel(self, order: Order) -> SubmitOutcome:
        if params.is_conditional(order) and not self._algo.was_triggered(order):
            call, asked, read = self._algo.cancellation(order)
        else:
            call, asked, read = _CANCEL, self._named(order), self._settled(order)
        answer = await self._attempt(call, lambda: asked)
        if isinstance(answer, Failure) and answer.venue_code == _CANCEL_REJECTED:
            # The order may be filled, triggered, cancelled already, or never placed: only a read tells.
            return OutcomeUnknown(reason=answer.reason, answered=True)
        return self._algo.same_id(self._outcome(answer, read), order)

    async def amend(self, request: AmendRequest) -> SubmitOutcome:
        """Change price and quantity of a resting limit order in one step; it keeps its ids."""
        return await self._act(_AMEND, lambda: params.futures_amendment(request), self._settled(request.order))

    async def set_dead_man(self, symbol: str, after_ms: int) -> ReadFailed | None:
        """Start, or with 0 stop, the venue's countdown to the cancel of a symbol's open orders."""
        asked: Params = {"symbol": local_symbol(symbol), "countdownTime": after_ms}
        answer = await self._session.signed(_DEAD_MAN, asked)
        return self._read_failed(answer) if isinstance(answer, Failure) else None

    # --- reads --------------------------------------------------------------------------------------------------

    async def query_order(self, order: Order) -> QueryOutcome:
        if not params.is_conditional(order):
            return await self._find(_QUERY, params.by_client_id(order), parse_futures.order_report)
        call, asked, read = self._algo.query(order.client_order_id)
        found = await self._find(call, asked, read)
        child = self._algo.child_of(order.client_order_id)
        if not isinstance(found, OrderReport) or not child:
            return found
        asked = {"symbol": local_symbol(order.symbol), "orderId": child}
        traded = await self._find(_QUERY, asked, parse_futures.order_report)
        if isinstance(traded, NotFoundReport):
            return found
        return self._algo.as_one(traded) if isinstance(traded, OrderReport) else traded

    async def query_open_order(self, order: Order) -> QueryOutcome:
        asked: Params = {"symbol": local_symbol(order.symbol)}
        if params.is_conditional(order):
            call, read = self._algo.open_orders(), self._algo.report
            found = await self._find_in_list(call, asked, order.client_order_id, read)
            if not isinstance(found, NotFoundReport):
                return found
        found = await self._find_in_list(_OPEN, asked, order.client_order_id, self._ordinary)
        is_unnamed = isinstance(found, OrderReport) and self._algo.is_unnamed(order.client_order_id)
        return await self.query_order(order) if is_unnamed else found

    async def query_fills(self, order: Order) -> tuple[Fill, ...] | ReadFailed:
        found = await self._trading_id(order)
        if not isinstance(found, str):
            return found
        if not found:
            return ()
        asked: Params = {"symbol": local_symbol(order.symbol), "orderId": int(found)}
        answer = await self._session.signed(_TRADES, asked)
        if isinstance(answer, Failure):
            return self._read_failed(answer)
        try:
            fills = only_of([parse_futures.trade(row, order.client_order_id) for row in rows(answer)], asked)
        except ParseError as error:
            return ReadFailed(reason=f"VENUE_ANSWER_UNREADABLE: {error}")
        return tuple(self._algo.fill(fill) for fill in fills)

    async def account(self, market: Market) -> AccountSnapshot:
        self._own(market)
        at_ms = self.venue_time_ms()
        body = usable(await self._session.signed(_ACCOUNT))
        held = usable(await self._session.signed(_POSITIONS))
        orders = usable(await self._session.signed(_ALL_OPEN))
        waiting = usable(await self._session.signed(self._algo.all_open_orders()))
        try:
            resting = [await self._as_one(parse_futures.order_report(row)) for row in rows(orders)]
            resting += [self._algo.report(row) for row in rows(waiting)]
            return AccountSnapshot(
                venue=VENUE,
                market=market,
                at_ms=at_ms,
                balances=parse_futures.balances(mapping(body)),
                positions=parse_futures.positions(held),
                open_orders=tuple(self._learned(report) for report in resting),
                can_withdraw=self.can_withdraw,
            )
        except ParseError as error:
            raise unreadable(error) from error

    async def fills_since(
        self, market: Market, symbol: str, from_trade_id: str | None, since_ms: int
    ) -> Sequence[Fill]:
        self._own(market)

        async def fetch(window: Params) -> Sequence[Payload]:
            asked = {"symbol": local_symbol(symbol), **window}
            return rows(usable(await self._session.signed(_TRADES, asked)))

        try:
            found = await trades_since(
                fetch, from_trade_id, since_ms, self.venue_time_ms(), _WEEK_MS, self._past(symbol)
            )
            return [await self._attributed(row, symbol) for row in found]
        except ParseError as error:
            raise unreadable(error) from error

    async def funding_since(self, since_ms: int) -> Sequence[FundingReport]:
        return await self._history(since_ms, {"incomeType": "FUNDING_FEE"}, parse_income.funding)

    async def income_since(self, since_ms: int) -> Sequence[IncomeReport]:
        return await self._history(since_ms, {}, parse_income.income)

    async def _history(self, since_ms: int, wanted: Params, read: Callable[[object], tuple[Row, ...]]) -> Sequence[Row]:
        start_ms = max(since_ms, self.venue_time_ms() - _INCOME_MS)
        found: list[Row] = []
        for page in range(1, _MOST_INCOME_PAGES + 1):
            asked: Params = {**wanted, "startTime": start_ms, "limit": _INCOME_PAGE, "page": page}
            answer = usable(await self._session.signed(_INCOME, asked))
            try:
                found += read(answer)
            except ParseError as error:
                raise unreadable(error) from error
            if len(rows(answer)) < _INCOME_PAGE:
                return found
        raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", "the pages of the income history do not end")

    # --- the user stream ----------------------------------------------------------------------------------------

    async def user_events(self) -> AsyncGenerator[UserEvent, None]:
        async with contextlib.aclosing(self._user_stream.events()) as events:
            async for raw in events:
                if isinstance(raw, StreamStatus):
                    yield raw
                    continue
                try:
                    found = await self._read_event(mapping(raw))
                except ParseError as error:
                    _log.warning("user_event_unreadable", reason=str(error))
                    continue
                for event in found:
                    yield event

    async def _read_event(self, raw: Payload) -> Sequence[UserEvent]:
        match raw.get("e"):
            case "ORDER_TRADE_UPDATE":
                return await self._told(parse_futures.order_event(raw))
            case "ALGO_UPDATE":
                return [self._learned(self._algo.learn(*parse_futures.algo_event(raw)))]
            case "ACCOUNT_UPDATE" if parse_income.is_funding_event(raw):
                return [*await self._with_ids(raw, self.funding_since), parse_futures.account_event(raw)]
            case "ACCOUNT_UPDATE" if parse_income.is_income_event(raw):
                return [*await self._with_ids(raw, self.income_since), parse_futures.account_event(raw)]
            case "ACCOUNT_UPDATE":
                return [parse_futures.account_event(raw)]
            case _:
                return []

    async def _told(self, report: OrderReport) -> Sequence[UserEvent]:
        try:
            return [self._learned(await self._as_one(report))]
        except VenueUnavailable as error:
            # Whoever waits for this order asks again, and so does the next comparison.
            _log.warning("algo_order_not_read", client_order_id=report.client_order_id, code=error.code)
            return []

    async def _with_ids(
        self, raw: Payload, since: Callable[[int], Awaitable[Sequence[UserEvent]]]
    ) -> Sequence[UserEvent]:
        # The stream tells that something was booked but not its id; the income history does.
        try:
            return await since(at_ms(raw, "T", "E") - 5_000)
        except VenueUnavailable as error:
            # The next comparison finds the wallet different and reads it again.
            _log.warning("income_not_read", code=error.code)
            return []

    # --- details ------------------------------------------------------------------------------------------------

    async def _check_credentials(self) -> None:
        answer = await self._session.signed(_ACCOUNT)
        if isinstance(answer, Failure):
            raise unusable_credentials(answer)

    async def _close_streams(self) -> None:
        await self._user_stream.close()

    def _named(self, order: Order) -> Params:
        child = self._algo.child_of(order.client_order_id)
        return {"symbol": local_symbol(order.symbol), "orderId": child} if child else params.by_client_id(order)

    def _settled(self, order: Order) -> Callable[[Payload], Accepted]:
        """Return the reader of an answer about an ordinary order, or about what a conditional one became."""
        child = self._algo.child_of(order.client_order_id)

        def read(body: Payload) -> Accepted:
            answer = parse_futures.settled(body if child else named(body, order.client_order_id))
            if child and answer.venue_order_id != child:
                raise ParseError("the answer is about another order")
            return answer

        return read

    def _ordinary(self, row: Payload) -> OrderReport:
        return self._algo.as_one(parse_futures.order_report(row))

    async def _as_one(self, report: OrderReport) -> OrderReport:
        """Tell a child's report as its algo order's; where that one's id is not known yet it is asked for first.

        Raises:
            VenueUnavailable: no usable answer came.
        """
        if self._algo.is_unnamed(report.client_order_id):
            certain(await self._find(*self._algo.query(report.client_order_id)))
        return self._algo.as_one(report)

    async def _trading_id(self, order: Order) -> str | tuple[Fill, ...] | ReadFailed:
        """Return the id of the ordinary order that trades for ``order``; nothing where the venue has none."""
        if params.is_conditional(order):
            call, asked, read = self._algo.query(order.client_order_id)
            found = await self._find(call, asked, read)
            return self._algo.child_of(order.client_order_id) if not isinstance(found, ReadFailed) else found
        if order.venue_order_id:
            return order.venue_order_id
        asked = {"symbol": local_symbol(order.symbol), "startTime": self._sent_ms(order) - 60_000, "limit": 1000}
        found = await self._find_in_list(_HISTORY, asked, order.client_order_id, self._ordinary)
        if isinstance(found, OrderReport):
            return found.venue_order_id
        return "" if isinstance(found, NotFoundReport) else found

    async def _attributed(self, row: Payload, symbol: str) -> Fill:
        """Give a trade the engine's id of its order; the trade endpoint does not repeat it."""
        fill = self._algo.fill(parse_futures.trade(row, ""))
        known = fill.client_order_id or self._ids.find(fill.venue_order_id)
        if not known:
            asked: Params = {"symbol": local_symbol(symbol), "orderId": fill.venue_order_id}
            found = certain(await self._find(_QUERY, asked, parse_futures.order_report))
            known = self._learned(await self._as_one(found)).client_order_id
        return replace(self._algo.fill(fill), client_order_id=known)
