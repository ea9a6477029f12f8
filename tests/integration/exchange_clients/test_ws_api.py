"""The WebSocket APIs over real sockets: envelope, errors, limits, sessions, order methods and faults."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest
from websockets.exceptions import ConnectionClosed

from tests.integration.exchange_clients.wire import Frame, Socket, hmac_params, now_ms, open_socket
from tests.integration.simulated_exchange import SimulatedExchange, only

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_faults_left")]
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


async def resting_order(exchange: SimulatedExchange, **changes: object) -> dict[str, object]:
    """A ticket for a buy order that rests."""
    bid = Decimal(exchange.public("/api/v3/ticker/bookTicker", symbol="BTCUSDT")["bidPrice"])
    price = str((bid * Decimal("0.8")).quantize(Decimal("0.1")))
    return {**ORDER, "type": "LIMIT", "timeInForce": "GTC", "price": price, **changes}


async def test_an_answer_has_id_status_result_and_limits(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        answer = await socket.ask("time")
    assert set(answer) == {"id", "status", "result", "rateLimits"}
    assert abs(answer["result"]["serverTime"] - now_ms()) < 2000
    [weight] = answer["rateLimits"]
    assert (weight["rateLimitType"], weight["limit"]) == ("REQUEST_WEIGHT", 6000)
    assert weight["count"] > 0


async def test_limits_are_hidden_by_request_and_by_connection(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        assert "rateLimits" not in await socket.ask("ping", {"returnRateLimits": False})
    async with open_socket(exchange, "/ws-api/v3?returnRateLimits=false") as socket:
        assert "rateLimits" not in await socket.ask("ping")
        assert "rateLimits" in await socket.ask("ping", {"returnRateLimits": True})
        assert "rateLimits" in await signed(exchange, socket, "account.status", returnRateLimits="true")


async def test_a_method_may_be_named_with_its_version(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        assert (await socket.ask("v3/ping"))["status"] == 200


@pytest.mark.parametrize(
    ("text", "code", "echoed"),
    [
        ("{broken", -1135, None),
        ("[1]", -1135, None),
        ('{"method":"ping"}', -1102, None),
        ('{"id":"x"}', -1102, "x"),
        ('{"id":"x","method":"ping","params":[1]}', -1135, "x"),
        ('{"id":"x","method":"no.such"}', -1020, "x"),
        ('{"id":"x","method":"klines","params":{"symbol":"NOPE","interval":"1m"}}', -1121, "x"),
        ('{"id":"x","method":"order.place","params":{"symbol":"BTCUSDT"}}', -1102, "x"),
    ],
)
async def test_a_bad_frame_gets_an_error_and_the_connection_stays(
    exchange: SimulatedExchange, text: str, code: int, echoed: str | None
) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        await socket.connection.send(text)
        answer = await socket.receive()
        assert (answer["id"], answer["status"], answer["error"]["code"]) == (echoed, 400, code)
        assert (await socket.ask("ping"))["status"] == 200


NASTY = (
    "[" * 100_000,
    "1" * 10_000,
    "null",
    '{"id":"\\ud800","method":"\\ud800","params":{"\\ud800":"\\ud800"}}',
    '{"id":1,"method":"order.place","params":{"apiKey":"demo","symbol":"\\ud800","signature":"x","timestamp":1}}',
    '{"id":1,"method":"order.place","params":{"apiKey":["demo"],"timestamp":{},"signature":NaN}}',
    '{"id":1,"method":"order.place","params":{"quantity":1e400,"price":' + "9" * 400 + "}}",
    '{"id":1,"method":"userDataStream.unsubscribe","params":{"subscriptionId":-1}}',
    '{"id":1,"method":"klines","params":{"symbol":"BTCUSDT","interval":"1m","limit":"0","startTime":"x"}}',
    '{"id":1,"method":"SUBSCRIBE","params":["\\ud800@trade"]}',
)


@pytest.mark.parametrize("path", ["/ws-api/v3", "/ws-fapi/v1", "/ws", "/private/ws"])
async def test_no_frame_breaks_a_connection_or_the_exchange(exchange: SimulatedExchange, path: str) -> None:
    async with open_socket(exchange, path) as socket:
        for text in NASTY:
            await socket.connection.send(text)
            answer = await socket.receive()
            assert answer.get("status", 400) < 500, (text[:80], answer)
            await asyncio.sleep(0.25)  # streams take five messages a second
        await socket.connection.send(b"\xff\xfe")
        assert await socket.receive()
        answer = await socket.ask("LIST_SUBSCRIPTIONS" if path.endswith("/ws") else "session.status")
        assert "result" in answer


async def test_signature_key_and_time_are_checked(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        forged = hmac_params(exchange, **ORDER) | {"quantity": "0.02"}
        assert (await socket.ask("order.place", forged))["error"]["code"] == -1022
        late = hmac_params(exchange, **ORDER) | {"timestamp": now_ms() - 60_000}
        assert (await socket.ask("order.place", late))["error"]["code"] in (-1021, -1022)
        stranger = hmac_params(exchange, **ORDER) | {"apiKey": "stranger"}
        assert (await socket.ask("order.place", stranger))["error"]["code"] == -2015


async def test_an_order_is_placed_queried_replaced_and_cancelled(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        ticket = await resting_order(exchange)
        assert (await signed(exchange, socket, "order.test", **ticket))["result"] == {}
        placed = await signed(exchange, socket, "order.place", newClientOrderId="mine-1", **ticket)
        assert placed["result"]["status"] == "NEW"
        assert [row["rateLimitType"] for row in placed["rateLimits"]] == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]
        queried = await signed(exchange, socket, "order.status", symbol="BTCUSDT", origClientOrderId="mine-1")
        assert queried["result"]["orderId"] == placed["result"]["orderId"]
        listed = await signed(exchange, socket, "openOrders.status", symbol="BTCUSDT")
        assert [row["clientOrderId"] for row in listed["result"]] == ["mine-1"]
        fields = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": placed["result"]["orderId"]}
        replaced = await signed(exchange, socket, "order.cancelReplace", **fields, **ticket)
        new = replaced["result"]["newOrderResponse"]["orderId"]
        cancelled = await signed(exchange, socket, "order.cancel", symbol="BTCUSDT", orderId=new)
        assert cancelled["result"]["status"] == "CANCELED"
        gone = await signed(exchange, socket, "order.cancel", symbol="BTCUSDT", orderId=new)
        assert (gone["status"], gone["error"]["code"]) == (400, -2011)


async def signed(exchange: SimulatedExchange, socket: Socket, method: str, **params: object) -> Frame:
    return await socket.ask(method, hmac_params(exchange, **params))


async def test_account_and_fills_are_queried(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        placed = await signed(exchange, socket, "order.place", **ORDER)
        fills = await signed(exchange, socket, "myTrades", symbol="BTCUSDT", orderId=placed["result"]["orderId"])
        account = await signed(exchange, socket, "account.status")
    assert sum(Decimal(row["qty"]) for row in fills["result"]) == Decimal("0.01")
    assert {"BTC", "USDT"} <= {row["asset"] for row in account["result"]["balances"]}


async def test_a_failed_replacement_tells_both_halves(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        ticket = await resting_order(exchange)
        fields = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": 1}
        answer = await signed(exchange, socket, "order.cancelReplace", **fields, **ticket)
        assert (answer["status"], answer["error"]["code"]) == (409, -2021)
        data = answer["error"]["data"]
        assert (data["cancelResult"], data["newOrderResult"]) == ("FAILURE", "SUCCESS")
        order_id = data["newOrderResponse"]["orderId"]
        await signed(exchange, socket, "order.cancel", symbol="BTCUSDT", orderId=order_id)


async def test_an_accepted_order_whose_answer_is_dropped_exists(exchange: SimulatedExchange) -> None:
    exchange.faults("drop_after", path="order.place", count=1)
    async with open_socket(exchange, "/ws-api/v3") as socket:
        with pytest.raises(ConnectionClosed):
            await signed(exchange, socket, "order.place", newClientOrderId="dropped-after", **ORDER)
    assert len(only(exchange.ledger()["orders"], client_order_id="dropped-after")) == 1


async def test_an_order_dropped_before_acceptance_does_not_exist(exchange: SimulatedExchange) -> None:
    exchange.faults("drop_before", path="order.place", count=1)
    async with open_socket(exchange, "/ws-api/v3") as socket:
        with pytest.raises(ConnectionClosed):
            await signed(exchange, socket, "order.place", newClientOrderId="dropped-before", **ORDER)
    assert only(exchange.ledger()["orders"], client_order_id="dropped-before") == []


async def test_a_rate_limit_fault_says_until_when_to_wait(exchange: SimulatedExchange) -> None:
    exchange.faults("rate_limit", path="order.place", count=1, retry_after_s=3)
    async with open_socket(exchange, "/ws-api/v3") as socket:
        answer = await signed(exchange, socket, "order.place", **ORDER)
    assert (answer["status"], answer["error"]["code"]) == (429, -1003)
    data = answer["error"]["data"]
    assert data["retryAfter"] - data["serverTime"] == 3000


async def test_a_delayed_request_does_not_hold_up_the_next(exchange: SimulatedExchange) -> None:
    exchange.faults("delay", path="time", delay_ms=500)
    async with open_socket(exchange, "/ws-api/v3") as socket:
        for name, method in (("slow", "time"), ("quick", "ping")):
            await socket.connection.send(json.dumps({"id": name, "method": method}))
        assert [(await socket.receive())["id"] for _ in range(2)] == ["quick", "slow"]


async def test_microseconds_reach_answers_too(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3?timeUnit=MICROSECOND") as socket:
        assert len(str((await socket.ask("time"))["result"]["serverTime"])) == 16
        rows = (await socket.ask("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 2}))["result"]
    assert rows[0][6] - rows[0][0] == 60_000_000 - 1


async def test_usdm_orders_go_over_its_own_api(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-fapi/v1") as socket:
        ticket = await resting_order(exchange)
        placed = await signed(exchange, socket, "order.place", **ticket)
        assert placed["result"]["status"] == "NEW"
        order_id = placed["result"]["orderId"]
        changed = await signed(
            exchange,
            socket,
            "order.modify",
            symbol="BTCUSDT",
            side="BUY",
            quantity="0.02",
            price=ticket["price"],
            orderId=order_id,
        )
        assert changed["result"]["origQty"] == "0.02"
        queried = await signed(exchange, socket, "order.status", symbol="BTCUSDT", orderId=order_id)
        cancelled = await signed(exchange, socket, "order.cancel", symbol="BTCUSDT", orderId=order_id)
        assert (queried["result"]["status"], cancelled["result"]["status"]) == ("NEW", "CANCELED")
        unknown = await socket.ask("v1/login")
        assert unknown["error"]["code"] == -5000
