"""Our backfill, from the venue's REST to tables on disk, against klines as fast as the exchange serves them."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from assets.backfill import PAGE_BARS, BackfillRequest, backfill
from assets.intervals import day_of
from assets.settings import BackfillSettings
from engine_service.venues.market_data import BinanceMarketData
from orchestration.environment import ROOT, read_config
from tests.benchmarks.load import closed_loop, get, run
from tests.benchmarks.processes import processes, start_exchange
from tests.benchmarks.row import Row
from warehouse.store import Warehouse

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
STEP_MS = 1000
HISTORY = "3h"
ROUNDS = 3


def measure() -> dict[str, Row]:
    """Alternate between a backfill into an empty warehouse and bare requests for the same bars; medians."""
    settings = read_config(ROOT / "config" / "backfill.yaml", BackfillSettings)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="bench-backfill-") as name, processes(Path(name)) as group:
        url = start_exchange(group, "--history", HISTORY, "--symbols", ",".join(SYMBOLS))
        first_ms, last_ms = _span(url)
        for number in range(ROUNDS):
            ours.append(_backfilled_per_second(url, Path(name) / str(number), settings, first_ms))
            theirs.append(_served_per_second(url, first_ms, last_ms, settings.parallel))
    return {"backfill": Row(statistics.median(ours), statistics.median(theirs), "bars/s")}


def _backfilled_per_second(url: str, home: Path, settings: BackfillSettings, first_ms: int) -> float:
    with BinanceMarketData(url, home=home) as source:
        now_ms = source.server_time()
        request = BackfillRequest(
            symbols=[f"{symbol}.BINANCE" for symbol in SYMBOLS],
            days=sorted({day_of(first_ms), day_of(now_ms)}),
            market="spot",
            interval="1s",
            step_ms=STEP_MS,
            now_ms=now_ms,
            source="klines",
        )
        report = backfill(source, Warehouse(home / "warehouse"), request, settings, lambda _line: None)
    return report.stored / report.seconds


def _served_per_second(url: str, first_ms: int, last_ms: int, connections: int) -> float:
    """Ask for every full page of every symbol and throw the answers away.

    Raises:
        RuntimeError: the exchange refused a request.
    """
    pages = _pages(first_ms, last_ms)
    began = time.perf_counter()
    port = urlsplit(url).port or 0
    result = run(closed_loop(port, lambda: next(pages, None), connections=connections, seconds=60))
    seconds = time.perf_counter() - began
    if set(result.statuses) != {200}:
        raise RuntimeError(f"answers by status: {result.statuses}; {result.refused[:1]}")
    return len(result.latencies_s) * PAGE_BARS / seconds


def _pages(first_ms: int, last_ms: int) -> Iterator[bytes]:
    page_ms = PAGE_BARS * STEP_MS
    for symbol in SYMBOLS:
        for start_ms in range(first_ms, last_ms - page_ms, page_ms):
            query = f"symbol={symbol}&interval=1s&startTime={start_ms}&limit={PAGE_BARS}"
            yield get(f"/api/v3/klines?{query}")


def _span(url: str) -> tuple[int, int]:
    """Return the open times of the exchange's oldest and newest bar."""
    query: dict[str, str | int] = {"symbol": SYMBOLS[0], "interval": "1s", "limit": 1}
    with httpx.Client(base_url=url, timeout=20.0, trust_env=False) as http:
        newest = http.get("/api/v3/klines", params=query).raise_for_status().json()
        oldest = http.get("/api/v3/klines", params=query | {"startTime": 0}).raise_for_status().json()
    return int(oldest[0][0]), int(newest[0][0])
