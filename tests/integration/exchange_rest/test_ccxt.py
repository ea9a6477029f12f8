"""ccxt's Binance clients against the exchange, unchanged but for the base URL."""

from __future__ import annotations

from typing import Any

import ccxt
import pytest

from tests.integration.simulated_exchange import SimulatedExchange

HOSTS = ("api", "fapi", "dapi")


def connect(kind: str, exchange: SimulatedExchange) -> Any:
    client = getattr(ccxt, kind)({"apiKey": exchange.api_key, "secret": exchange.api_secret})
    for name, url in client.urls["api"].items():
        for host in HOSTS:
            url = url.replace(f"https://{host}.binance.com", exchange.url)  # noqa: PLW2901
        client.urls["api"][name] = url
    client.load_markets()
    return client


@pytest.fixture(scope="module")
def spot(exchange: SimulatedExchange) -> Any:
    return connect("binance", exchange)


@pytest.fixture(scope="module")
def usdm(exchange: SimulatedExchange) -> Any:
    return connect("binanceusdm", exchange)


class TestSpot:
    def test_markets_and_currencies_load_with_keys(self, spot: Any) -> None:
        assert {"BTC/USDT", "ETH/BTC", "BTC/USDT:USDT"} <= set(spot.markets)
        assert spot.markets["BTC/USDT"]["limits"]["cost"]["min"] == 5
        assert {"BTC", "USDT"} <= set(spot.currencies)

    def test_market_data_is_understood(self, spot: Any) -> None:
        ticker = spot.fetch_ticker("BTC/USDT")
        assert ticker["bid"] < ticker["ask"]
        assert len(spot.fetch_ohlcv("BTC/USDT", "1s", limit=10)) == 10
        book = spot.fetch_order_book("BTC/USDT", 5)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert len(spot.fetch_trades("BTC/USDT", limit=5)) == 5

    def test_a_market_order_fills_and_shows_in_the_trades(self, spot: Any) -> None:
        order = spot.create_order("BTC/USDT", "market", "buy", 0.001)
        assert (order["status"], order["filled"]) == ("closed", 0.001)
        assert order["fee"]["currency"] == "BTC"
        trades = spot.fetch_my_trades("BTC/USDT")
        assert order["id"] in {trade["order"] for trade in trades}
        assert spot.fetch_balance()["BTC"]["free"] > 10

    def test_a_limit_order_is_listed_edited_and_cancelled(self, spot: Any) -> None:
        price = round(spot.fetch_ticker("BTC/USDT")["last"] * 0.9, 2)
        order = spot.create_order("BTC/USDT", "limit", "buy", 0.001, price)
        assert order["status"] == "open"
        assert order["id"] in {row["id"] for row in spot.fetch_open_orders("BTC/USDT")}
        edited = spot.edit_order(order["id"], "BTC/USDT", "limit", "buy", 0.002, price)
        assert spot.fetch_order(order["id"], "BTC/USDT")["status"] == "canceled"
        assert spot.cancel_order(edited["id"], "BTC/USDT")["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            spot.cancel_order(edited["id"], "BTC/USDT")

    def test_refusals_arrive_as_ccxts_own_errors(self, spot: Any) -> None:
        with pytest.raises(ccxt.InsufficientFunds):
            spot.create_order("BTC/USDT", "market", "buy", 100)
        stranger = connect_with(spot, secret="wrong")
        with pytest.raises(ccxt.AuthenticationError):
            stranger.fetch_open_orders("BTC/USDT")


class TestUsdMargined:
    def test_market_data_is_understood(self, usdm: Any) -> None:
        assert usdm.fetch_ticker("BTC/USDT:USDT")["last"] > 0
        assert usdm.fetch_funding_rate("BTC/USDT:USDT")["fundingRate"] is not None
        assert usdm.fetch_ohlcv("BTC/USDT:USDT", "1m", limit=2)

    def test_a_position_is_opened_seen_and_closed(self, usdm: Any) -> None:
        assert usdm.set_leverage(5, "ETH/USDT:USDT")["leverage"] == 5
        order = usdm.create_order("ETH/USDT:USDT", "market", "sell", 0.5)
        assert (order["status"], order["filled"]) == ("closed", 0.5)
        position = usdm.fetch_positions(["ETH/USDT:USDT"])[0]
        assert (position["side"], position["contracts"]) == ("short", 0.5)
        usdm.create_order("ETH/USDT:USDT", "market", "buy", 0.5, params={"reduceOnly": True})
        assert all(not row["contracts"] for row in usdm.fetch_positions(["ETH/USDT:USDT"]))
        assert usdm.fetch_balance()["USDT"]["total"] < 100_000
        assert len(usdm.fetch_my_trades("ETH/USDT:USDT")) >= 2

    def test_a_limit_order_is_listed_edited_and_cancelled(self, usdm: Any) -> None:
        price = round(usdm.fetch_ticker("BTC/USDT:USDT")["last"] * 0.96, 1)
        order = usdm.create_order("BTC/USDT:USDT", "limit", "buy", 0.01, price)
        edited = usdm.edit_order(order["id"], "BTC/USDT:USDT", "limit", "buy", 0.02, price)
        assert (edited["id"], edited["amount"]) == (order["id"], 0.02)
        assert order["id"] in {row["id"] for row in usdm.fetch_open_orders("BTC/USDT:USDT")}
        assert usdm.cancel_order(order["id"], "BTC/USDT:USDT")["status"] == "canceled"

    def test_a_stop_goes_to_the_algo_endpoints(self, usdm: Any) -> None:
        trigger = round(usdm.fetch_ticker("BTC/USDT:USDT")["last"] * 0.9, 1)
        stop = usdm.create_order("BTC/USDT:USDT", "STOP_MARKET", "sell", 0.01, params={"stopPrice": trigger})
        listed = usdm.fetch_open_orders("BTC/USDT:USDT", params={"trigger": True})
        assert stop["id"] in {row["id"] for row in listed}
        usdm.cancel_order(stop["id"], "BTC/USDT:USDT", {"trigger": True})
        assert usdm.fetch_open_orders("BTC/USDT:USDT", params={"trigger": True}) == []


def connect_with(client: Any, secret: str) -> Any:
    """The same client with another secret."""
    other = type(client)({"apiKey": client.apiKey, "secret": secret})
    other.urls["api"] = dict(client.urls["api"])
    other.set_markets(client.markets, client.currencies)
    return other
