"""Durable market orders through HTTP, against the least that FastAPI does with the same request."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.load import LoadResult
from tests.benchmarks.machine import fsync_ms
from tests.benchmarks.order_requests import Orders, buy_inventory
from tests.benchmarks.processes import (
    Engine,
    processes,
    start_adapter_engine,
    start_exchange,
    start_paper_engine,
    start_peer,
)
from tests.benchmarks.row import Row

ROUNDS = 3
ROUND_S = 4.0
WARM_UP_S = 1.5
#: The adapter's account: enough of everything for a run, whatever the prices do.
DEPOSITS = ("USDT=10000000", "BTC=100", "ETH=1000", "BNB=5000", "SOL=20000", "XRP=2000000", "DOGE=10000000")


def measure() -> dict[str, Row]:
    """Paper money: throughput with 64 requests in flight, and the 99th percentile at half of it.

    Raises:
        RuntimeError: too many requests were not answered 201: then it was no order that was measured.
    """
    with tempfile.TemporaryDirectory(prefix="bench-orders-") as name, processes(Path(name)) as group:
        exchange_url = start_exchange(group, "--history", "10m")
        engine = start_paper_engine(group, Path(name) / "home", exchange_url)
        peer_port = start_peer(group)
        orders = Orders(engine, exchange_url)
        buy_inventory(engine)
        rounds = _rounds(orders, engine, peer_port)
        half = statistics.median(ours.per_second for ours, _ in rounds) / 2
        paced = [
            (orders.pace(engine.port, half, ROUND_S), orders.pace(peer_port, half, ROUND_S)) for _ in range(ROUNDS)
        ]
    note = f"at {half:.0f}/s, half of our most; the peer's figure is its own p99 there plus one fsync's"
    floor = fsync_ms()[1]
    return {
        "orders_http": _throughput(rounds, "no simulated way to the paper venue: one commit an order"),
        "orders_http_p99": Row(
            _median(_p99_ms(ours) for ours, _ in paced), _median(_p99_ms(peer) for _, peer in paced) + floor, "ms", note
        ),
    }


def measure_adapter() -> dict[str, Row]:
    """The same through the Binance adapter to the simulated exchange: two commits and a venue's answer an order.

    Raises:
        RuntimeError: as ``measure``.
    """
    with tempfile.TemporaryDirectory(prefix="bench-adapter-") as name, processes(Path(name)) as group:
        deposits = [part for deposit in DEPOSITS for part in ("--balance", deposit)]
        exchange_url = start_exchange(group, "--history", "10m", "--limit-factor", "10000", *deposits)
        engine = start_adapter_engine(group, Path(name) / "home", exchange_url)
        peer_port = start_peer(group)
        rounds = _rounds(Orders(engine, exchange_url), engine, peer_port)
    return {"orders_adapter": _throughput(rounds, "orders over the exchange's WebSocket API")}


def _rounds(orders: Orders, engine: Engine, peer_port: int) -> list[tuple[LoadResult, LoadResult]]:
    """Alternate between engine and peer."""
    for port in (engine.port, peer_port):
        orders.press(port, WARM_UP_S)
    return [(orders.press(engine.port, ROUND_S), orders.press(peer_port, ROUND_S)) for _ in range(ROUNDS)]


def _throughput(rounds: list[tuple[LoadResult, LoadResult]], note: str) -> Row:
    ours, peer = (statistics.median(result.per_second for result in side) for side in zip(*rounds, strict=True))
    return Row(ours, peer, "orders/s", note)


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _p99_ms(result: LoadResult) -> float:
    return result.quantile_s(0.99) * 1000
