"""Binance spot behind the port: orders, queries, the account and the user stream of one account."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

import structlog
from msgspec.structs import replace

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market, local_symbol
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.venues.binance import params, parse_spot, parse_spot_stream
from engine_service.venues.binance.base import BinanceVenue, certain, only_of, unusable_credentials
from engine_service.venues.binance.history import DAY_MS, trades_since
from engine_service.venues.binance.outcomes import Failure
from engine_service.venues.binance.params import Params
from engine_service.venues.binance.parse import VENUE, ParseError, Payload, mapping, rows
from engine_service.venues.binance.session import WINDOW, BinanceSession, Call, unreadable, usable
from engine_service.venues.binance.user_stream import SpotUserStream
from engine_service.venues.port import AmendRequest
from engine_service.venues.rate_limit import Priority
from engine_service.venues.reports import (
    Accepted,
    AccountSnapshot,
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

_ORDER = "/api/v3/order"
_PLACE = Call("POST", _ORDER, 1, Priority.ORDER, orders=1, socket_method="order.place")
_PLACE_OCO = Call("POST", "/api/v3/orderList/oco", 1, Priority.ORDER, orders=2, socket_method="orderList.place.oco")
_CANCEL = Call("DELETE", _ORDER, 1, Priority.ORDER, socket_method="order.cancel")
_AMEND = Call("PUT", "/api/v3/order/amend/keepPriority", 4, Priority.ORDER)
_REPLACE = Call("POST", "/api/v3/order/cancelReplace", 1, Priority.ORDER, orders=1)
_QUERY = Call("GET", _ORDER, 4)
_OPEN = Call("GET", "/api/v3/openOrders", 6)
_ALL_OPEN = Call("GET", "/api/v3/openOrders", 80, max_bytes=16_000_000)
_HISTORY = Call("GET", "/api/v3/allOrders", 20)
_ACCOUNT = Call("GET", "/api/v3/account", 20)
_TRADES = Call("GET", "/api/v3/myTrades", 20)
_ORDER_TRADES = Call("GET", "/api/v3/myTrades", 5)
_CANCEL_REJECTED = -2011
_ARCHIVED = -2026
_REPLACE_FAILED = frozenset({-2021, -2022})
_log = structlog.get_logger(__name__)


class BinanceSpot(BinanceVenue):
    """The spot venue. See `Venue` for what each method promises."""

    def __init__(self, session: BinanceSession, *, account: str = "main", silence_s: float = 30.0) -> None:
        super().__init__(session, account=account, silence_s=silence_s)
        self._user_stream = SpotUserStream(session)

    @property
    def order_socket_ready(self) -> bool:
        """True while orders travel over the WebSocket API; until then, and without one, they go over REST."""
        return self._session.socket_ready

    # --- orders -------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> SubmitOutcome:
        outcome = await self._act(_PLACE, lambda: params.spot_order(order), lambda body: parse_spot.placed(body, order))
        return self._remembered(outcome, order.client_order_id)

    async def cancel(self, order: Order) -> SubmitOutcome:
        answer = await self._attempt(_CANCEL, lambda: params.by_client_id(order))
        if isinstance(answer, Failure) and answer.venue_code == _CANCEL_REJECTED:
            # The order may be filled, cancelled already, or never placed: only a read tells.
            return OutcomeUnknown(reason=answer.reason, answered=True)
        return self._outcome(answer, lambda body: parse_spot.canceled(body, order))

    async def submit_oco(
        self, take_profit: Order, stop_loss: Order, list_client_id: str
    ) -> tuple[SubmitOutcome, SubmitOutcome]:
        """Send both orders as one list; what the venue refuses, it refuses whole."""
        answer = await self._attempt(_PLACE_OCO, lambda: params.spot_oco(take_profit, stop_loss, list_client_id))
        profit = self._outcome(answer, lambda body: parse_spot.oco_leg(body, take_profit))
        stop = self._outcome(answer, lambda body: parse_spot.oco_leg(body, stop_loss))
        return (
            self._remembered(profit, take_profit.client_order_id),
            self._remembered(stop, stop_loss.client_order_id),
        )

    async def amend(self, request: AmendRequest) -> SubmitOutcome:
        """Change a working order.

        A smaller quantity at the same price keeps the order and its place in the queue. Anything else is a cancel
        and a new order under ``replacement_client_order_id``: the answer then names the new order by its
        ``venue_order_id``, or says CANCELED with the old id where only the cancel worked. Both are one request, but
        for an order that trades: how much of it is left is known once it is cancelled.
        """
        if _only_shrinks(request):
            return await self._act(
                _AMEND,
                lambda: params.spot_amendment(request),
                lambda body: parse_spot.amended(body, request.order),
            )
        if request.order.filled_quantity:
            return await self._cancel_then_place(request)
        answer = await self._attempt(_REPLACE, lambda: params.spot_replacement(request))
        if isinstance(answer, Failure) and parse_spot.has_traded(answer.venue_code, answer.reason):
            return parse_spot.traded_meanwhile(answer.reason)
        if isinstance(answer, Failure) and answer.venue_code not in _REPLACE_FAILED:
            return answer.as_outcome()
        outcome = _both_legs(answer, request)
        return self._remembered(outcome, request.replacement_client_order_id)

    async def _cancel_then_place(self, request: AmendRequest) -> SubmitOutcome:
        """Replace an order by what its cancel leaves of the wished total."""
        order, new_id = request.order, request.replacement_client_order_id
        outcome = await self.cancel(order)
        if isinstance(outcome, OutcomeUnknown) and outcome.answered:
            return Rejected(code=parse_spot.ORDER_GONE, reason=outcome.reason)
        if not isinstance(outcome, Accepted):
            return outcome
        if outcome.status is not OrderStatus.CANCELED:
            return OutcomeUnknown(reason="the venue did not say how the cancel ended")
        # Where the cancel took so long that a new order could arrive after the fence of this request, none is sent.
        late = order.fence_at_ms > 0 and WINDOW.is_too_late(order.fence_at_ms, self.venue_time_ms())
        if late or outcome.executed_quantity >= (request.total or ZERO):
            return outcome
        answer = await self._attempt(_PLACE, lambda: params.spot_remainder(request, outcome.executed_quantity))
        placed = self._outcome(answer, lambda body: parse_spot.placed(body, replace(order, client_order_id=new_id)))
        if isinstance(placed, Accepted) and request.total is not None:
            placed = replace(placed, quantity=request.total - outcome.executed_quantity)
        if isinstance(placed, Rejected):
            return replace(outcome, refused=placed.reason)
        return self._remembered(placed, new_id)

    # --- reads --------------------------------------------------------------------------------------------------

    async def query_order(self, order: Order) -> QueryOutcome:
        found = await self._find(_QUERY, params.by_client_id(order), parse_spot.order_report)
        if isinstance(found, ReadFailed) and f"{_ARCHIVED} " in found.reason:
            return _archived(order)
        return found

    async def query_open_order(self, order: Order) -> QueryOutcome:
        asked: Params = {"symbol": local_symbol(order.symbol)}
        return await self._find_in_list(_OPEN, asked, order.client_order_id, parse_spot.order_report)

    async def query_fills(self, order: Order) -> tuple[Fill, ...] | ReadFailed:
        venue_order_id = order.venue_order_id
        if not venue_order_id:
            found = await self._find_in_history(order)
            if not isinstance(found, OrderReport):
                return () if isinstance(found, NotFoundReport) else found
            venue_order_id = found.venue_order_id
        asked: Params = {"symbol": local_symbol(order.symbol), "orderId": int(venue_order_id)}
        answer = await self._session.signed(_ORDER_TRADES, asked)
        if isinstance(answer, Failure):
            return self._read_failed(answer)
        try:
            return only_of([parse_spot.trade(row, order.client_order_id) for row in rows(answer)], asked)
        except ParseError as error:
            return ReadFailed(reason=f"VENUE_ANSWER_UNREADABLE: {error}")

    async def account(self, market: Market) -> AccountSnapshot:
        self._own(market)
        at_ms = self.venue_time_ms()
        body = usable(await self._session.signed(_ACCOUNT, {"omitZeroBalances": "true"}))
        orders = usable(await self._session.signed(_ALL_OPEN))
        try:
            return AccountSnapshot(
                venue=VENUE,
                market=market,
                at_ms=at_ms,
                balances=parse_spot.balances(mapping(body)),
                open_orders=tuple(self._learned(parse_spot.order_report(row)) for row in rows(orders)),
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
            found = await trades_since(fetch, from_trade_id, since_ms, self.venue_time_ms(), DAY_MS, self._past(symbol))
            return [parse_spot.trade(row, await self._client_id(row, symbol)) for row in found]
        except ParseError as error:
            raise unreadable(error) from error

    # --- the user stream ----------------------------------------------------------------------------------------

    async def user_events(self) -> AsyncGenerator[UserEvent, None]:
        async with contextlib.aclosing(self._user_stream.events()) as events:
            async for raw in events:
                if isinstance(raw, StreamStatus):
                    yield raw
                    continue
                try:
                    event = parse_spot_stream.user_event(raw)
                except ParseError as error:
                    _log.warning("user_event_unreadable", kind=str(raw.get("e"))[:40], reason=str(error))
                    continue
                if isinstance(event, OrderReport):
                    self._learned(event)
                if event is not None:
                    yield event

    # --- details ------------------------------------------------------------------------------------------------

    async def _check_credentials(self) -> None:
        answer = await self._session.signed(_ACCOUNT, {"omitZeroBalances": "true"})
        if isinstance(answer, Failure):
            raise unusable_credentials(answer)

    async def _close_streams(self) -> None:
        await self._user_stream.close()

    async def _find_in_history(self, order: Order) -> QueryOutcome:
        asked: Params = {
            "symbol": local_symbol(order.symbol),
            "startTime": self._sent_ms(order) - 60_000,
            "limit": 1000,
        }
        return await self._find_in_list(_HISTORY, asked, order.client_order_id, parse_spot.order_report)

    async def _client_id(self, row: Payload, symbol: str) -> str:
        """Return the engine's id of a trade's order; the trade endpoint does not repeat it."""
        venue_order_id = str(row.get("orderId"))
        known = self._ids.find(venue_order_id)
        if known:
            return known
        asked: Params = {"symbol": local_symbol(symbol), "orderId": venue_order_id}
        return certain(await self._find(_QUERY, asked, parse_spot.order_report)).client_order_id


def _only_shrinks(request: AmendRequest) -> bool:
    order = request.order
    same_price = request.limit_price is None or request.limit_price == order.limit_price
    smaller = request.quantity is not None and order.quantity is not None and request.quantity < order.quantity
    return same_price and smaller


def _both_legs(answer: object, request: AmendRequest) -> SubmitOutcome:
    """Read the two legs of a cancel-replace separately; a leg that is missing is unknown."""
    body = answer.data if isinstance(answer, Failure) else answer
    try:
        legs = mapping(body)
    except ParseError as error:
        return OutcomeUnknown(reason=f"VENUE_ANSWER_UNREADABLE: {error}")
    known = parse_spot.replaced(legs, request.order, request.replacement_client_order_id)
    if known is not None:
        return known
    refused = parse_spot.replace_refused(legs)
    return refused or OutcomeUnknown(reason="VENUE_UNKNOWN: the legs of the replacement do not tell")


def _archived(order: Order) -> OrderReport:
    """Return what the venue's "archived" says: cancelled or expired without a fill, more than 90 days ago."""
    return OrderReport(
        symbol=order.symbol,
        market=order.market,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        side=order.side,
        type=order.type,
        status=OrderStatus.CANCELED,
        quantity=order.quantity or order.filled_quantity,
        executed_quantity=order.filled_quantity,
        reason="archived by the venue",
    )
