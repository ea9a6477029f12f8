"""The research half against real neighbours: the simulated exchange and the engine, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from engine_service.client.client import EngineClient
from governance.registry import ModelRegistry
from orchestration.definitions import build
from orchestration.environment import ROOT, Configuration, load
from orchestration.resources import connect
from orchestration.schedules import range_tags
from tests.integration.simulated_exchange import SimulatedExchange, free_port, wait_for
from warehouse.store import Warehouse

HISTORY = "35m"
SYMBOLS = "BTCUSDT,ETHUSDT"


@dataclass
class Stack:
    """A running exchange and engine, and the definitions that point at them. ``first`` is the first research run."""

    exchange: SimulatedExchange
    engine: EngineClient
    configuration: Configuration
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    first: dg.ExecuteInProcessResult | None = None

    @property
    def home(self) -> Path:
        return self.configuration.environment.home

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.home / "warehouse")

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.home / "registry")

    def run(self, job: str, *, config: Mapping[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        """Run a job here, on yesterday and today where it has days."""
        today = datetime.now(UTC).date()
        days = range_tags((today - timedelta(days=1)).isoformat(), today.isoformat())
        partitioned = job in ("research_job", "backfill_job")
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            tags=days if partitioned else {},
            run_config=dict(config or {}),
            raise_on_error=False,
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("home")
    exchange = SimulatedExchange.start("--history", HISTORY, "--balance", "USDT=100000", log=home / "exchange.log")
    port = free_port()
    process = start_engine(home, port, exchange)
    try:
        engine = connect(f"http://127.0.0.1:{port}", home / "engine" / "tokens.json")
        engine.put_risk_config({"duplicate_window_ms": "0"}, reason="tests trade the same again")
        configuration = load(
            {
                "NHMM_HOME": str(home),
                "NHMM_VENUE_URL": exchange.url,
                "NHMM_ENGINE_URL": f"http://127.0.0.1:{port}",
                "NHMM_BAR_INTERVAL": "1s",
                "NHMM_SYMBOLS": SYMBOLS,
                "NHMM_SCHEDULES": "off",
            }
        )
        with dg.DagsterInstance.ephemeral() as instance:
            running = Stack(exchange, engine, configuration, build(configuration), instance)
            running.first = running.run("research_job")
            yield running
        engine.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)
        exchange.stop()


def start_engine(home: Path, port: int, exchange: SimulatedExchange) -> subprocess.Popen[str]:
    """Start the engine against the exchange, its strategies off: only the tests place orders."""
    command = [
        sys.executable, "-m", "engine_service.main", "--home", str(home), "--port", str(port),
        "--venue", "binance", "--venue-url", exchange.url, "--interval", "1s", "--strategies", "off",
    ]  # fmt: skip
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("NHMM_")},
        "BINANCE_API_KEY": exchange.api_key,
        "BINANCE_API_SECRET": exchange.api_secret,
    }
    out = (home / "engine.out").open("w")
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=out, stderr=(home / "engine.log").open("w"), text=True
    )
    out.close()
    try:
        wait_for(lambda: "ready" in (home / "engine.out").read_text() or process.poll() is not None, timeout_s=60)
        assert process.poll() is None, (home / "engine.log").read_text()[-2000:]
    except (AssertionError, TimeoutError):
        process.kill()
        raise
    return process
