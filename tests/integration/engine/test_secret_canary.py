"""Secrets that would be known anywhere: after a hard session none of them stands in what the engine wrote or said."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange, wait_for

KEY, SECRET = "canarykey0123456789", "canarysecret9876543210"
GUESS = "canaryguess-" + "x" * 32
SYMBOL = "BTCUSDT.BINANCE"
#: What may hold a token: the file whose purpose it is.
TOKENS = "tokens.json"
pytestmark = pytest.mark.slow


class CanaryEngine(EngineProcess):
    """An engine whose log and output are files, which tells every detail, with keys from a file and a variable."""

    def spawn(self) -> subprocess.Popen[str]:
        """Start the process without waiting for it."""
        secret = self.home.parent / "secret.txt"
        secret.write_text(SECRET + "\n", encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NHMM_")}
        keys = {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET_FILE": str(secret), "NHMM_LOG_LEVEL": "DEBUG"}
        with (self.home.parent / "engine.log").open("a") as log:
            return subprocess.Popen(self.command(), env=kept | keys, stdout=subprocess.PIPE, stderr=log, text=True)


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedExchange]:
    log = tmp_path_factory.mktemp("venue") / "exchange.log"
    running = SimulatedExchange.start("--balance", "USDT=100000", api_key=KEY, api_secret=SECRET, log=log)
    yield running
    running.stop()


def start(engine: CanaryEngine) -> None:
    """Start and wait until it takes orders; the log is a file, so the ready line is all there is to read."""
    engine.home.mkdir(parents=True, exist_ok=True)
    engine.process = engine.spawn()
    assert engine.process.stdout is not None
    assert engine.process.stdout.readline() == f"ready {engine.url}\n"


def test_no_secret_is_written_or_said_whatever_happens(venue: SimulatedExchange, tmp_path: Path) -> None:
    engine = CanaryEngine(tmp_path / "home", venue.url)
    start(engine)
    said: list[str] = []

    def ask(method: str, path: str, **options: object) -> None:
        answer = engine.call(method, path, **options)  # type: ignore[arg-type]  # as httpx takes them
        said.append(f"{answer.headers} {answer.text}")

    def order(key: str) -> None:
        said.append(engine.order({"symbol": SYMBOL, "side": "BUY", "quantity": "0.001"}, key).text)

    ask("PUT", "/risk/config", json={"reason": "the same again", "duplicate_window_ms": "0"})
    order("canary-01")
    # What the venue answers with is text of somebody else's; its errors travel through logs and problems.
    for number, (kind, more) in enumerate(
        [
            ("error", {"http_status": 400, "code": -2010, "message": "Market is closed."}),
            ("error", {"http_status": 401, "code": -2014, "message": "API-key format invalid."}),
            ("drop_after", {}),
            ("disconnect", {}),
        ]
    ):
        venue.faults(kind, **({"count": 1} | more))
        order(f"canary-fault-{number}")
        venue.clear_faults()
    assert len({text.partition('"code"')[2][:30] for text in said}) >= 3, "the faults came through"
    headers = {"Authorization": f"Bearer {GUESS}"}
    for _ in range(3):
        ask("GET", "/orders", token=None, headers=headers)
    ask(
        "POST",
        "/orders/market",
        content=b'{"symbol": "' + GUESS.encode() + b'"',
        headers={"Content-Type": "application/json"},
    )
    ask("PUT", "/risk/config", json={"reason": "a change", "order_rate_per_min": "100"})
    for path in ("/metrics", "/orders", "/events?limit=500", "/risk/config", "/strategies", "/readyz", "/version",
                 "/openapi.json", "/account_snapshot", "/portfolio"):  # fmt: skip
        ask("GET", path)
    assert engine.process is not None
    engine.process.send_signal(signal.SIGKILL)
    engine.process.wait(20)
    start(engine)
    wait_for(lambda: engine.call("GET", "/readyz").status_code == 200)
    assert engine.stop() == 0

    tokens = json.loads((engine.home / "engine" / TOKENS).read_text(encoding="utf-8"))
    canaries = {"venue key": KEY, "venue secret": SECRET, "a guessed token": GUESS, **tokens}
    files = [path for path in sorted(tmp_path.rglob("*")) if path.is_file() and path.name != TOKENS]
    files.remove(tmp_path / "secret.txt")
    assert len(files) >= 6, files
    for name, canary in canaries.items():
        found = [str(path) for path in files if canary.encode() in path.read_bytes()]
        assert not found, f"{name} stands in {found}"
        assert not [text[:300] for text in said if canary in text], f"{name} was said in an answer"


def test_a_process_with_keys_leaves_no_core_and_its_files_are_its_owners(
    venue: SimulatedExchange, tmp_path: Path
) -> None:
    engine = CanaryEngine(tmp_path / "home", venue.url)
    start(engine)
    assert engine.process is not None
    assert resource.prlimit(engine.process.pid, resource.RLIMIT_CORE) == (0, 0)
    assert engine.stop() == 0
    private = [engine.home / "engine" / TOKENS, *(engine.home / "keys").iterdir()]
    assert len(private) >= 2
    assert not [str(path) for path in private if path.stat().st_mode & 0o077]
