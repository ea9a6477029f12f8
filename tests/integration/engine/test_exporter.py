"""The exporter: the trader's figures from its journal, and nothing that could trade."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine_service.api.routes import ROUTES
from tests.integration.engine.process import EngineProcess, free_port

COUNTERS = (
    "nhmm_orders_submitted_total",
    "nhmm_orders_accepted_total",
    "nhmm_orders_denied_total",
    "nhmm_fills_total",
    "nhmm_fees_total",
)


@pytest.fixture(scope="module")
def twin(engine: EngineProcess) -> Iterator[str]:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NHMM_", "BINANCE_"))}
    place = ("--home", str(engine.home), "--port", str(port))
    process = subprocess.Popen(
        [sys.executable, "-m", "engine_service.main", "--role", "exporter", *place],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == f"ready http://127.0.0.1:{port}\n"
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def ask(url: str, engine: EngineProcess, method: str = "GET", *, scope: str = "admin") -> httpx.Response:
    headers = {"Authorization": f"Bearer {engine.token(scope)}"}
    return httpx.request(method, url, headers=headers, timeout=10, trust_env=False)


def figures(text: str, names: tuple[str, ...]) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines if name.partition("{")[0] in names}


def test_it_counts_what_the_trader_counts(engine: EngineProcess, twin: str) -> None:
    for number in range(3):
        sent = engine.order({"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}, f"exporter-{number}")
        assert sent.status_code == 201, sent.text
    too_small = engine.order({"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quote": "1"}, "exporter-denied")
    assert too_small.status_code in (403, 422)
    wanted = figures(engine.call("GET", "/metrics").text, COUNTERS)
    assert sum(wanted.values()) > 0
    for _ in range(100):
        found = figures(ask(f"{twin}/metrics", engine, scope="read").text, COUNTERS)
        if found == wanted:
            break
        time.sleep(0.1)
    assert found == wanted


def test_it_knows_state_and_sequence_of_the_journal(engine: EngineProcess, twin: str) -> None:
    text = ask(f"{twin}/metrics", engine).text
    assert 'nhmm_trading_state{state="READY"} 1.0' in text
    assert re.search(r"^nhmm_journal_sequence [1-9]", text, re.MULTILINE)
    assert re.search(r'^nhmm_position_quantity\{market="spot",symbol="BTCUSDT.BINANCE"\}', text, re.MULTILINE)
    assert ask(f"{twin}/readyz", engine).json()["ready"] is True


def test_no_other_route_is_mounted(engine: EngineProcess, twin: str) -> None:
    mounted = {"/healthz", "/livez", "/readyz", "/version", "/metrics"}
    for method, path in ROUTES:
        answer = ask(twin + path.replace("{", "").replace("}", ""), engine, method)
        if path in mounted and method == "GET":
            assert answer.status_code == 200, path
        else:
            assert answer.status_code in (404, 405), (method, path)


def test_figures_ask_for_a_token_and_a_loopback_host(engine: EngineProcess, twin: str) -> None:
    assert httpx.get(f"{twin}/metrics", trust_env=False).status_code == 401
    rebound = httpx.get(f"{twin}/metrics", headers={"Host": "evil.example"}, trust_env=False)
    assert rebound.status_code == 400


def test_without_a_trader_it_says_so_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine_service.exporter.TOKENS_WITHIN_S", 0.1)
    from engine_service import exporter  # noqa: PLC0415  # after the patch

    assert exporter.run(tmp_path, free_port()) == exporter.EXIT_CONFIGURATION
    assert not (tmp_path / "engine").exists()


@pytest.mark.parametrize("flag", ["--host=0.0.0.0", "--venue=binance", "--check-config", "--issue-token=somebody"])
def test_what_only_the_trader_does_is_refused_and_not_forgotten(flag: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine_service.main", "--role", "exporter", "--home", "nowhere", flag],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert flag.partition("=")[0] in done.stderr.splitlines()[-1]
