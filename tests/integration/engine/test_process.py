"""The engine as a process: how it starts, refuses, stops and comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine_service.storage.replay import replay_home
from tests.integration.engine.process import KEYS, WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import CROWDED, SimulatedExchange

BUY = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}


def _refusal(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Return the exit code and the lines on standard error that are not log records."""
    _out, errors = process.communicate(timeout=70)
    return process.returncode, [line for line in errors.splitlines() if line and not line.startswith("{")]


def test_a_restart_keeps_orders_portfolio_limits_and_keys(exchange: SimulatedExchange, tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, exchange.url).start()
    engine.call("PUT", "/risk/config", json=WIDE_LIMITS)
    first = engine.order(BUY, "kept-across-a-restart").json()
    began = time.monotonic()
    assert engine.stop() == 0
    assert time.monotonic() - began < 5.0 * CROWDED
    engine.start()
    again = engine.order(BUY, "kept-across-a-restart").json()
    assert again["order"]["client_order_id"] == first["order"]["client_order_id"]
    assert engine.call("GET", "/risk/config").json()["total_exposure_cap"] == WIDE_LIMITS["total_exposure_cap"]
    portfolio = engine.call("GET", "/portfolio").json()
    assert float(portfolio["fees"]) > 0
    assert engine.stop() == 0


def test_a_halt_outlives_the_process_until_a_person_resumes(exchange: SimulatedExchange, tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, exchange.url).start()
    engine.call("PUT", "/risk/config", json=WIDE_LIMITS)
    assert engine.call("POST", "/control/halt", token="read", json={"reason": "a test"}).json()["halted"]
    refused = engine.order(BUY, "while-halted-1")
    assert (refused.status_code, refused.json()["code"]) == (423, "TRADING_HALTED")
    engine.stop(signal.SIGKILL)
    engine.start()
    assert engine.call("GET", "/readyz", token=None).json()["halted"]
    assert engine.order(BUY, "still-halted-1").status_code == 423
    silent = engine.call("POST", "/control/resume", json={})
    assert (silent.status_code, silent.json()["code"]) == (422, "REASON_REQUIRED")
    assert engine.call("POST", "/control/resume", json={"reason": "looked into it"}).status_code == 200
    assert engine.order(BUY, "trading-again-1").status_code == 201
    assert engine.stop() == 0


def test_a_repeated_resume_lifts_no_halt_that_came_after_it(exchange: SimulatedExchange, tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, exchange.url).start()

    def resume(reason: str = "looked into it") -> tuple[int, object]:
        headers = {"Idempotency-Key": "resume-once"}
        answer = engine.call("POST", "/control/resume", json={"reason": reason}, headers=headers)
        return answer.status_code, answer.json().get("halted", answer.json().get("code"))

    engine.call("POST", "/control/halt")
    assert [resume(), resume()] == [(200, False)] * 2
    engine.call("POST", "/control/halt", json={"reason": "something else"})
    engine.stop(signal.SIGKILL)
    engine.start()
    assert resume() == (200, True)
    assert resume("another reason") == (422, "IDEMPOTENCY_KEY_REUSED")
    assert engine.call("GET", "/readyz", token=None).json()["halted"]
    assert engine.stop() == 0
    replayed = replay_home(tmp_path)
    assert (replayed.equals_live, replayed.tables_agree) == (True, True)


def test_a_second_engine_on_the_same_folder_refuses(exchange: SimulatedExchange, tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, exchange.url).start()
    code, words = _refusal(EngineProcess(tmp_path, exchange.url).spawn())
    assert code == 75
    assert len(words) == 1
    assert "already runs an engine" in words[0]
    assert engine.stop() == 0


def test_a_taken_port_is_one_clear_line(exchange: SimulatedExchange, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, words = _refusal(EngineProcess(tmp_path, exchange.url, port=other.getsockname()[1]).spawn())
    assert code == 1
    assert len(words) == 1
    assert "in use" in words[0]


def test_a_mistyped_variable_is_named_in_the_log_and_nothing_is_refused_for_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        command = EngineProcess(tmp_path, "http://127.0.0.1:1", port=other.getsockname()[1]).command()
        environment = os.environ | KEYS | {"NHMM_VENU": "binance"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "in use" in done.stderr.splitlines()[-1]
    assert "NHMM_VENU is not read by anything; NHMM_VENUE is meant?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--port", "70000"), "port = 70000"),
        (("--venue", "nowhere"), "venue = nowhere"),
        (("--host", "0.0.0.0"), "host = 0.0.0.0"),
        (("--interval", "7m"), "interval = 7m"),
        (("--venue-url", "ftp://x"), "venue_url = ftp://x"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_starts(
    exchange: SimulatedExchange, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    code, words = _refusal(EngineProcess(tmp_path, exchange.url, arguments).spawn())
    assert code == 4
    assert len(words) == 1
    assert named in words[0]
    assert not (tmp_path / "engine" / "journal.sqlite3").exists()


def test_wrong_usage_is_exit_2(exchange: SimulatedExchange, tmp_path: Path) -> None:
    code, _words = _refusal(EngineProcess(tmp_path, exchange.url, ("--no-such-flag",)).spawn())
    assert code == 2


def test_a_changed_journal_is_found_and_nothing_trades_on_it(exchange: SimulatedExchange, tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, exchange.url).start()
    assert engine.stop() == 0
    import sqlite3  # noqa: PLC0415  # only this test edits a journal

    connection = sqlite3.connect(tmp_path / "engine" / "journal.sqlite3")
    connection.execute("UPDATE events SET at_ms = at_ms + 1 WHERE seq = 2")
    connection.commit()
    connection.close()
    code, words = _refusal(engine.spawn())
    assert code == 78
    assert "event 2 is altered" in words[0]


def test_importing_the_engine_is_light() -> None:
    program = """
import sys, time
began = time.perf_counter()
import engine_service.main
took = time.perf_counter() - began
heavy = {"dagster", "pandas", "hmmlearn", "sklearn", "polars", "scipy", "matplotlib"} & set(sys.modules)
rss_kb = int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
print(took, rss_kb // 1024, sorted(heavy))
"""
    done = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split(
            maxsplit=2
        )
        for _ in range(3)
    ]
    assert {row[2].strip() for row in done} == {"[]"}
    assert max(int(row[1]) for row in done) < 150
