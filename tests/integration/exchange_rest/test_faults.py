"""Faults as a client sees them: lost answers, delays, injected refusals, maintenance, a wrong clock."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.exchange_rest.signed_client import SignedClient, now_ms, refused
from tests.integration.simulated_exchange import SimulatedExchange, only

ORDER = "/api/v3/order"
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}

pytestmark = pytest.mark.usefixtures("no_faults_left")


@pytest.fixture
def count(exchange: SimulatedExchange) -> Iterator[list[int]]:
    """How many orders the exchange knows, before the test."""
    yield [len(exchange.ledger()["orders"])]


def test_an_answer_dropped_before_acceptance_leaves_no_order(
    client: SignedClient, exchange: SimulatedExchange, count: list[int]
) -> None:
    exchange.faults("drop_before", path=ORDER, method="POST", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.signed("POST", ORDER, **MARKET)
    assert len(exchange.ledger()["orders"]) == count[0]
    assert client.signed("POST", ORDER, **MARKET).status_code == 200


def test_an_answer_dropped_after_acceptance_leaves_the_order(client: SignedClient, exchange: SimulatedExchange) -> None:
    exchange.faults("drop_after", path=ORDER, count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.signed("POST", ORDER, **MARKET, newClientOrderId="lost-answer")
    found = client.signed("GET", ORDER, symbol="BTCUSDT", origClientOrderId="lost-answer").json()
    assert found["status"] == "FILLED"
    assert len(only(exchange.ledger()["orders"], client_order_id="lost-answer")) == 1


def test_a_dropped_answer_is_a_closed_connection_without_a_byte(exchange: SimulatedExchange) -> None:
    exchange.faults("drop_before", path="/api/v3/ping", count=1)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        httpx.get(f"{exchange.url}/api/v3/ping")


def test_an_error_after_acceptance_means_execution_unknown(client: SignedClient, exchange: SimulatedExchange) -> None:
    exchange.faults("error_after", path="/fapi/v1/order", count=1)
    answer = client.signed("POST", "/fapi/v1/order", **{**MARKET, "quantity": "0.01"}, newClientOrderId="unknown")
    refused(answer, 503, -1000, "Unknown error, please check your request or try again later.")
    found = client.signed("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="unknown").json()
    assert found["status"] == "FILLED"


def test_an_injected_error_strikes_as_often_as_asked(client: SignedClient, exchange: SimulatedExchange) -> None:
    exchange.faults("error", path=ORDER, http_status=400, code=-2010, message="Market is closed.", count=2)
    for _ in range(2):
        refused(client.signed("POST", ORDER, **MARKET), 400, -2010, "Market is closed.")
    assert client.signed("POST", ORDER, **MARKET).status_code == 200


def test_rate_limits_and_bans_can_be_injected(client: SignedClient, exchange: SimulatedExchange) -> None:
    exchange.faults("rate_limit", path="/api/*", retry_after_s=3, count=1)
    answer = client.public("/api/v3/time")
    refused(answer, 429, -1003)
    assert answer.headers["retry-after"] == "3"
    exchange.faults("rate_limit", path="/api/*", http_status=418, count=1)
    refused(client.public("/api/v3/time"), 418, -1003)


def test_a_delay_comes_before_or_after_the_order(client: SignedClient, exchange: SimulatedExchange) -> None:
    for kind in ("delay", "delay_answer"):
        exchange.faults(kind, path=ORDER, delay_ms=150, count=1)
        began = time.monotonic()
        assert client.signed("POST", ORDER, **MARKET).status_code == 200
        assert time.monotonic() - began >= 0.15


def test_maintenance_answers_503_to_everything(client: SignedClient, exchange: SimulatedExchange) -> None:
    exchange.faults("maintenance")
    refused(client.public("/api/v3/time"), 503, -1016)
    refused(client.signed("POST", "/fapi/v1/order", **MARKET), 503, -1016)
    exchange.clear_faults()
    assert client.public("/api/v3/time").status_code == 200


def test_a_skewed_clock_shows_and_refuses_by_its_own_time(client: SignedClient, exchange: SimulatedExchange) -> None:
    exchange.faults("clock_skew", skew_ms=10_000)
    assert client.public("/api/v3/time").json()["serverTime"] > now_ms() + 9000
    refused(client.signed("GET", "/api/v3/account"), 400, -1021)
    assert client.signed("GET", "/api/v3/account", timestamp=now_ms() + 10_000).status_code == 200


def test_a_fault_of_one_symbol_spares_the_others(client: SignedClient, exchange: SimulatedExchange) -> None:
    exchange.faults("error", symbol="BTCUSDT", market="spot", account="demo")
    refused(client.signed("POST", ORDER, **MARKET), 400, -1000)
    assert client.signed("POST", ORDER, **{**MARKET, "symbol": "BNBUSDT", "quantity": "1"}).status_code == 200
