"""Market orders as bytes, for ever: symbols and sides in turn, few of them equal, each under a key of its own."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

import httpx

from engine_service.client.client import EngineClient
from engine_service.client.errors import TryLater
from tests.benchmarks.load import LoadResult, closed_loop, open_loop, post, run
from tests.benchmarks.processes import Engine

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
CONNECTIONS = 64
ORDER_VALUE = 20
SIZES = 100
PRICE_ATTEMPTS = 50
ATTEMPTS = 4
PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class _Sizes:
    """One symbol's smallest quantity and its step: ``SIZES`` quantities from there, so that few orders are equal."""

    symbol: str
    smallest: Decimal
    step: Decimal

    def at(self, number: int) -> str:
        return f"{self.smallest + number % SIZES * self.step:f}"


class Orders:
    """A generator of requests for one engine (and, with the same bytes, for its peer)."""

    def __init__(self, engine: Engine, exchange_url: str) -> None:
        self._requests = _requests(engine.token, _sizes(exchange_url))

    def press(self, port: int, seconds: float, *, count: int | None = None) -> LoadResult:
        """Keep 64 requests in flight for so long, or until ``count`` were sent.

        Raises:
            RuntimeError: too many requests were not answered 201: then it was no order that was measured.
        """

        def load() -> LoadResult:
            requests = self._requests if count is None else itertools.islice(self._requests, count)
            return run(closed_loop(port, lambda: next(requests, None), connections=CONNECTIONS, seconds=seconds))

        return _measured(load)

    def pace(self, port: int, per_second: float, seconds: float) -> LoadResult:
        """Send so many a second whatever the answers do.

        Raises:
            RuntimeError: as ``press``.
        """

        def load() -> LoadResult:
            requests = self._requests.__next__
            return run(open_loop(port, requests, connections=CONNECTIONS, per_second=per_second, seconds=seconds))

        return _measured(load)


def buy_inventory(engine: Engine, quote: Decimal = Decimal(1000)) -> None:
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


def _measured(load: Callable[[], LoadResult]) -> LoadResult:
    """Run a load; once more where prices went stale because another program had the machine meanwhile.

    Raises:
        RuntimeError: too many requests were not answered 201: then it was no order that was measured.
    """
    for _ in range(ATTEMPTS):
        result = load()
        if result.statuses.get(201, 0) >= 0.999 * len(result.latencies_s):
            return result
        time.sleep(PAUSE_S)
    raise RuntimeError(f"answers by status: {result.statuses}; {result.refused[:1]}")


def _requests(token: str, sizes: list[_Sizes]) -> Iterator[bytes]:
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
