"""Public market data for research, against a real exchange process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_service.domain.ids import Market
from engine_service.venues.binance.hosts import hosts_for
from engine_service.venues.market_data import BinanceMarketData
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.public_data import book_top
from engine_service.venues.rate_limit import Priority, RateBudget
from tests.integration.simulated_exchange import ROOT, SimulatedExchange, free_port

SYMBOL = "BTCUSDT.BINANCE"
HOUR_MS = 3_600_000


@pytest.fixture
def data(exchange: SimulatedExchange, no_faults_left: None, tmp_path: Path) -> Iterator[BinanceMarketData]:
    with BinanceMarketData(exchange.url, home=tmp_path, patience_s=10) as data:
        yield data


def test_bars_come_whole_in_order_and_without_the_running_one(data: BinanceMarketData) -> None:
    now_ms = data.server_time()
    bars = data.bars(SYMBOL, "1s", now_ms - HOUR_MS, now_ms + HOUR_MS)
    opened = [bar[0] for bar in bars]
    assert len(bars) >= 3598
    assert opened == list(range(opened[0], opened[0] + 1000 * len(opened), 1000))
    assert opened[-1] + 1000 <= data.server_time()
    assert all(low <= min(o, c) and max(o, c) <= high for _, o, high, low, c, *_ in bars)


def test_a_span_is_half_open_so_that_neighbouring_spans_share_no_bar(data: BinanceMarketData) -> None:
    end_ms = data.server_time() // 60_000 * 60_000 - 60_000
    whole = data.bars(SYMBOL, "1m", end_ms - 600_000, end_ms)
    parts = data.bars(SYMBOL, "1m", end_ms - 600_000, end_ms - 300_000)
    parts += data.bars(SYMBOL, "1m", end_ms - 300_000, end_ms)
    assert whole == parts
    assert len(whole) == 10


def test_instruments_tickers_and_marks_are_read_on_both_markets(
    exchange: SimulatedExchange, no_faults_left: None, tmp_path: Path
) -> None:
    for market in Market:
        with BinanceMarketData(exchange.url, market.value, home=tmp_path) as data:
            assert {SYMBOL, "ETHUSDT.BINANCE"} <= {instrument.symbol for instrument in data.instruments()}
            turnover = {ticker.symbol: ticker.quote_volume for ticker in data.tickers_24h()}
            assert turnover[SYMBOL] > 0
            assert data.mark(SYMBOL).price > 0


def test_the_best_bid_and_ask_of_every_symbol_are_read_on_both_markets(
    exchange: SimulatedExchange, no_faults_left: None, tmp_path: Path
) -> None:
    for market in Market:
        with BinanceMarketData(exchange.url, market.value, home=tmp_path) as data:
            books = {book.symbol: book for book in data.books()}
            assert {SYMBOL, "ETHUSDT.BINANCE"} <= books.keys()
            assert all(
                0 < book.bid < book.ask and min(book.bid_quantity, book.ask_quantity) > 0 for book in books.values()
            )
            assert books[SYMBOL].bid * 2 > data.mark(SYMBOL).price > books[SYMBOL].ask / 2


@pytest.mark.parametrize(
    "changes",
    [{"bidPrice": "0.00"}, {"bidPrice": "11"}, {"askPrice": "10"}, {"askQty": "x"}, {"bidQty": None}, {"symbol": 7}],
)
def test_a_book_without_two_sides_is_left_out(changes: dict[str, object]) -> None:
    row = {"symbol": "BTCUSDT", "bidPrice": "10", "bidQty": "1", "askPrice": "11", "askQty": "2"}
    assert book_top(row) is not None
    assert book_top({**row, **changes}) is None


def test_a_429_is_waited_out_for_as_long_as_the_venue_asks(
    exchange: SimulatedExchange, no_faults_left: None, tmp_path: Path
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    with BinanceMarketData(exchange.url, home=tmp_path, sleep=sleep, patience_s=30) as data:
        now_ms = data.server_time()
        exchange.faults("rate_limit", path="/api/v3/klines", http_status=429, retry_after_s=2, count=1)
        assert len(data.bars(SYMBOL, "1s", now_ms - 5_000, now_ms)) >= 4
    assert slept[0] == 2.0


def test_a_venue_that_comes_back_is_asked_again(exchange: SimulatedExchange, data: BinanceMarketData) -> None:
    exchange.faults("maintenance", count=2)
    assert data.server_time() > 0


def test_a_venue_that_stays_away_is_told_by_name_within_the_patience(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        BinanceMarketData(url, home=tmp_path, patience_s=1) as data,
        pytest.raises(VenueUnavailable, match="VENUE_UNREACHABLE"),
    ):
        data.server_time()


def test_an_unknown_symbol_is_an_error_at_once_and_not_a_reason_to_ask_again(data: BinanceMarketData) -> None:
    now_ms = data.server_time()
    with pytest.raises(VenueUnavailable, match="-1121"):
        data.bars("NOSUCH.BINANCE", "1s", now_ms - 5_000, now_ms)


def test_research_leaves_the_engine_its_share_of_the_budget(exchange: SimulatedExchange, tmp_path: Path) -> None:
    key = hosts_for(Market.SPOT, url=exchange.url).budget_key
    engine = RateBudget.for_host(tmp_path, key)
    with BinanceMarketData(exchange.url, home=tmp_path, patience_s=0.1) as data:
        engine.take(3600, Priority.ORDER)
        with pytest.raises(VenueUnavailable, match="VENUE_RATE_LIMITED"):
            data.server_time()
    assert engine.take(10, Priority.ORDER) is None


def test_the_module_loads_without_the_engine_or_its_heavy_libraries() -> None:
    code = (
        "import sys, engine_service.venues.market_data\n"
        "heavy = {'fastapi', 'uvicorn', 'dagster', 'pandas', 'polars', 'sqlite3', 'websockets'}\n"
        "mine = {name for name in sys.modules if name.startswith('engine_service.')}\n"
        "bad = heavy & set(sys.modules) | {n for n in mine if n.split('.')[1] in {'execution', 'storage', 'risk'}}\n"
        "sys.exit(f'loaded {sorted(bad)}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
