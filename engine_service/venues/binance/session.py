"""A conversation with one Binance market: budget, clock, signature, one request, one classified answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import structlog

from engine_service.domain.clock import Clock, SystemClock
from engine_service.domain.ids import Market
from engine_service.venues.binance.hosts import Hosts
from engine_service.venues.binance.outcomes import Failure, Meaning
from engine_service.venues.binance.parse import ParseError, mapping, read_answer
from engine_service.venues.binance.rest import MAX_ANSWER_BYTES, NoAnswer, NotSent, RestClient
from engine_service.venues.binance.sign import Scalar, Signer, signed_params, signed_query
from engine_service.venues.binance.venue_clock import VenueClock
from engine_service.venues.binance.ws_api import OrderSocket
from engine_service.venues.port import SendWindow, VenueUnavailable
from engine_service.venues.rate_limit import Priority, RateBudget, retry_after_s

#: The venue refuses a request older than this, and itself gives up 10 s after forwarding: together the fence.
WINDOW = SendWindow(validity_ms=3_000, engine_timeout_ms=10_000, lag_ms=5_000)
_TIME_PATH = {Market.SPOT: "/api/v3/time", Market.FUTURES: "/fapi/v1/time"}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, what it costs, and its name on the WebSocket API where it has one that we use."""

    method: str
    path: str
    weight: int
    priority: Priority = Priority.READ
    orders: int = 0
    socket_method: str = ""
    max_bytes: int = MAX_ANSWER_BYTES


class BinanceSession:
    """Signs, counts, sends and classifies. Holds no trading state.

    Args:
        signer: ``None`` for public data only.
        budget: shared with every other process that talks to this host.
    """

    def __init__(
        self,
        market: Market,
        hosts: Hosts,
        budget: RateBudget,
        *,
        signer: Signer | None = None,
        clock: Clock | None = None,
        order_socket: OrderSocket | None = None,
        timeout_s: float = 12.0,
    ) -> None:
        self.market = market
        self.hosts = hosts
        self.budget = budget
        self.signer = signer
        self.local_clock: Clock = clock or SystemClock()
        self.clock = VenueClock(self.local_clock)
        #: Set when the venue's time has to be measured anew: whoever was refused by it, by an order or a read.
        self.clock_doubted = asyncio.Event()
        self._order_socket = order_socket
        self._rest = RestClient(hosts.rest, api_key=signer.api_key if signer else "", timeout_s=timeout_s)

    async def close(self) -> None:
        if self._order_socket is not None:
            await self._order_socket.close()
        await self._rest.close()
        self.budget.close()

    @property
    def socket_ready(self) -> bool:
        """True while the order socket, where there is one, can be handed a request."""
        return self._order_socket is not None and self._order_socket.ready

    async def synchronise(self) -> None:
        """Measure the venue's time.

        Raises:
            VenueUnavailable: the venue does not answer.
        """
        await self.clock.measure(self._server_time_ms)
        if self._order_socket is not None:
            self._order_socket.start()

    async def public(self, call: Call, params: Mapping[str, Scalar] | None = None) -> Any:
        """Return the body of a public request.

        Raises:
            VenueUnavailable: no usable answer came.
        """
        return usable(await self.request(call, urlencode(params or {}, quote_via=quote)))

    async def signed(self, call: Call, params: Mapping[str, Scalar] | None = None) -> Any | Failure:
        """Return the body of a signed request, or what its failure means for what was asked."""
        if call.socket_method and self._order_socket is not None and self.socket_ready:
            return await self._over_socket(self._order_socket, call, params or {})
        return await self.request(call, self.sign(params or {}))

    def stamp(self, params: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return ``params`` with the validity window and the venue's present time."""
        return {**params, "recvWindow": WINDOW.validity_ms, "timestamp": self.clock.now_ms()}

    def sign(self, params: Mapping[str, Scalar]) -> str:
        """Return the signed query string of ``params``, stamped now."""
        return signed_query(self._keys(), self.stamp(params))

    async def request(self, call: Call, query: str) -> Any | Failure:
        """Send one request at most once and classify what came of it."""
        refused = self.refusal(call)
        if refused is not None:
            return refused
        try:
            answer = await self._rest.send(call.method, call.path, query, max_bytes=call.max_bytes)
        except NotSent as error:
            self.budget.orders_answered(call.orders, {})
            return Failure(Meaning.NOT_DONE, "VENUE_UNREACHABLE", str(error), not_sent=True)
        except NoAnswer as error:
            self.budget.orders_answered(call.orders, {})
            return Failure(Meaning.UNKNOWN, "VENUE_NO_ANSWER", str(error))
        self.budget.observe(answer.status, answer.headers)
        self.budget.orders_answered(call.orders, self.budget.orders.from_headers(answer.headers))
        waiting_s = retry_after_s(answer.headers, 60.0) if answer.status in {418, 429} else 0.0
        return self.noted(read_answer(answer.status, answer.body, self.market, waiting_s))

    async def _over_socket(self, socket: OrderSocket, call: Call, params: Mapping[str, Scalar]) -> Any | Failure:
        refused = self.refusal(call)
        if refused is not None:
            return refused
        answer, counts = await socket.request(call.socket_method, signed_params(self._keys(), self.stamp(params)))
        self.budget.orders_answered(call.orders, counts)
        if isinstance(answer, Failure) and answer.retry_after_s:
            self.budget.pause(answer.retry_after_s, banned=answer.meaning is Meaning.STOP)
        return self.noted(answer)

    def _keys(self) -> Signer:
        if self.signer is None:
            raise VenueUnavailable("VENUE_KEYS_MISSING", "this session has no keys")
        return self.signer

    def refusal(self, call: Call) -> Failure | None:
        """Return why nothing may leave now: the budget is used up, or the address is banned."""
        refused = self.budget.take(call.weight, call.priority, orders=call.orders)
        if refused is None:
            return None
        return Failure(
            Meaning.STOP if refused.banned else Meaning.NOT_DONE,
            "VENUE_BANNED" if refused.banned else "VENUE_RATE_LIMITED",
            "the request budget of this address allows nothing now",
            not_sent=True,
            retry_after_s=refused.retry_after_s,
        )

    def noted(self, answer: Any | Failure) -> Any | Failure:
        """Log what needs attention by its code and hand the answer on; refusals are the caller's to tell."""
        if isinstance(answer, Failure) and answer.code == "VENUE_TIMESTAMP":
            self.clock_doubted.set()
        if isinstance(answer, Failure) and answer.meaning is not Meaning.NOT_DONE:
            _log.warning("venue_failure", market=self.market.value, code=answer.code, venue_code=answer.venue_code)
        return answer

    async def _server_time_ms(self) -> int:
        body = await self.public(Call("GET", _TIME_PATH[self.market], 1))
        value = mapping(body).get("serverTime")
        if not isinstance(value, int):
            raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", "the venue's time is not a number")
        return value


def usable(answer: Any | Failure) -> Any:
    """Return a body, or raise for what a bulk read could not get.

    Raises:
        VenueUnavailable: the answer is a failure.
    """
    if isinstance(answer, Failure):
        raise VenueUnavailable(answer.code, answer.reason, answer.retry_after_s)
    return answer


def unreadable(error: ParseError) -> VenueUnavailable:
    """Turn a payload that cannot be read into the port's word for it."""
    return VenueUnavailable("VENUE_ANSWER_UNREADABLE", str(error))
