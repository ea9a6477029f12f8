"""What the benchmarks measure against, as real processes: the simulated exchange, the engine, the bare peer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine_service.client.client import EngineClient
from orchestration.cli.layout import port_is_free
from orchestration.cli.processes import ProcessFailed, ProcessGroup
from tests.integration.simulated_exchange import free_port

READY_S = 90.0
DEMO_KEYS = {"BINANCE_API_KEY": "demo", "BINANCE_API_SECRET": "demo-secret"}

#: Every rail stays on; its limit is where a benchmark does not meet it.
RAISED = {
    "order_rate_per_min": 10_000_000,
    "duplicate_window_ms": 1,
    "max_notional": "100000",
    "symbol_exposure_cap": "100000000",
    "total_exposure_cap": "100000000",
    "venue_exposure_cap": "100000000",
    "strategy_budget_default": "100000000",
    "daily_loss": "1000000000",
    "max_drawdown_pct": "100",
    "equity_breaker_drop_pct": "100",
}


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine. ``token`` may place orders, ``read_token`` may look."""

    port: int
    token: str
    read_token: str
    pid: int


@contextmanager
def processes(folder: Path) -> Iterator[ProcessGroup]:
    """Yield a group that is stopped at the end; what its processes say goes to ``folder/processes.log``."""
    with (folder / "processes.log").open("w", encoding="utf-8") as log:
        group = ProcessGroup(lambda name, line: print(name, line, file=log))
        try:
            yield group
        finally:
            group.stop()


def start_exchange(group: ProcessGroup, *extra: str) -> str:
    """Start a simulated exchange and return its address."""
    arguments = ["-m", "engine_service.exchange_sim", "--port", str(free_port()), "--seed", "7", *extra]
    return group.wait_ready(group.start("exchange", arguments), READY_S)


def start_paper_engine(group: ProcessGroup, home: Path, exchange_url: str, *, latency_ms: int = 0) -> Engine:
    """Start an engine on paper money over the exchange's public data; an order travels for ``latency_ms``."""
    venue = ("--venue", "paper", "--paper-latency-ms", str(latency_ms))
    return _start_engine(group, home, exchange_url, venue)


def start_adapter_engine(group: ProcessGroup, home: Path, exchange_url: str) -> Engine:
    """Start an engine that trades on the simulated exchange by the Binance adapter, orders over its socket."""
    return _start_engine(group, home, exchange_url, ("--venue", "binance"), DEMO_KEYS)


def _start_engine(
    group: ProcessGroup, home: Path, exchange_url: str, venue: tuple[str, ...], keys: Mapping[str, str] | None = None
) -> Engine:
    """Start an engine with limits out of the way."""
    port = free_port()
    arguments = [
        "-m", "engine_service.main", "--home", str(home), "--port", str(port), *venue,
        "--venue-url", exchange_url, "--strategies", "off", "--interval", "1s",
    ]  # fmt: skip
    child = group.start("engine", arguments, keys)
    url = group.wait_ready(child, READY_S)
    tokens = json.loads((home / "engine" / "tokens.json").read_text(encoding="utf-8"))
    with EngineClient(url, tokens["admin"]) as client:
        client.put_risk_config(RAISED, reason="benchmark")
    return Engine(port, tokens["trade"], tokens["read"], child.popen.pid)


def start_peer(group: ProcessGroup) -> int:
    """Start the bare FastAPI application and return its port once it listens.

    Raises:
        ProcessFailed: it does not listen.
    """
    port = free_port()
    group.start("peer", ["-m", "tests.benchmarks.bare_post", str(port)])
    deadline = time.monotonic() + READY_S
    while port_is_free(port):
        group.require_alive()
        if time.monotonic() > deadline:
            raise ProcessFailed("peer", f"does not listen on port {port}")
        time.sleep(0.05)
    return port
