"""The engine as a real process, for tests: started as a person would, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from engine_service.api.app import mounted
from engine_service.api.description import describe
from tests.integration.described import Described

ADMIN = "admin"
KEYS = {"BINANCE_API_KEY": "demo", "BINANCE_API_SECRET": "demo-secret"}


@cache
def described() -> Described:
    """Return the OpenAPI page that every answer is held against."""
    return Described(describe(mounted("test")))


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class EngineProcess:
    """One engine on a home folder. ``start`` may be called again after ``stop``: the home stays."""

    home: Path
    venue_url: str
    arguments: tuple[str, ...] = ("--strategies", "off", "--interval", "1s")
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Return the command line."""
        place = ["--home", str(self.home), "--port", str(self.port)]
        venue = ["--venue", "binance", "--venue-url", self.venue_url]
        return [sys.executable, "-m", "engine_service.main", *place, *venue, *self.arguments]

    def spawn(self) -> subprocess.Popen[str]:
        """Start the process without waiting for it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NHMM_")}
        return subprocess.Popen(
            self.command(),
            env=environment | KEYS,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start(self) -> EngineProcess:
        """Start and wait for the ready line."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.process = self.spawn()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        errors = self.process.stderr
        timer = threading.Timer(60, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert line == f"ready {self.url}\n", line + errors.read()
        threading.Thread(target=errors.read, daemon=True).start()
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the process and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    def token(self, name: str) -> str:
        """Return one of the engine's own tokens."""
        tokens: dict[str, str] = json.loads((self.home / "engine" / "tokens.json").read_text(encoding="utf-8"))
        return tokens[name]

    def call(self, method: str, path: str, *, token: str | None = ADMIN, **options: Any) -> httpx.Response:
        """Send one request with a token by name (``None``: without); its answer is one that the page describes."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token(token)}")
        answer = httpx.request(method, self.url + path, headers=headers, timeout=15, trust_env=False, **options)
        described().check(answer)
        return answer

    def reconciled(self, within_s: float = 5.0) -> dict[str, Any]:
        """Compare with the venue and return the answer; a comparison that the engine began by itself is waited for."""
        until = time.monotonic() + within_s
        answer = self.call("POST", "/reconcile")
        while answer.status_code == 409 and time.monotonic() < until:
            time.sleep(0.1)
            answer = self.call("POST", "/reconcile")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def order(self, body: dict[str, Any], key: str, *, path: str = "/orders/market", **options: Any) -> httpx.Response:
        """Place an order under an idempotency key."""
        return self.call("POST", path, json=body, headers={"Idempotency-Key": key}, **options)


WIDE_LIMITS = {
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
}
