"""Whatever is sent to whichever route, the answer is one of the venue's own and never a defect."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import anyio
import orjson
import pytest

from engine_service.domain.clock import SystemClock
from engine_service.exchange_sim.binance_wire.app import ROUTES, create_app
from engine_service.exchange_sim.binance_wire.app_context import Route
from engine_service.exchange_sim.binance_wire.weights import default_limits
from engine_service.exchange_sim.bootstrap import build_exchange
from engine_service.exchange_sim.config import ExchangeConfig
from engine_service.exchange_sim.enums import KeyKind, Permission
from engine_service.exchange_sim.model import AccountSpec, ApiKey
from tests.integration.exchange_rest.signed_client import hmac_hex

SECRET = "fuzz"
NUMBERS = ("0", "1", "-1", "1.5", "0.00000001", "1e9", "9" * 19, "9" * 20, "9" * 21, "NaN", "Infinity", "0x1", "٣")
TEXTS = ("", " ", "BTCUSDT", "ETHBTC", "btcusdt", "[]", '["BTCUSDT"]', "[1,{}]", "null", "\x00", "%", "é", "x" * 500)
ENUMS = ("BUY", "SELL", "LIMIT", "MARKET", "STOP_LOSS", "STOP_MARKET", "GTC", "GTD", "FULL", "1s", "1M", "true", "8")
NAMES = [
    "symbol",
    "side",
    "type",
    "timeInForce",
    "quantity",
    "quoteOrderQty",
    "price",
    "stopPrice",
    "newClientOrderId",
    "orderId",
    "origClientOrderId",
    "interval",
    "limit",
    "startTime",
    "endTime",
    "timeZone",
    "fromId",
    "symbols",
    "permissions",
    "symbolStatus",
    "cancelReplaceMode",
    "cancelOrderId",
    "newQty",
    "recvWindow",
    "strategyId",
    "strategyType",
    "newOrderRespType",
    "selfTradePreventionMode",
    "leverage",
    "marginType",
    "page",
    "dualSidePosition",
    "algoType",
    "triggerPrice",
    "callbackRate",
    "closePosition",
    "algoId",
    "clientAlgoId",
    "goodTillDate",
    "positionSide",
    "batchOrders",
    "orderIdList",
    "countdownTime",
    "incomeType",
    "pair",
    "contractType",
    "omitZeroBalances",
    "reduceOnly",
    "workingType",
]
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "90000",
}
SPAN = ("startTime", "endTime", "limit")
PAIR = {"pair": "BTCUSDT", "contractType": "PERPETUAL"}
CONDITIONAL = {"algoType": "CONDITIONAL", "type": "STOP_MARKET", "triggerPrice": "150000"}
FIRST, FIRST_FUTURE = {"orderId": "1000001"}, {"orderId": "8000001"}
REPLACING = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": "1"}
# What reaches the depth of a route: parameters that make it succeed, and its own optional ones.
GOOD: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "/api/v3/klines": ({"interval": "1M"}, (*SPAN, "timeZone", "interval")),
    "/api/v3/uiKlines": ({"interval": "1d"}, (*SPAN, "timeZone", "interval")),
    "/fapi/v1/klines": ({"interval": "1M"}, (*SPAN, "interval")),
    "/fapi/v1/continuousKlines": ({**PAIR, "interval": "1w"}, SPAN),
    "/api/v3/aggTrades": ({}, (*SPAN, "fromId")),
    "/fapi/v1/aggTrades": ({}, (*SPAN, "fromId")),
    "/api/v3/myTrades": ({}, (*SPAN, "fromId", "orderId")),
    "/fapi/v1/userTrades": ({}, (*SPAN, "fromId", "orderId")),
    "/api/v3/allOrders": ({}, (*SPAN, "orderId")),
    "/fapi/v1/fundingRate": ({}, SPAN),
    "/fapi/v1/income": ({}, (*SPAN, "page", "incomeType")),
    "POST /api/v3/order/test": ({**ORDER}, ("computeCommissionRates", "price")),
    "GET /api/v3/order": (FIRST, ("origClientOrderId",)),
    "DELETE /api/v3/order": (FIRST, ("origClientOrderId", "newClientOrderId", "cancelRestrictions")),
    "POST /api/v3/order": ({**ORDER}, ("quantity", "price", "strategyId", "strategyType", "newOrderRespType")),
    "/api/v3/order/cancelReplace": ({**ORDER, **REPLACING}, ("quantity", "price", "cancelOrderId")),
    "/api/v3/order/amend/keepPriority": ({"orderId": "1000001", "newQty": "0.001"}, ("newQty", "orderId")),
    "PUT /fapi/v1/order": ({**ORDER, **FIRST_FUTURE}, ("quantity", "price", "orderId")),
    "GET /fapi/v1/order": (FIRST_FUTURE, ("origClientOrderId",)),
    "DELETE /fapi/v1/order": (FIRST_FUTURE, ("origClientOrderId",)),
    "POST /fapi/v1/order/test": ({**ORDER}, ("price",)),
    "POST /fapi/v1/order": ({**ORDER}, ("quantity", "price", "timeInForce", "goodTillDate", "reduceOnly")),
    "POST /fapi/v1/algoOrder": ({**ORDER, **CONDITIONAL}, ("quantity", "triggerPrice", "callbackRate", "goodTillDate")),
    "/fapi/v1/leverage": ({"leverage": "5"}, ("leverage",)),
    "/fapi/v1/countdownCancelAll": ({"countdownTime": "0"}, ()),
}


class Door:
    """The application as a server would call it, without a socket in between."""

    def __init__(self) -> None:
        key = ApiKey("fuzz", KeyKind.HMAC, SECRET, frozenset(Permission))
        balances = (("USDT", Decimal(1_000_000)), ("BTC", Decimal(100)))
        config = ExchangeConfig((AccountSpec("fuzz", (key,), balances),), history_s=120)
        endless = {
            market: replace(
                limits,
                weight_per_minute=10**9,
                orders=tuple(replace(window, limit=10**9) for window in limits.orders),
            )
            for market, limits in default_limits().items()
        }
        self._app = create_app(build_exchange(config, SystemClock()), endless)

    async def call(self, route: Route, query: str) -> tuple[int, Any]:
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": route.method,
            "path": route.path,
            "query_string": query.encode("latin-1", "replace"),
            "headers": [(b"x-mbx-apikey", b"fuzz")],
            "client": ("127.0.0.1", 1),
        }
        await self._app(scope, receive, send)
        return sent[0]["status"], orjson.loads(sent[1]["body"])


def hostile(chance: random.Random, route: Route) -> str:
    """A signed query of plausible and of absurd values."""
    good, own = GOOD.get(f"{route.method} {route.path}") or GOOD.get(route.path, ({}, ()))
    values = {"symbol": "BTCUSDT", **good}
    if route.method == "POST" and route.path == "/fapi/v1/algoOrder":
        del values["price"], values["timeInForce"]
    names = own if own and chance.random() < 0.7 else NAMES
    for name in chance.sample(names, min(len(names), chance.randrange(4))):
        values[name] = chance.choice(chance.choice((NUMBERS, TEXTS, ENUMS)))
    if values and chance.random() < 0.1:
        del values[chance.choice(sorted(values))]
    query = urlencode({**values, "timestamp": time.time_ns() // 1_000_000})
    if chance.random() < 0.05:
        query += "&%zz=&&==&a"
    return f"{query}&signature={hmac_hex(SECRET, query)}"


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    yield Door()


@pytest.mark.parametrize("seed", range(4))
def test_no_input_breaks_a_route(door: Door, seed: int) -> None:
    chance = random.Random(seed)

    async def all_routes() -> int:
        taken = 0
        for route in ROUTES:
            for _ in range(12):
                query = hostile(chance, route)
                status, body = await door.call(route, query)
                assert status in (200, 400, 401, 409), (route.path, query, status, body)
                if status != 200:
                    assert body["code"] < 0, (route.path, query)
                    assert body["msg"], (route.path, query)
                taken += status == 200
        return taken

    # Some of it must have been good, or nothing behind the first check was reached.
    assert anyio.run(all_routes) > 200
