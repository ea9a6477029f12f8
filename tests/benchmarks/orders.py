"""Durable market orders through HTTP, against the least that FastAPI does with the same request."""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx

from engine_service.client.client import EngineClient
from engine_service.client.errors import TryLater
from tests.benchmarks.load import LoadResult, closed_loop, post, run
from tests.benchmarks.processes import Engine, processes, start_exchange, start_paper_engine, start_peer
from tests.benchmarks.row import Row

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
CONNECTIONS = 64
ROUNDS = 3
ROUND_S = 4.0
WARM_UP_S = 1.5
ORDER_VALUE = 20
SIZES = 100
PRICE_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class _Sizes:
    """One symbol's smallest quantity and its step: ``SIZES`` quantities from there, so that few orders are equal."""

    symbol: str
    smallest: Decimal
    step: Decimal

    def at(self, number: int) -> str:
        return f"{self.smallest + number % SIZES * self.step:f}"


def measure() -> dict[str, Row]:
    """Alternate between engine and peer; the rows are medians over the rounds.

    Raises:
        RuntimeError: a request was not answered 201: then it was no order that was measured.
    """
    with tempfile.TemporaryDirectory(prefix="bench-orders-") as name, processes(Path(name)) as group:
        exchange_url = start_exchange(group, "--history", "10m")
        engine = start_paper_engine(group, Path(name) / "home", exchange_url)
        peer_port = start_peer(group)
        requests = _requests(engine.token, _sizes(exchange_url))

        def load(port: int, seconds: float) -> LoadResult:
            return run(_checked_load(port, requests, seconds))

        _buy_inventory(engine)
        for port in (engine.port, peer_port):
            load(port, WARM_UP_S)
        rounds = [(load(engine.port, ROUND_S), load(peer_port, ROUND_S)) for _ in range(ROUNDS)]
    return _rows([ours for ours, _ in rounds], [peer for _, peer in rounds])


def _rows(ours: list[LoadResult], peer: list[LoadResult]) -> dict[str, Row]:
    return {
        "orders_http": Row(
            statistics.median(result.per_second for result in ours),
            statistics.median(result.per_second for result in peer),
            "orders/s",
        ),
        "orders_http_p99": Row(
            statistics.median(result.quantile_s(0.99) * 1000 for result in ours),
            statistics.median(result.quantile_s(0.99) * 1000 for result in peer),
            "ms",
        ),
    }


async def _checked_load(port: int, requests: Iterator[bytes], seconds: float) -> LoadResult:
    result = await closed_loop(port, requests.__next__, connections=CONNECTIONS, seconds=seconds)
    if set(result.statuses) != {201}:
        raise RuntimeError(f"answers by status: {result.statuses}; {result.refused[:1]}")
    return result


def _requests(token: str, sizes: list[_Sizes]) -> Iterator[bytes]:
    """Yield orders for ever: symbols and sides in turn, each under a key of its own."""
    for number in itertools.count():
        size = sizes[number % len(sizes)]
        body = {
            "symbol": f"{size.symbol}.BINANCE",
            "side": ("BUY", "SELL")[number // len(sizes) % 2],
            "quantity": size.at(number // (2 * len(sizes))),
        }
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"bench-{number:012d}"}
        yield post("/orders/market", json.dumps(body).encode(), headers=headers)


def _sizes(exchange_url: str) -> list[_Sizes]:
    with httpx.Client(base_url=exchange_url, timeout=20.0, trust_env=False) as http:
        info = http.get("/api/v3/exchangeInfo").raise_for_status().json()["symbols"]
        prices = {row["symbol"]: Decimal(row["price"]) for row in http.get("/api/v3/ticker/price").json()}
    rules = {row["symbol"]: row["filters"] for row in info}
    return [_size(symbol, rules[symbol], prices[symbol]) for symbol in SYMBOLS]


def _size(symbol: str, filters: list[dict[str, str]], price: Decimal) -> _Sizes:
    step = next(Decimal(row["stepSize"]) for row in filters if row["filterType"] == "LOT_SIZE")
    return _Sizes(symbol, (ORDER_VALUE / price / step).to_integral_value() * step, step)


def _buy_inventory(engine: Engine, quote: Decimal = Decimal(1000)) -> None:
    """Hold something of every symbol, so that a sale is always covered.

    Raises:
        EngineClientError: an order was refused for another reason than a price that has not come yet.
    """
    with EngineClient(f"http://127.0.0.1:{engine.port}", engine.token) as client:
        for symbol in SYMBOLS:
            for attempt in range(PRICE_ATTEMPTS):
                try:
                    client.place_market_order(f"{symbol}.BINANCE", "BUY", quote=quote)
                    break
                except TryLater:
                    if attempt == PRICE_ATTEMPTS - 1:
                        raise
                    time.sleep(0.2)
