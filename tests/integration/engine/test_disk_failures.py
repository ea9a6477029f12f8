"""A disk that refuses, under a real engine: what is not on disk is never said, sent or hidden."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from engine_service.storage.verify import verify_home
from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange

STRACE = shutil.which("strace")
pytestmark = pytest.mark.skipif(STRACE is None, reason="strace makes the system calls fail; it is not installed")
BUY = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}


@pytest.fixture
def engine(exchange: SimulatedExchange, tmp_path: Path) -> Iterator[EngineProcess]:
    running = EngineProcess(tmp_path, exchange.url).start()
    assert running.call("PUT", "/risk/config", json=WIDE_LIMITS).status_code == 200
    yield running
    assert running.process is not None
    running.process.kill()
    running.process.wait()


@contextmanager
def failing(engine: EngineProcess, call: str, error: str) -> Iterator[None]:
    """Let every such system call on the journal's log fail from now on."""
    assert engine.process is not None
    log = engine.home / "engine" / "journal.sqlite3-wal"
    inject = f"inject={call}:error={error}"
    command = [str(STRACE), "-f", "-q", "-P", str(log), "-e", inject, "-p", str(engine.process.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    status = Path(f"/proc/{engine.process.pid}/status")
    while "TracerPid:\t0\n" in status.read_text(encoding="utf-8"):
        assert tracer.poll() is None, "strace may not attach here"
        time.sleep(0.01)
    time.sleep(0.1)  # it attaches to one thread after the other
    yield
    tracer.terminate()
    tracer.wait()


def resting_order(engine: EngineProcess) -> str:
    prices = engine.call("GET", "/prices").json()["prices"]
    bid = Decimal(next(price["bid"] for price in prices if price["symbol"] == BUY["symbol"]))
    body = {**BUY, "price": str((bid * Decimal("0.97")).quantize(Decimal("0.01")))}
    answer = engine.order(body, "resting-order", path="/orders/limit")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["order"]["client_order_id"])


def known_orders(home: Path) -> int:
    with contextlib.closing(sqlite3.connect(home / "engine" / "journal.sqlite3")) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM orders").fetchone()[0])


def test_a_failing_sync_ends_the_process_and_the_order_was_never_said_to_be_placed(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    assert engine.process is not None
    with failing(engine, "fdatasync,fsync", "EIO"):
        with contextlib.suppress(httpx.HTTPError):
            answer = engine.order({**BUY, "quantity": "0.002"}, "lost-order-1", path="/orders/market")
            assert answer.status_code == 503, answer.text
            # The sync that failed was this order's, or another's just before it.
            assert answer.json()["code"] in {"JOURNAL_UNAVAILABLE", "SHUTTING_DOWN"}
        assert engine.process.wait(15) == 1
    assert verify_home(engine.home).kind == ""
    again = EngineProcess(engine.home, exchange.url).start()
    assert again.stop() == 0


def test_on_a_full_disk_no_order_is_taken_and_those_at_the_venue_can_be_cancelled(engine: EngineProcess) -> None:
    assert engine.process is not None
    order_id = resting_order(engine)
    before = known_orders(engine.home)
    with failing(engine, "pwrite64", "ENOSPC"):
        for number in range(2):
            answer = engine.order({**BUY}, f"refused-order-{number}")
            assert (answer.status_code, answer.json()["code"]) == (503, "JOURNAL_UNAVAILABLE"), answer.text
        assert engine.process.poll() is None
        assert engine.call("GET", "/readyz", token=None).status_code == 503
        cancelled = engine.call("DELETE", f"/orders/{order_id}")
        assert (cancelled.status_code, cancelled.json()["code"]) == (202, "CANCEL_PENDING"), cancelled.text
    assert engine.stop() in (0, 1)
    assert known_orders(engine.home) == before
    again = engine.start()
    for _ in range(50):
        status = again.call("GET", f"/orders/{order_id}").json()["order"]["status"]
        if status == "CANCELED":
            break
        time.sleep(0.1)
    assert status == "CANCELED"
    assert verify_home(engine.home).kind == ""
