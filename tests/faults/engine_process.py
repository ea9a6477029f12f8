"""The engine as a process that may be killed at any moment and started again on the same home."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.integration.simulated_exchange import API_KEY, API_SECRET, ROOT, free_port

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
READY_WITHIN_S = 70.0
STOP_WITHIN_S = 20.0
ENGINE = ("engine_service.main",)

#: Every rail stays on, with its limit where the load does not meet it: what is tested is recovery.
WIDE_LIMITS = {
    "max_notional": "100000",
    "order_rate_per_min": "1000000",
    "strategy_order_rate_per_min": "1000000",
    "duplicate_window_ms": "0",
    "symbol_exposure_cap": "1000000000",
    "total_exposure_cap": "1000000000",
    "venue_exposure_cap": "1000000000",
    "strategy_budget_default": "1000000000",
    "daily_loss": "1000000000",
    "max_drawdown_pct": "100",
    "equity_breaker_drop_pct": "100",
    "max_in_doubt": "1000",
    "breaker_min_calls": "100000",
}


class EngineFailed(RuntimeError):
    """The engine ended by itself, or did not become ready."""


@dataclass
class Engine:
    """One engine on one home. What it logs is appended to ``log``, over all its lives."""

    home: Path
    venue_url: str
    log: Path
    port: int = field(default_factory=free_port)
    process: Process | None = None
    starts_s: list[float] = field(default_factory=list)
    #: Takes the place of ``engine_service.main``: a module and its own arguments.
    launcher: tuple[str, ...] = ENGINE
    arguments: tuple[str, ...] = ()
    venue: str = "binance"
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def returncode(self) -> int | None:
        return self._running().returncode

    async def spawn(self, *, failpoint: str = "") -> None:
        """Start the process without waiting for it; with ``failpoint`` (NAME:NTH) it will kill itself there."""
        self.home.mkdir(parents=True, exist_ok=True)
        launcher = ["tests.faults.failpoints", failpoint] if failpoint else self.launcher
        command = ["-m", *launcher, "--home", str(self.home), "--port", str(self.port)]
        # USD-M has no bars of a second.
        interval = "1m" if self.venue.endswith("futures") else "1s"
        command += ["--venue", self.venue, "--venue-url", self.venue_url, "--interval", interval]
        command += ["--strategies", "off", "--symbols", ",".join(SYMBOLS), *self.arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NHMM_")}
        # The judges read without end.
        environment |= {"BINANCE_API_KEY": API_KEY, "BINANCE_API_SECRET": API_SECRET, "NHMM_READS_PER_MIN": "6000000"}
        environment |= self.variables
        with self.log.open("ab") as errors:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=errors
            )

    async def start(self, *, failpoint: str = "") -> None:
        """Start and wait until it is ready: recovered and compared with the exchange.

        Raises:
            EngineFailed: it ended, or was not ready in time.
        """
        began = time.monotonic()
        await self.spawn(failpoint=failpoint)
        output = self._running().stdout
        if output is None:
            raise EngineFailed("the engine has no standard output")
        try:
            line = await asyncio.wait_for(output.readline(), READY_WITHIN_S)
        except TimeoutError:
            line = b""
        if line.decode().strip() != f"ready {self.url}":
            code = await self.kill()
            raise EngineFailed(f"not ready, exit code {code}: {self.log.read_text(encoding='utf-8')[-1500:]}")
        self.starts_s.append(time.monotonic() - began)

    async def refused(self) -> tuple[int, str]:
        """Start, expect no service: return the exit code and what it said.

        Raises:
            TimeoutError: it runs on.
        """
        before = self.log.stat().st_size if self.log.exists() else 0
        await self.spawn()
        try:
            code = await asyncio.wait_for(self._running().wait(), READY_WITHIN_S)
        finally:
            await self.kill()
        return code, self.log.read_bytes()[before:].decode("utf-8", "replace")

    async def kill(self) -> int:
        """SIGKILL; return the exit code once the process is gone."""
        process = self._running()
        if process.returncode is None:
            process.kill()
        return await process.wait()

    async def ended(self) -> int:
        """Wait until something else has ended it; return the exit code."""
        return await self._running().wait()

    def terminate(self) -> None:
        """SIGTERM, without waiting for what comes of it."""
        self._running().terminate()

    async def stop(self) -> int:
        """SIGTERM; return the exit code."""
        self.terminate()
        return await asyncio.wait_for(self._running().wait(), STOP_WITHIN_S)

    def token(self, name: str) -> str:
        """Return one of the engine's own tokens."""
        tokens = json.loads((self.home / "engine" / "tokens.json").read_text(encoding="utf-8"))
        return str(tokens[name])

    async def call(self, method: str, path: str, **options: Any) -> Any:
        """Send one request with the admin token; return the body of a 2xx answer."""
        headers = {"Authorization": f"Bearer {self.token('admin')}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False) as client:
            answer = await client.request(method, path, **options)
            answer.raise_for_status()
            return answer.json()

    async def gauge(self, name: str) -> float:
        """Read one metric that has no labels."""
        headers = {"Authorization": f"Bearer {self.token('read')}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False) as client:
            page = (await client.get("/metrics")).text
        return float(next(line.split()[1] for line in page.splitlines() if line.startswith(f"{name} ")))

    async def pages(self, path: str, name: str) -> list[dict[str, Any]]:
        """Return every row of a list that is given in pages."""
        rows: list[dict[str, Any]] = []
        params = {"limit": "500"}
        while True:
            page = await self.call("GET", path, params=params)
            rows += page[name]
            if not page["cursor"]:
                return rows
            params["cursor"] = page["cursor"]

    async def events(self) -> list[dict[str, Any]]:
        """Return the whole journal."""
        found: list[dict[str, Any]] = []
        while page := (
            await self.call("GET", "/events", params={"after": str(found[-1]["seq"] if found else 0), "limit": "500"})
        )["events"]:
            found += page
        return found

    def _running(self) -> Process:
        if self.process is None:
            raise EngineFailed("the engine was never started")
        return self.process
