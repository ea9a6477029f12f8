"""USD-M's public endpoints, as documented."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.integration.exchange_rest.signed_client import SignedClient, mandatory, now_ms, refused

BTC = {"symbol": "BTCUSDT"}


def test_exchange_info_lists_perpetuals_with_their_filters(client: SignedClient) -> None:
    info = client.public("/fapi/v1/exchangeInfo").json()
    symbols = {row["symbol"]: row for row in info["symbols"]}
    assert {"BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"} <= symbols.keys()
    bitcoin = symbols["BTCUSDT"]
    assert (bitcoin["contractType"], bitcoin["marginAsset"]) == ("PERPETUAL", "USDT")
    kinds = {entry["filterType"] for entry in bitcoin["filters"]}
    assert kinds >= {"PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MIN_NOTIONAL", "PERCENT_PRICE", "MAX_NUM_ORDERS"}
    weight = next(row for row in info["rateLimits"] if row["rateLimitType"] == "REQUEST_WEIGHT")
    assert weight["limit"] == 2400


def test_klines_cost_by_their_limit(client: SignedClient) -> None:
    def used() -> int:
        return int(client.public("/fapi/v1/ping").headers["x-mbx-used-weight-1m"])

    for limit, weight in ((50, 1), (499, 2), (1000, 5), (1500, 10)):
        before = used()
        rows = client.public("/fapi/v1/klines", **BTC, interval="1m", limit=limit).json()
        after = used()
        assert len(rows) <= limit
        assert after - before == weight + 1 or after < before  # a new minute began


def test_open_interest_is_what_is_held_long_over_all_accounts(client: SignedClient) -> None:
    def held() -> Decimal:
        row = client.public("/fapi/v1/openInterest", **BTC).json()
        assert row["symbol"] == "BTCUSDT"
        return Decimal(row["openInterest"])

    before = held()
    order = {**BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert client.signed("POST", "/fapi/v1/order", **order).status_code == 200
    assert abs(held() - before) <= Decimal("0.01")
    refused(client.public("/fapi/v1/openInterest", symbol="NOPE"), 400, -1121)


def test_klines_of_the_pair_are_those_of_its_perpetual(client: SignedClient) -> None:
    query = {"interval": "1m", "endTime": now_ms() - 60_000, "limit": 3}
    pair = {"pair": "BTCUSDT", "contractType": "PERPETUAL"}
    of_pair = client.public("/fapi/v1/continuousKlines", **pair, **query).json()
    assert of_pair == client.public("/fapi/v1/klines", **BTC, **query).json()


def test_the_book_carries_its_times(client: SignedClient) -> None:
    book = client.public("/fapi/v1/depth", **BTC, limit=5).json()
    assert set(book) == {"lastUpdateId", "E", "T", "bids", "asks"}
    assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])


def test_mark_price_and_funding_are_published(client: SignedClient) -> None:
    mark = client.public("/fapi/v1/premiumIndex", **BTC).json()
    assert mark["nextFundingTime"] > mark["time"]
    assert len(client.public("/fapi/v1/premiumIndex").json()) >= 6
    assert isinstance(client.public("/fapi/v1/fundingRate", **BTC).json(), list)
    hours = {row["fundingIntervalHours"] for row in client.public("/fapi/v1/fundingInfo").json()}
    assert hours == {8}


def test_tickers_carry_their_times(client: SignedClient) -> None:
    day = client.public("/fapi/v1/ticker/24hr", **BTC).json()
    assert "bidPrice" not in day
    assert "prevClosePrice" not in day
    for path in ("/fapi/v1/ticker/price", "/fapi/v2/ticker/price", "/fapi/v1/ticker/bookTicker"):
        assert client.public(path, **BTC).json()["time"] > 0
        assert len(client.public(path).json()) >= 6


def test_trades_and_aggregates_are_served(client: SignedClient) -> None:
    trades = client.public("/fapi/v1/trades", **BTC, limit=2).json()
    assert set(trades[0]) == {"id", "price", "qty", "quoteQty", "time", "isBuyerMaker"}
    old = client.public("/fapi/v1/historicalTrades", **BTC, fromId=trades[0]["id"], limit=2).json()
    assert old == trades
    assert set(client.public("/fapi/v1/aggTrades", **BTC, limit=1).json()[0]) == {"a", "p", "q", "f", "l", "T", "m"}


def test_coin_margined_contracts_are_not_listed(client: SignedClient) -> None:
    assert client.public("/dapi/v1/exchangeInfo").json()["symbols"] == []


@pytest.mark.parametrize(
    ("path", "params", "code", "message"),
    [
        ("/fapi/v1/klines", {"interval": "1m"}, -1102, mandatory("symbol")),
        ("/fapi/v1/klines", {**BTC, "interval": "1s"}, -1120, "Invalid interval."),
        ("/fapi/v1/klines", {**BTC, "interval": "1m", "limit": 1501}, -1130, None),
        ("/fapi/v1/klines", {**BTC, "interval": "1m", "startTime": 2, "endTime": 1}, -1023, None),
        ("/fapi/v1/depth", {**BTC, "limit": 7}, -4021, "'7' is not valid depth limit."),
        ("/fapi/v1/premiumIndex", {"symbol": "NOPEUSDT"}, -1121, "Invalid symbol."),
        ("/fapi/v1/continuousKlines", {"pair": "BTCUSDT", "contractType": "WEEKLY", "interval": "1m"}, -4104, None),
    ],
)
def test_refusals_have_the_venues_code(
    client: SignedClient, path: str, params: dict[str, object], code: int, message: str | None
) -> None:
    refused(client.public(path, **params), 400, code, message)
