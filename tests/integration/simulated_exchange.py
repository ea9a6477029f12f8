"""The simulated exchange as a real process, for tests that talk to it over real sockets."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
API_KEY = "demo"
API_SECRET = "demo-secret"
BALANCES = ["--balance", "USDT=100000", "--balance", "BTC=10", "--balance", "BNB=100"]
_START_S = 60.0
_STOP_S = 10.0
#: Limits in seconds are meant for an idle machine; the tests share its cores, sometimes with more than they know.
CROWDED = 4.0


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SimulatedExchange:
    """A running exchange. Use `start`, talk to `url` and `ws_url`, end with `stop`."""

    def __init__(self, process: subprocess.Popen[str], url: str, api_key: str, api_secret: str) -> None:
        self.process = process
        self.url = url
        self.ws_url = url.replace("http://", "ws://", 1)
        self.api_key = api_key
        self.api_secret = api_secret
        self._http = httpx.Client(base_url=url, timeout=10)

    @classmethod
    def start(
        cls, *arguments: str, api_key: str = API_KEY, api_secret: str = API_SECRET, log: Path | None = None
    ) -> SimulatedExchange:
        """Start `python -m engine_service.exchange_sim` on a free port and wait until it serves.

        Args:
            arguments: further command line arguments, such as `--accounts FILE`.
            log: file for its standard error; without one it goes to the test's.

        Raises:
            RuntimeError: it ended, or did not say `ready` in time.
        """
        port = free_port()
        command = [sys.executable, "-m", "engine_service.exchange_sim", "--port", str(port), "--seed", "7", *arguments]
        if "--accounts" not in arguments:
            command += ["--api-key", api_key, "--api-secret", api_secret]
            command += [] if "--balance" in arguments else BALANCES
        with log.open("w") if log else nullcontext() as errors:
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
        return cls(process, _ready_url(process, log), api_key, api_secret)

    def ledger(self) -> dict[str, Any]:
        """`GET /_sim/ledger`: the truth to compare with."""
        return dict(self._answer(self._http.get("/_sim/ledger")))

    def faults(self, kind: str, **fields: object) -> dict[str, Any]:
        """`POST /_sim/faults`: put a fault in force; returns it with its id."""
        return dict(self._answer(self._http.post("/_sim/faults", json={"kind": kind, **fields})))

    def clear_faults(self) -> None:
        """`DELETE /_sim/faults`: lift all."""
        self._answer(self._http.delete("/_sim/faults"))

    def market(self, **fields: object) -> object:
        """`POST /_sim/market`: jump, freeze, volatility."""
        return self._answer(self._http.post("/_sim/market", json=fields))

    def regimes(self, **query: str | int) -> object:
        """`GET /_sim/regimes`: the true regimes."""
        return self._answer(self._http.get("/_sim/regimes", params=query))

    def public(self, path: str, **query: str | int) -> Any:
        """A public REST answer of the venue."""
        return self._answer(self._http.get(path, params=query))

    def stop(self) -> int:
        """SIGTERM, wait, and return the exit code."""
        self._http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(_STOP_S)
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        response.raise_for_status()
        return response.json()


def wait_for(condition: Any, timeout_s: float = 30.0, every_s: float = 0.02) -> Any:
    """Poll until the condition holds and return its value.

    Raises:
        TimeoutError: it never held.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every_s)
    raise TimeoutError("the condition never held")


def only(rows: list[dict[str, Any]], **fields: object) -> list[dict[str, Any]]:
    """The rows of a ledger table whose fields have these values."""
    return [row for row in rows if _fits(row, fields)]


def _fits(row: Mapping[str, Any], fields: Mapping[str, object]) -> bool:
    return all(row.get(name) == value for name, value in fields.items())


def _ready_url(process: subprocess.Popen[str], log: Path | None) -> str:
    if process.stdout is None:
        raise RuntimeError("the exchange has no standard output")
    readable, _, _ = select.select([process.stdout], [], [], _START_S)
    line = process.stdout.readline().strip() if readable else ""
    if not line.startswith("ready "):
        process.kill()
        said = log.read_text()[-500:] if log else line
        raise RuntimeError(f"the exchange did not become ready, exit code {process.wait()}: {said}")
    return line.removeprefix("ready ")
