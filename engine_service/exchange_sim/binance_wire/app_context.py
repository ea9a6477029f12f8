"""What the wire layers share, and what one REST call and one route look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import msgspec

from engine_service.exchange_sim.binance_wire.auth import Authenticator, Signer
from engine_service.exchange_sim.binance_wire.futures_countdown import Countdowns
from engine_service.exchange_sim.binance_wire.params import Params
from engine_service.exchange_sim.binance_wire.weights import Limits, RateLimits, default_limits
from engine_service.exchange_sim.binance_wire.ws_listen_keys import ListenKeys
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.events import AccountEvent, MarketEvent, OrderEvent
from engine_service.exchange_sim.exchange import Exchange


class Wire:
    """One exchange with its doorkeepers, shared by REST, WebSocket API and streams.

    `last_execution_id` is the id of the newest order report: right after a call it is that call's own.
    """

    def __init__(self, exchange: Exchange, limits: Mapping[Market, Limits] | None = None) -> None:
        chosen = {**default_limits(), **(limits or {})}
        self.exchange = exchange
        self.auth = Authenticator(exchange)
        self.listen_keys = ListenKeys(exchange.server_time_ms)
        self.limits = {market: RateLimits(market, chosen[market], exchange.server_time_ms) for market in Market}
        self.countdowns = Countdowns(exchange)
        self.last_execution_id = 0
        for counters in self.limits.values():
            exchange.subscribe(counters.on_event, OrderEvent)
        exchange.subscribe(self._remember, OrderEvent)

    def _remember(self, event: MarketEvent | AccountEvent) -> None:
        if isinstance(event, OrderEvent):
            self.last_execution_id = event.execution_id


class Security(Enum):
    """What a route asks of its sender."""

    NONE = "none"
    KEY = "key"  # an API key, no signature (listen keys)
    DATA = "data"  # signed, READ permission
    TRADE = "trade"  # signed, the market's trading permission


class Call(msgspec.Struct):
    """One REST request on its way through a handler."""

    wire: Wire
    market: Market
    params: Params
    signer: Signer | None = None

    @property
    def exchange(self) -> Exchange:
        return self.wire.exchange

    @property
    def account_id(self) -> str:
        """The sender's account; only for routes that are not public."""
        if self.signer is None:
            raise LookupError("a public route has no account")
        return self.signer.account.account_id


Handler = Callable[[Call], object]
Weight = int | Callable[[Params], int]


@dataclass(frozen=True, slots=True)
class Route:
    """A documented endpoint.

    Args:
        weight: request weight, or a function of the parameters.
        orders: how many new orders it counts.
        shows_orders: answers with the order counts though its handler does the counting.
    """

    method: str
    path: str
    handler: Handler
    weight: Weight = 1
    security: Security = Security.NONE
    orders: int = 0
    shows_orders: bool = False
    market: Market = Market.SPOT

    def weigh(self, params: Params) -> int:
        return self.weight if isinstance(self.weight, int) else self.weight(params)
