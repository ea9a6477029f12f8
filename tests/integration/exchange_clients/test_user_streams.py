"""User streams over real sockets: spot by the WebSocket API, USD-M by listen key, and what faults do to reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.exceptions import ConnectionClosed

from tests.integration.exchange_clients.wire import (
    Frame,
    Rest,
    Socket,
    ed25519_params,
    hmac_params,
    now_ms,
    open_socket,
)
from tests.integration.simulated_exchange import SimulatedExchange

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_faults_left")]
KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def rest(exchange: SimulatedExchange) -> Rest:
    return Rest(exchange)


async def subscribe(exchange: SimulatedExchange, socket: Socket) -> int:
    answer = await socket.ask("userDataStream.subscribe.signature", hmac_params(exchange))
    assert answer["status"] == 200, answer
    return int(answer["result"]["subscriptionId"])


async def test_a_signed_subscription_reports_order_and_balances(exchange: SimulatedExchange, rest: Rest) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        number = await subscribe(exchange, socket)
        bought = rest.buy("BTCUSDT", "0.01")
        new = await socket.until(lambda frame: "event" in frame)
        trade = await socket.until(lambda frame: frame["event"].get("x") == "TRADE")
        position = await socket.until(lambda frame: frame["event"]["e"] == "outboundAccountPosition")
    assert new["subscriptionId"] == number == 0
    assert (new["event"]["x"], new["event"]["i"]) == ("NEW", bought["orderId"])
    assert (trade["event"]["i"], trade["event"]["X"]) == (bought["orderId"], "FILLED")
    assert {row["a"] for row in position["event"]["B"]} >= {"BTC", "USDT"}


async def test_an_unsubscribed_stream_is_terminated_and_silent(exchange: SimulatedExchange, rest: Rest) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        number = await subscribe(exchange, socket)
        assert (await socket.ask("session.subscriptions"))["result"] == [{"subscriptionId": number}]
        assert (await socket.ask("userDataStream.unsubscribe"))["result"] == {}
        ended = await socket.receive()
        assert (ended["subscriptionId"], ended["event"]["e"]) == (number, "eventStreamTerminated")
        rest.buy("BTCUSDT", "0.01")
        assert await socket.silent(0.5) == []


async def test_an_account_is_subscribed_once_per_connection(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        await subscribe(exchange, socket)
        again = await socket.ask("userDataStream.subscribe.signature", hmac_params(exchange))
        assert (again["status"], again["error"]["code"]) == (400, -2035)


async def test_spot_listen_keys_are_gone(exchange: SimulatedExchange, rest: Rest) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        for method in ("userDataStream.start", "userDataStream.ping", "userDataStream.stop"):
            refused = await socket.ask(method, {"apiKey": exchange.api_key})
            assert refused["status"] == 400, refused
    assert rest.key_only("POST", "/api/v3/userDataStream").status_code in (404, 410)


async def test_a_listen_key_opens_the_private_stream_in_every_form(exchange: SimulatedExchange, rest: Rest) -> None:
    key = rest.key_only("POST", "/fapi/v1/listenKey").json()["listenKey"]
    forms = (
        f"/private/ws/{key}",
        f"/private/ws?listenKey={key}",
        f"/private/stream?streams={key}",
        f"/private/stream?listenKey={key}",
    )
    for form in forms:
        async with open_socket(exchange, form) as socket:
            bought = rest.buy("BTCUSDT", "0.01", futures=True)
            frame = await socket.until(lambda frame: event_of(frame)["e"] == "ORDER_TRADE_UPDATE")
            assert event_of(frame)["o"]["i"] == bought["orderId"], form
            assert frame.get("stream", key) == key


def event_of(frame: Frame) -> Frame:
    return dict(frame.get("data", frame))


async def test_only_the_asked_events_are_sent(exchange: SimulatedExchange, rest: Rest) -> None:
    key = rest.key_only("POST", "/fapi/v1/listenKey").json()["listenKey"]
    async with open_socket(exchange, f"/private/ws?listenKey={key}&events=ACCOUNT_UPDATE/TRADE_LITE") as socket:
        rest.buy("BTCUSDT", "0.01", futures=True)
        assert {frame["e"] for frame in await socket.silent(1)} == {"ACCOUNT_UPDATE", "TRADE_LITE"}


async def test_closing_the_listen_key_ends_its_stream(exchange: SimulatedExchange, rest: Rest) -> None:
    key = rest.key_only("POST", "/fapi/v1/listenKey").json()["listenKey"]
    async with open_socket(exchange, f"/private/ws/{key}") as socket:
        await socket.ask("LIST_SUBSCRIPTIONS")
        assert rest.key_only("DELETE", "/fapi/v1/listenKey").status_code == 200
        with pytest.raises(ConnectionClosed):
            await socket.silent(5)


async def test_a_change_of_leverage_and_a_conditional_order_are_reported(
    exchange: SimulatedExchange, rest: Rest
) -> None:
    key = rest.key_only("POST", "/fapi/v1/listenKey").json()["listenKey"]
    async with open_socket(exchange, f"/private/ws/{key}") as socket:
        rest.signed("POST", "/fapi/v1/leverage", symbol="XRPUSDT", leverage=7)
        config = await socket.until(lambda frame: frame["e"] == "ACCOUNT_CONFIG_UPDATE")
        assert config["ac"] == {"s": "XRPUSDT", "l": 7}
        price = exchange.public("/fapi/v1/ticker/price", symbol="XRPUSDT")["price"]
        placed = rest.signed(
            "POST",
            "/fapi/v1/algoOrder",
            algoType="CONDITIONAL",
            symbol="XRPUSDT",
            side="SELL",
            type="STOP_MARKET",
            quantity="100",
            triggerPrice=f"{float(price) * 0.8:.4f}",
        )
        update = await socket.until(lambda frame: frame["e"] == "ALGO_UPDATE")
        assert (update["o"]["aid"], update["o"]["X"]) == (placed["algoId"], "NEW")


async def test_a_duplicate_fault_sends_a_report_twice(exchange: SimulatedExchange, rest: Rest) -> None:
    exchange.faults("duplicate", event="executionReport", count=1)
    async with open_socket(exchange, "/ws-api/v3") as socket:
        await subscribe(exchange, socket)
        rest.buy("BTCUSDT", "0.01")
        reports = [frame["event"] for frame in await socket.silent(1) if frame["event"]["e"] == "executionReport"]
    assert [report["x"] for report in reports] == ["NEW", "NEW", "TRADE"]


async def test_reordered_reports_all_arrive(exchange: SimulatedExchange, rest: Rest) -> None:
    exchange.faults("reorder", event="executionReport", delay_ms=300)
    async with open_socket(exchange, "/ws-api/v3") as socket:
        await subscribe(exchange, socket)
        for _ in range(3):
            rest.buy("BTCUSDT", "0.01")
        reports = [frame["event"] for frame in await socket.silent(1)]
    executions = [report["I"] for report in reports if report["e"] == "executionReport"]
    assert len(set(executions)) == len(executions) == 6
    assert executions != sorted(executions)


async def test_a_withheld_report_never_comes_and_a_late_one_comes_late(exchange: SimulatedExchange, rest: Rest) -> None:
    exchange.faults("withhold", event="outboundAccountPosition")
    exchange.faults("withhold", event="executionReport", delay_ms=700, count=1)
    async with open_socket(exchange, "/ws-api/v3") as socket:
        await subscribe(exchange, socket)
        rest.buy("BTCUSDT", "0.01")
        early = [frame["event"]["x"] for frame in await socket.silent(0.4)]
        late = [frame["event"]["x"] for frame in await socket.silent(0.8)]
    assert (early, late) == (["TRADE"], ["NEW"])


async def test_a_disconnect_fault_cuts_user_streams_and_leaves_public_ones(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as user, open_socket(exchange, "/ws/btcusdt@trade") as public:
        await subscribe(exchange, user)
        exchange.faults("disconnect", stream="user")
        with pytest.raises(ConnectionClosed):
            await user.silent(5)
        assert await public.silent(1)


@pytest.fixture(scope="module")
def ed25519_exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedExchange]:
    """An exchange whose only account has an Ed25519 key."""
    folder = tmp_path_factory.mktemp("accounts")
    running = SimulatedExchange.start("--accounts", str(accounts_file(folder)), log=folder / "exchange.log")
    yield running
    assert running.stop() == 0


def accounts_file(folder: Path) -> Path:
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key = {"key": "ed-key", "public_key": public}
    account = {"id": "ed", "keys": [key], "balances": {"USDT": "100000"}}
    path = folder / "accounts.json"
    path.write_text(json.dumps({"accounts": [account]}))
    return path


async def test_an_ed25519_session_subscribes_and_trades_without_further_signatures(
    ed25519_exchange: SimulatedExchange,
) -> None:
    async with open_socket(ed25519_exchange, "/ws-api/v3") as socket:
        refused = await socket.ask("userDataStream.subscribe")
        assert refused["status"] == 401
        logon = await socket.ask("session.logon", ed25519_params(KEY, "ed-key"))
        assert (logon["status"], logon["result"]["apiKey"]) == (200, "ed-key")
        subscribed = await socket.ask("userDataStream.subscribe")
        assert subscribed["result"] == {"subscriptionId": 0}
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        await socket.connection.send(
            json.dumps({"id": "o", "method": "order.place", "params": {**order, "timestamp": now_ms()}})
        )
        frames = await socket.silent(1)
        [placed] = [frame for frame in frames if frame.get("id") == "o"]
        reports = [frame["event"] for frame in frames if "event" in frame]
        assert placed["result"]["status"] == "FILLED"
        assert {report["i"] for report in reports if report["e"] == "executionReport"} == {placed["result"]["orderId"]}
        left = await socket.ask("session.logout")
        assert left["result"]["apiKey"] is None
        assert (await socket.receive())["event"]["e"] == "eventStreamTerminated"


async def test_an_hmac_key_cannot_open_a_session(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws-api/v3") as socket:
        refused = await socket.ask("session.logon", hmac_params(exchange))
        assert (refused["status"], refused["error"]["code"]) == (400, -4056)
