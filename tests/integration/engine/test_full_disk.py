"""A disk that is truly full: a small file system of its own, filled up under a real engine."""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange, only, wait_for

ROOM_MB = 64
BUY = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}


@dataclass
class Boxed(EngineProcess):
    """An engine whose folder stands on a file system that only processes beside ``holder`` see."""

    holder: int = 0

    def command(self) -> list[str]:
        inside = str(self.home).removeprefix(f"/proc/{self.holder}/root")
        command = [inside if part == str(self.home) else part for part in super().command()]
        beside = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", str(self.holder)]
        return [*beside, "sh", "-c", 'cd "$0" && exec "$@"', str(Path.cwd()), *command]


@pytest.fixture
def engine(exchange: SimulatedExchange, tmp_path: Path) -> Iterator[Boxed]:
    script = f"mount -t tmpfs -o size={ROOM_MB}m none '{tmp_path}' && echo mounted && exec cat"
    try:
        holder = subprocess.Popen(
            ["unshare", "-r", "-m", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    except FileNotFoundError:
        pytest.skip("unshare gives the engine a file system of its own; it is not installed")
    assert holder.stdout is not None
    running = Boxed(Path(f"/proc/{holder.pid}/root{tmp_path}/home"), exchange.url, holder=holder.pid)
    try:
        if holder.stdout.readline() != "mounted\n":
            pytest.skip("this machine lets nobody mount a file system of their own")
        yield running
    finally:
        if running.process is not None:
            running.process.kill()
            running.process.wait()
        holder.kill()
        holder.wait()


def fill(folder: Path) -> Path:
    """Take all the room that is left; return the file that has it."""
    filler = folder / "filler"
    block = b"x" * 4096
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(block)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                return filler


def until_full(engine: Boxed) -> None:
    """Trade until the journal's log needs a block that is not there."""
    for number in range(2_000):
        answer = engine.order({**BUY}, f"filling-up-{number}")
        if answer.status_code == 503:
            assert answer.json()["code"] == "JOURNAL_UNAVAILABLE", answer.text
            return
    raise AssertionError("the journal never needed another block")


@pytest.mark.parametrize("found_by", ["an order", "the halt"])
def test_a_halt_on_a_full_disk_is_kept_until_a_person_resumes(engine: Boxed, found_by: str) -> None:
    engine.start()
    assert engine.call("PUT", "/risk/config", json=WIDE_LIMITS).status_code == 200
    filler = fill(engine.home)
    if found_by == "an order":
        until_full(engine)
    halted = engine.call("POST", "/control/halt", json={"reason": "the disk is full"})
    assert (halted.status_code, halted.json()["kept"]) == (200, True), halted.text
    assert engine.process is not None
    engine.process.kill()
    engine.process.wait()
    filler.unlink()

    engine.start()
    assert engine.call("GET", "/readyz", token=None).json()["halted"]
    refused = engine.order({**BUY}, "still-halted")
    assert refused.json()["code"] == "TRADING_HALTED", refused.text
    assert engine.call("POST", "/control/resume", json={"reason": "room again"}).status_code == 200
    assert engine.stop() == 0

    engine.start()
    assert not engine.call("GET", "/readyz", token=None).json()["halted"]
    assert engine.order({**BUY}, "trading-again").status_code == 201


def test_what_the_venue_reports_to_a_full_disk_halts_nothing(engine: Boxed, exchange: SimulatedExchange) -> None:
    """The task that cannot write a report down is no part that broke: trading goes on where there is room again."""
    engine.start()
    assert engine.call("PUT", "/risk/config", json=WIDE_LIMITS).status_code == 200
    ask = Decimal(exchange.public("/api/v3/ticker/bookTicker", symbol="BTCUSDT")["askPrice"])
    below = {**BUY, "price": str((ask * Decimal("0.97")).quantize(Decimal("0.01")))}
    placed = engine.order(below, "rests-below", path="/orders/limit")
    assert placed.status_code == 201, placed.text
    resting = placed.json()["order"]["client_order_id"]
    filler = fill(engine.home)
    until_full(engine)
    exchange.market(symbol="BTCUSDT", jump=-0.05)
    wait_for(lambda: only(exchange.ledger()["orders"], client_order_id=resting)[0]["status"] == "FILLED")
    wait_for(lambda: 'nhmm_task_failures_total{task="user-stream"}' in engine.call("GET", "/metrics").text)
    time.sleep(0.5)  # a halt would be noted beside its cancels
    assert engine.process is not None
    engine.process.kill()
    engine.process.wait()
    filler.unlink()

    engine.start()
    assert not engine.call("GET", "/readyz", token=None).json()["halted"]
    assert engine.call("GET", f"/orders/{resting}").json()["order"]["status"] == "FILLED"
    assert engine.order({**BUY}, "trading-again").status_code == 201
