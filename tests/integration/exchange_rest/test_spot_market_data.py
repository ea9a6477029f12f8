"""Spot's public endpoints, as documented."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.integration.exchange_rest.signed_client import SignedClient, illegal, mandatory, now_ms, refused

INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
KLINES = "/api/v3/klines"
MINUTES = {"symbol": "BTCUSDT", "interval": "1m"}
FILTERS = {
    "PRICE_FILTER",
    "LOT_SIZE",
    "MARKET_LOT_SIZE",
    "NOTIONAL",
    "MAX_NUM_ORDERS",
    "MAX_NUM_ALGO_ORDERS",
    "PERCENT_PRICE_BY_SIDE",
    "ICEBERG_PARTS",
}


def test_ping_and_time_answer_and_count_their_weight(client: SignedClient) -> None:
    answer = client.public("/api/v3/ping")
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["content-type"] == "application/json;charset=UTF-8"
    before = int(answer.headers["x-mbx-used-weight-1m"])
    answer = client.public("/api/v3/time")
    assert abs(answer.json()["serverTime"] - now_ms()) < 2000
    # A new minute may have begun in between.
    assert int(answer.headers["x-mbx-used-weight-1m"]) in (before + 1, 1)


def test_exchange_info_lists_the_symbols_with_the_venues_filters(client: SignedClient) -> None:
    info = client.public("/api/v3/exchangeInfo").json()
    symbols = {row["symbol"]: row for row in info["symbols"]}
    assert {"BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "ETHBTC"} <= symbols.keys()
    assert {entry["filterType"] for entry in symbols["BTCUSDT"]["filters"]} >= FILTERS
    assert symbols["ETHBTC"]["quoteAsset"] == "BTC"
    limits = {(row["rateLimitType"], row["interval"], row["intervalNum"]) for row in info["rateLimits"]}
    assert limits == {("REQUEST_WEIGHT", "MINUTE", 1), ("ORDERS", "SECOND", 10), ("ORDERS", "DAY", 1)}


def test_exchange_info_can_be_asked_for_some_symbols(client: SignedClient) -> None:
    def names(**params: object) -> list[str]:
        return [row["symbol"] for row in client.public("/api/v3/exchangeInfo", **params).json()["symbols"]]

    assert names(symbol="BTCUSDT") == ["BTCUSDT"]
    assert names(symbols='["ETHBTC","BTCUSDT"]') == ["ETHBTC", "BTCUSDT"]
    assert "BTCUSDT" in names(permissions="SPOT")
    assert names(permissions='["MARGIN","LEVERAGED"]') == []
    assert names(symbolStatus="HALT") == []
    both = client.public("/api/v3/exchangeInfo", symbol="BTCUSDT", permissions="SPOT")
    refused(both, 400, -1128, "Combination of optional parameters invalid.")
    refused(client.public("/api/v3/exchangeInfo", symbols='["BTCUSDT","BTCUSDT"]'), 400, -1151)


@pytest.mark.parametrize("interval", INTERVALS)
def test_klines_are_served_in_every_interval(client: SignedClient, interval: str) -> None:
    rows = client.public("/api/v3/klines", symbol="BTCUSDT", interval=interval).json()
    assert 1 <= len(rows) <= 500
    for row in rows:
        _check_kline(row)
    opens = [row[0] for row in rows]
    assert opens == sorted(set(opens))


def _check_kline(row: list[Any]) -> None:
    assert len(row) == 12
    open_, high, low, close = (Decimal(value) for value in row[1:5])
    assert low <= min(open_, close) <= max(open_, close) <= high
    assert row[0] < row[6]
    assert Decimal(row[9]) <= Decimal(row[5])


def test_klines_keep_to_their_span_and_limit(client: SignedClient) -> None:
    last = client.public("/api/v3/klines", symbol="BTCUSDT", interval="1s", limit=1000).json()
    assert len(last) == 1000
    start, end = last[10][0], last[20][0]
    span = client.public("/api/v3/klines", symbol="BTCUSDT", interval="1s", startTime=start, endTime=end).json()
    assert span == last[10:21]
    first = client.public("/api/v3/klines", symbol="BTCUSDT", interval="1s", startTime=start, limit=3).json()
    assert first == last[10:13]
    in_microseconds = client.public(
        "/api/v3/klines", symbol="BTCUSDT", interval="1s", startTime=start * 1000, limit=1
    ).json()
    assert in_microseconds == last[10:11]
    capped = client.public("/api/v3/klines", symbol="BTCUSDT", interval="1s", limit=5000).json()
    assert len(capped) == 1000


def test_ui_klines_answer_like_klines(client: SignedClient) -> None:
    end = now_ms() - 60_000
    query = {"symbol": "ETHUSDT", "interval": "1m", "endTime": end, "limit": 5}
    assert client.public("/api/v3/uiKlines", **query).json() == client.public("/api/v3/klines", **query).json()


@pytest.mark.parametrize(("zone", "minutes"), [("8", 480), ("-1:00", -60), ("05:45", 345), ("0", 0)])
def test_daily_klines_begin_at_midnight_of_the_time_zone(client: SignedClient, zone: str, minutes: int) -> None:
    row = client.public("/api/v3/klines", symbol="BTCUSDT", interval="1d", timeZone=zone).json()[-1]
    assert (row[0] + minutes * 60_000) % 86_400_000 == 0
    assert row[6] - row[0] == 86_400_000 - 1


def test_a_shifted_day_holds_the_same_volume_as_its_hours(client: SignedClient) -> None:
    end = now_ms() - 5000
    day = client.public("/api/v3/klines", symbol="BTCUSDT", interval="1d", timeZone="14").json()
    hours = client.public("/api/v3/klines", symbol="BTCUSDT", interval="1h", startTime=day[-1][0]).json()
    closed = [row for row in hours if row[6] < end]
    assert Decimal(day[-1][5]) >= sum((Decimal(row[5]) for row in closed), Decimal(0))
    assert day[-1][1] == hours[0][1]


def test_depth_is_ordered_and_does_not_cross(client: SignedClient) -> None:
    book = client.public("/api/v3/depth", symbol="BTCUSDT", limit=10).json()
    bids = [Decimal(price) for price, _ in book["bids"]]
    asks = [Decimal(price) for price, _ in book["asks"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert len(bids) <= 10


@pytest.mark.parametrize(("limit", "weight"), [(100, 5), (500, 25), (1000, 50), (5000, 250)])
def test_depth_costs_by_its_limit(client: SignedClient, limit: int, weight: int) -> None:
    def used() -> int:
        return int(client.public("/api/v3/ping").headers["x-mbx-used-weight-1m"])

    before = used()
    client.public("/api/v3/depth", symbol="BTCUSDT", limit=limit)
    after = used()
    assert after - before == weight + 1 or after < before  # a new minute began


def test_trades_can_be_read_back_from_an_id(client: SignedClient) -> None:
    recent = client.public("/api/v3/trades", symbol="BTCUSDT", limit=5).json()
    assert len(recent) == 5
    assert set(recent[0]) == {"id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"}
    again = client.public("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=recent[0]["id"], limit=5).json()
    assert again == recent
    aggregated = client.public("/api/v3/aggTrades", symbol="BTCUSDT", limit=3).json()
    assert set(aggregated[0]) == {"a", "p", "q", "f", "l", "T", "m", "M"}


def test_tickers_come_as_one_or_as_many(client: SignedClient) -> None:
    full = client.public("/api/v3/ticker/24hr", symbol="BTCUSDT").json()
    assert Decimal(full["bidPrice"]) < Decimal(full["askPrice"])
    assert full["openTime"] < full["closeTime"]
    mini = client.public("/api/v3/ticker/24hr", symbol="BTCUSDT", type="MINI").json()
    assert "bidPrice" not in mini
    assert "weightedAvgPrice" not in mini
    two = client.public("/api/v3/ticker/price", symbols='["BTCUSDT","ETHBTC"]').json()
    assert [row["symbol"] for row in two] == ["BTCUSDT", "ETHBTC"]
    everything = client.public("/api/v3/ticker/bookTicker").json()
    assert len(everything) >= 7
    both = client.public("/api/v3/ticker/price", symbol="BTCUSDT", symbols='["ETHBTC"]')
    refused(both, 400, -1128)


def test_the_average_price_is_near_the_last(client: SignedClient) -> None:
    average = client.public("/api/v3/avgPrice", symbol="BTCUSDT").json()
    assert average["mins"] == 5
    assert abs(Decimal(average["price"]) / client.last_price("BTCUSDT") - 1) < Decimal("0.1")


def test_times_come_in_microseconds_when_asked_for(client: SignedClient) -> None:
    answer = client.raw("GET", "/api/v3/time", headers={"X-MBX-TIME-UNIT": "microsecond"})
    assert abs(answer.json()["serverTime"] - now_ms() * 1000) < 2_000_000
    refused(client.raw("GET", "/api/v3/time", headers={"X-MBX-TIME-UNIT": "HOUR"}), 400, -1194)


def test_a_rolling_window_begins_in_its_full_minute_and_ends_now(client: SignedClient) -> None:
    row = client.public("/api/v3/ticker", symbol="BTCUSDT", windowSize="5m").json()
    assert row["openTime"] % 60_000 == 0
    assert 300_000 <= row["closeTime"] - row["openTime"] < 360_000
    assert Decimal(row["lowPrice"]) <= Decimal(row["lastPrice"]) <= Decimal(row["highPrice"])
    assert Decimal(row["priceChange"]) == Decimal(row["lastPrice"]) - Decimal(row["openPrice"])
    assert row["count"] == row["lastId"] - row["firstId"] + 1
    assert not {"bidPrice", "lastQty", "prevClosePrice"} & row.keys()
    pair = client.public("/api/v3/ticker", symbols='["ETHBTC","BTCUSDT"]', type="MINI").json()
    assert [entry["symbol"] for entry in pair] == ["ETHBTC", "BTCUSDT"]
    assert "weightedAvgPrice" not in pair[0]


def test_the_day_of_a_time_zone_begins_at_its_midnight(client: SignedClient) -> None:
    row = client.public("/api/v3/ticker/tradingDay", symbol="BTCUSDT", timeZone="5:30").json()
    assert (row["openTime"] + 330 * 60_000) % 86_400_000 == 0
    assert row["closeTime"] - row["openTime"] == 86_399_999
    assert client.public("/api/v3/ticker/tradingDay", symbol="BTCUSDT", type="MINI").json()["symbol"] == "BTCUSDT"


class TestRefusals:
    """Each way a public request can be wrong has the venue's code and words."""

    @pytest.mark.parametrize(
        ("path", "params", "code", "message"),
        [
            (
                "/api/v3/klines",
                {"interval": "1m"},
                -1102,
                mandatory("symbol"),
            ),
            (KLINES, {"symbol": "", "interval": "1m"}, -1102, None),
            (KLINES, {"symbol": "NOPEUSDT", "interval": "1m"}, -1121, "Invalid symbol."),
            (
                "/api/v3/klines",
                {"symbol": "btcusdt", "interval": "1m"},
                -1100,
                illegal("symbol", "^[A-Z0-9-_.]{1,20}$"),
            ),
            (KLINES, {"symbol": "BTCUSDT", "interval": "7m"}, -1120, "Invalid interval."),
            (
                "/api/v3/klines",
                {"symbol": "BTCUSDT", "interval": "1m", "limit": "x"},
                -1100,
                illegal("limit", "^[0-9]{1,20}$"),
            ),
            (
                "/api/v3/klines",
                {"symbol": "BTCUSDT", "interval": "1m", "limit": ""},
                -1105,
                "Parameter 'limit' was empty.",
            ),
            (
                "/api/v3/klines",
                {"symbol": "BTCUSDT", "interval": "1m", "limit": "0"},
                -1130,
                "Data sent for parameter 'limit' is not valid.",
            ),
            (KLINES, {**MINUTES, "timeZone": "15"}, -1130, None),
            (KLINES, {**MINUTES, "timeZone": "east"}, -1100, None),
            (
                "/api/v3/klines",
                {"symbol": "BTCUSDT", "interval": "1m", "extra": "1"},
                -1104,
                "Not all sent parameters were read; read '2' parameter(s) but was sent '3'.",
            ),
            ("/api/v3/time", {"extra": "1"}, -1101, "Too many parameters; expected '0' and received '1'."),
            ("/api/v3/ticker/24hr", {"symbol": "BTCUSDT", "type": "HUGE"}, -1139, None),
            ("/api/v3/exchangeInfo", {"symbols": "BTCUSDT"}, -1100, None),
            ("/api/v3/ticker", {"symbol": "BTCUSDT", "windowSize": "60m"}, -1100, None),
            ("/api/v3/ticker", {"symbol": "NOPE"}, -1121, None),
            ("/api/v3/ticker", {}, -1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!"),
            ("/api/v3/ticker/tradingDay", {"symbol": "BTCUSDT", "symbols": '["ETHBTC"]'}, -1128, None),
        ],
    )
    def test_by_code_and_words(
        self, client: SignedClient, path: str, params: dict[str, str], code: int, message: str | None
    ) -> None:
        refused(client.public(path, **params), 400, code, message)

    def test_a_parameter_sent_twice(self, client: SignedClient) -> None:
        answer = client.raw("GET", "/api/v3/ticker/price?symbol=BTCUSDT&symbol=ETHUSDT")
        refused(answer, 400, -1101, "Duplicate values for a parameter detected.")

    def test_an_unknown_path_and_a_wrong_method(self, client: SignedClient) -> None:
        for path in ("/api/v3/nothing", "/futures/data/openInterestHist", "/papi/v1/account"):
            refused(client.public(path), 404, -5000, f"Path {path}, Method GET is invalid")
        assert client.raw("DELETE", "/api/v3/time").status_code == 405
        # Listen keys of spot are gone.
        assert client.raw("POST", "/api/v3/userDataStream").status_code == 404
