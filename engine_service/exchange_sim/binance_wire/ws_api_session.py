"""One connection of a WebSocket API: requests in, answers and spot user streams out.

A request takes the walk of a REST request: fault plan, weight, signature, order count, handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from engine_service.exchange_sim.binance_wire import errors, ws_payloads_market
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Wire
from engine_service.exchange_sim.binance_wire.app_gateway import Answer
from engine_service.exchange_sim.binance_wire.auth import Signer
from engine_service.exchange_sim.binance_wire.params import Params
from engine_service.exchange_sim.binance_wire.ws_api_envelope import (
    BadRequest,
    Reply,
    Request,
    error_reply,
    fault_reply,
    parse_request,
    result_reply,
)
from engine_service.exchange_sim.binance_wire.ws_api_identity import Identity
from engine_service.exchange_sim.binance_wire.ws_api_methods import without_version
from engine_service.exchange_sim.binance_wire.ws_api_subscriptions import Subscriptions
from engine_service.exchange_sim.binance_wire.ws_connection import GOING_AWAY, POLICY_VIOLATION, StreamConnection
from engine_service.exchange_sim.binance_wire.ws_sessions import Stream
from engine_service.exchange_sim.binance_wire.ws_text import TimeUnit
from engine_service.exchange_sim.binance_wire.ws_topics import encode
from engine_service.exchange_sim.binance_wire.ws_user_hub import UserHub
from engine_service.exchange_sim.enums import Market, Permission
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.faults import RequestPlan

_log = structlog.get_logger(__name__)
_SESSION_WEIGHT = 2
_BANNED = 418

SessionMethod = Callable[[Mapping[str, str]], Reply]


class ApiSession:
    """A client of `/ws-api/v3` (spot) or `/ws-fapi/v1` (USD-M).

    Args:
        methods: method name to the route that serves it.
        hub: the market's user streams; subscribed to on spot only.
        address: the client's, for the weight limit.
        unit: of the time stamps, in answers and events.
        shows_limits: whether answers carry `rateLimits` unless the request says otherwise.
    """

    stream = Stream.USER

    def __init__(
        self,
        wire: Wire,
        market: Market,
        methods: Mapping[str, Route],
        hub: UserHub,
        connection: StreamConnection,
        address: str,
        unit: TimeUnit,
        shows_limits: bool,
    ) -> None:
        self.market = market
        self.connection = connection
        self._wire = wire
        self._methods = methods
        self._address = address
        self._unit = unit
        self._shows_limits = shows_limits
        self._connected_ms = self._now_ms()
        self._identity = Identity(wire.auth, market)
        self._subscriptions = Subscriptions(hub, unit, self._push)
        self._slow: set[asyncio.Task[None]] = set()
        self._session_methods = self._own_methods()

    def _own_methods(self) -> dict[str, SessionMethod]:
        methods: dict[str, SessionMethod] = {
            "session.logon": self._log_on,
            "session.status": lambda _: self._status(),
            "session.logout": lambda _: self._log_out(),
        }
        if self.market is Market.SPOT:
            methods |= {
                "session.subscriptions": lambda _: self._result(self._subscriptions.listed()),
                "userDataStream.subscribe": lambda _: self._subscribe_session(),
                "userDataStream.subscribe.signature": self._subscribe_signed,
                "userDataStream.unsubscribe": self._unsubscribe,
            }
        return methods

    async def on_text(self, text: str) -> None:
        """Answer one frame. A delayed request does not hold up the ones after it."""
        try:
            request = parse_request(text)
        except BadRequest as bad:
            refusal = error_reply(bad.refusal, self._now_ms())
            self._push({"id": bad.request_id, "status": refusal.status, **refusal.content})
            return
        faults = self._wire.exchange.faults
        account = self._account_of(request.params)
        plan = faults.before_request(request.method, "WS", request.params, self.market, account)
        if plan.delay_ms or plan.delay_answer_ms:
            task = asyncio.create_task(self._walk(request, plan))
            self._slow.add(task)
            task.add_done_callback(self._slow.discard)
        else:
            await self._walk(request, plan)

    def end(self) -> None:
        """The client is gone."""
        self._subscriptions.close()
        for task in list(self._slow):
            task.cancel()

    def announce_shutdown(self) -> None:
        """Spot says so before it closes; USD-M does not."""
        if self.market is Market.SPOT:
            self._push({"event": ws_payloads_market.server_shutdown(self._now_ms(), self._unit)})

    async def _walk(self, request: Request, plan: RequestPlan) -> None:
        """Carry out a request with whatever the faults have planned for it."""
        if plan.delay_ms:
            await asyncio.sleep(plan.delay_ms / 1000)
        if plan.drop_before:
            self.connection.drop(GOING_AWAY, "")
            return
        if plan.answer_before is not None:
            self._send(request, fault_reply(plan.answer_before, self._now_ms()), None)
            return
        reply, signer = self._handle(request)
        if plan.delay_answer_ms:
            await asyncio.sleep(plan.delay_answer_ms / 1000)
        if plan.drop_after:
            self.connection.drop(GOING_AWAY, "")
            return
        if plan.answer_after is not None:
            reply = fault_reply(plan.answer_after, self._now_ms())
        self._send(request, reply, signer)

    def _handle(self, request: Request) -> tuple[Reply, Signer | None]:
        """The answer, and whose order counts belong to it."""
        try:
            own = self._session_methods.get(request.method)
            if own is None:
                return self._route_reply(self._route(request.method), request)
            self._use_weight(_SESSION_WEIGHT)
            return own(request.params), None
        except ExchangeError as error:
            return error_reply(error, self._now_ms()), None
        except Exception as error:  # noqa: BLE001 - a defect here must look like the venue's -1000, and be logged
            _log.exception("websocket request failed", method=request.method, error=repr(error))
            return error_reply(errors.unknown_error(), self._now_ms()), None

    def _route(self, method: str) -> Route:
        route = self._methods.get(method) or self._methods.get(without_version(self.market, method))
        if route is not None:
            return route
        if self.market is Market.SPOT:
            raise ExchangeError(-1020, "This operation is not supported.")
        raise ExchangeError(-5000, f"Method {method} is invalid")

    def _route_reply(self, route: Route, request: Request) -> tuple[Reply, Signer | None]:
        params = Params(request.handler_params)
        self._use_weight(route.weigh(params))
        signer = self._identity.signer(route, request.params)
        counted = signer if route.orders else None
        if counted is not None:
            self._wire.limits[self.market].count_order(counted.account_id, route.orders)
        result = route.handler(Call(self._wire, self.market, params, signer))
        if not isinstance(result, Answer):
            return result_reply(result, self._unit), counted
        if result.status >= 400:
            return Reply(result.status, {"error": result.body}), counted
        return result_reply(result.body, self._unit), counted

    def _use_weight(self, weight: int) -> None:
        self._wire.limits[self.market].use(self._address, weight)

    def _account_of(self, params: Mapping[str, str]) -> str:
        """The account a request speaks for, as far as faults are concerned."""
        found = self._wire.exchange.accounts.by_key(params.get("apiKey", ""))
        if found is not None:
            return found[0].account_id
        return self._identity.logon.account_id if self._identity.logon else ""

    def _send(self, request: Request, reply: Reply, signer: Signer | None) -> None:
        envelope: dict[str, object] = {"id": request.request_id, "status": reply.status, **reply.content}
        if self._shows_limits if request.wants_limits is None else request.wants_limits:
            envelope["rateLimits"] = self._limit_rows(signer)
        self._push(envelope)
        for message in reply.followed_by:
            self._push(message)
        if reply.status == _BANNED:
            self.connection.finish(POLICY_VIOLATION, "banned")

    def _push(self, message: object) -> None:
        self.connection.push(encode(message))

    def _limit_rows(self, signer: Signer | None) -> list[dict[str, object]]:
        limits = self._wire.limits[self.market]
        weight = limits.limits.weight_row(limits.used(self._address))
        return [*(limits.order_rows(signer.account_id) if signer else []), weight]

    def _log_on(self, params: Mapping[str, str]) -> Reply:
        self._identity.log_on(params, self._now_ms())
        return self._status()

    def _log_out(self) -> Reply:
        self._identity.log_out()
        ended = self._subscriptions.remove_session(self._now_ms())
        return Reply(200, self._status().content, ended)

    def _status(self) -> Reply:
        identity = self._identity
        since = identity.authorized_ms
        result: dict[str, object] = {
            "apiKey": identity.logon.key.key if identity.logon else None,
            "authorizedSince": None if since is None else since * self._unit,
            "connectedSince": self._connected_ms * self._unit,
            "returnRateLimits": self._shows_limits,
            "serverTime": self._now_ms() * self._unit,
        }
        if self.market is Market.SPOT:
            result["userDataStream"] = self._subscriptions.has_session
        return self._result(result)

    def _subscribe_session(self) -> Reply:
        logon = self._identity.logon
        if logon is None:
            raise ExchangeError(-1002, "You are not authorized to execute this request.", 401)
        return self._subscribed(logon.account_id, of_session=True)

    def _subscribe_signed(self, params: Mapping[str, str]) -> Reply:
        signer = self._identity.signed(params, Permission.READ)
        return self._subscribed(signer.account_id, of_session=False)

    def _subscribed(self, account_id: str, of_session: bool) -> Reply:
        return self._result({"subscriptionId": self._subscriptions.add(account_id, of_session)})

    def _unsubscribe(self, params: Mapping[str, str]) -> Reply:
        number = Params(dict(params)).integer("subscriptionId")
        return Reply(200, {"result": {}}, self._subscriptions.remove(number, self._now_ms()))

    def _result(self, result: object) -> Reply:
        return Reply(200, {"result": result})

    def _now_ms(self) -> int:
        return self._wire.exchange.server_time_ms()
