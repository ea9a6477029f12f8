"""What only shows after a while: orders at a steady pace, and memory after many of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.goals import Scale
from tests.benchmarks.order_requests import Orders, buy_inventory
from tests.benchmarks.processes import Engine, processes, start_exchange, start_paper_engine
from tests.benchmarks.row import Row

PER_SECOND = 500.0
VENUE_MS = 20
DURABLE_GOAL_MS = 50.0
MIB = 1024 * 1024


def measure_open_loop(scale: Scale) -> dict[str, Row]:
    """Send 500 orders a second to a venue 20 ms away: how long until each intent is on disk, 99th percentile.

    Raises:
        RuntimeError: an order was not answered 201.
    """
    with tempfile.TemporaryDirectory(prefix="bench-pace-") as name, processes(Path(name)) as group:
        exchange_url = start_exchange(group, "--history", "10m")
        engine = start_paper_engine(group, Path(name) / "home", exchange_url, latency_ms=VENUE_MS)
        orders = Orders(engine, exchange_url)
        buy_inventory(engine)
        orders.pace(engine.port, PER_SECOND / 4, 2.0)
        before = _commit_buckets(engine)
        result = orders.pace(engine.port, PER_SECOND, scale.open_loop_s)
        after = _commit_buckets(engine)
    durable_ms = 1000 * _quantile({edge: after[edge] - before[edge] for edge in after}, 0.99)
    note = (
        f"{scale.open_loop_s:.0f} s, venue {VENUE_MS} ms; the peer's figure is the goal; answered p99 "
        f"{result.quantile_s(0.99) * 1000:.0f} ms from the planned send, 0 errors"
    )
    return {"open_loop": Row(durable_ms, DURABLE_GOAL_MS, "ms", note)}


def measure_memory(scale: Scale) -> dict[str, Row]:
    """Resident memory and 99th percentile after many orders against those after few.

    Raises:
        RuntimeError: an order was not answered 201.
    """
    few, many = scale.memory_orders
    timed = scale.timed_orders
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as name, processes(Path(name)) as group:
        exchange_url = start_exchange(group, "--history", "10m")
        engine = start_paper_engine(group, Path(name) / "home", exchange_url)
        orders = Orders(engine, exchange_url)
        buy_inventory(engine)
        orders.press(engine.port, 3600, count=few - timed)
        first = orders.press(engine.port, 3600, count=timed)
        small = _resident_mib(engine)
        orders.press(engine.port, 360_000, count=many - few - timed)
        last = orders.press(engine.port, 3600, count=timed)
        large = _resident_mib(engine)
    note = f"after {many:,} orders against after {few:,}"
    return {
        "memory_growth": Row(large, small, "MiB", note),
        "memory_growth_p99": Row(last.quantile_s(0.99) * 1000, first.quantile_s(0.99) * 1000, "ms", note),
    }


def _resident_mib(engine: Engine) -> float:
    return float(psutil.Process(engine.pid).memory_info().rss) / MIB


def _commit_buckets(engine: Engine) -> dict[float, float]:
    """Return the cumulative buckets of the time from hand-over to fsync, by upper edge in seconds."""
    headers = {"Authorization": f"Bearer {engine.read_token}"}
    url = f"http://127.0.0.1:{engine.port}/metrics"
    text = httpx.get(url, headers=headers, timeout=20.0, trust_env=False).raise_for_status().text
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "nhmm_journal_commit_seconds_bucket"
    }


def _quantile(cumulative: dict[float, float], share: float) -> float:
    """Return a quantile of a histogram, in seconds, by the straight line within its bucket."""
    edges = sorted(cumulative)
    wanted = share * cumulative[edges[-1]]
    lower, below = 0.0, 0.0
    for edge in edges:
        if cumulative[edge] >= wanted:
            within = cumulative[edge] - below
            return lower + (edge - lower) * (wanted - below) / within if edge != float("inf") else lower
        lower, below = edge, cumulative[edge]
    return lower
