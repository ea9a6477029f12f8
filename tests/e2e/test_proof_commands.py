"""``nhmm audit verify`` and ``nhmm replay`` on the home of a real engine: while it runs, after it, and after a kill."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine_service.client.client import EngineClient
from engine_service.client.errors import TryLater
from orchestration.cli.layout import Exit
from tests.e2e.command_line import Running, run
from tests.integration.simulated_exchange import free_port

ORDERS = 12


@dataclass(frozen=True)
class Homes:
    """The same engine's data folder: as it runs, after it was killed, and after it was stopped."""

    running: dict[str, subprocess.CompletedProcess[str]]
    killed: Path
    stopped: Path


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homes]:
    folder = tmp_path_factory.mktemp("proof")
    exchange = Running(folder, "exchange", "--port", str(free_port()), "--history", "10m")
    exchange_url = exchange.line().removeprefix("ready ")
    home = folder / "home"
    engine = _engine(folder, home, exchange_url)
    running = {"verify": _ask(folder, "audit", "verify", home), "replay": _ask(folder, "replay", home)}
    engine.end(signal.SIGKILL)
    killed = Path(shutil.copytree(home, folder / "killed"))
    _engine(folder, home, exchange_url).end()
    exchange.end()
    yield Homes(running, killed, home)


def _engine(folder: Path, home: Path, exchange_url: str) -> Running:
    engine = Running(
        folder,
        *("engine", "--home", str(home), "--port", str(free_port()), "--venue", "paper"),
        *("--venue-url", exchange_url, "--interval", "1s", "--strategies", "off"),
    )
    url = engine.line().removeprefix("ready ")
    token = json.loads((home / "engine" / "tokens.json").read_text(encoding="utf-8"))["trade"]
    with EngineClient(url, token) as client:
        for number in range(ORDERS):
            _order(client, "BUY" if number % 3 else "SELL", number)
    return engine


def _order(client: EngineClient, side: str, number: int) -> None:
    for _ in range(50):
        try:
            client.place_market_order("BTCUSDT.BINANCE", "BUY" if number == 0 else side, quote=Decimal(20 + number))
        except TryLater:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("no price came")


def _ask(cwd: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    *command, home = words
    return run(cwd, *map(str, command), "--json", "--home", str(home))


def _last(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_running_engine_is_checked_and_replayed_from_beside_it(homes: Homes) -> None:
    verdict, replayed = _last(homes.running["verify"]), _last(homes.running["replay"])
    assert homes.running["verify"].returncode == Exit.OK, verdict
    assert (verdict["first_bad"], verdict["kind"]) == (None, "")
    assert verdict["events"] > 4 * ORDERS
    assert homes.running["replay"].returncode == Exit.OK, replayed
    assert replayed["equals_live"] is True


@pytest.mark.parametrize("which", ["killed", "stopped"])
def test_an_engine_that_ended_either_way_leaves_a_journal_that_proves_itself(
    homes: Homes, tmp_path: Path, which: str
) -> None:
    home = homes.killed if which == "killed" else homes.stopped
    verified, replayed = _ask(tmp_path, "audit", "verify", home), _ask(tmp_path, "replay", home)
    assert verified.returncode == Exit.OK, _last(verified)
    assert replayed.returncode == Exit.OK, _last(replayed)
    assert _last(replayed)["equals_live"] is True
    assert len(_last(replayed)["state_hash"]) == 64
    assert _last(replayed)["events"] == _last(verified)["events"]


def test_for_people_the_replay_prints_rate_portfolio_and_verdict(homes: Homes, tmp_path: Path) -> None:
    done = run(tmp_path, "replay", "--home", str(homes.stopped))
    assert done.returncode == Exit.OK
    for words in ("events in", "BINANCE|spot|USDT: ", "state hash: ", "equal to the live state"):
        assert words in done.stdout


@pytest.mark.parametrize("what", ["checkpoints.jsonl", "engine/audit/events.jsonl", "engine/audit/orders.jsonl"])
def test_the_end_of_any_witness_cannot_be_cut_off(homes: Homes, tmp_path: Path, what: str) -> None:
    home = Path(shutil.copytree(homes.stopped, tmp_path / "home"))
    lines = (home / what).read_bytes().splitlines(keepends=True)
    (home / what).write_bytes(b"".join(lines[:-1]))
    done = _ask(tmp_path, "audit", "verify", home)
    assert done.returncode == Exit.FAILED
    assert _last(done)["kind"] in {"anchor_mismatch", "truncated"}
    assert _last(done)["first_bad"] > 0


def test_the_root_key_may_live_elsewhere(homes: Homes, tmp_path: Path) -> None:
    home = Path(shutil.copytree(homes.stopped, tmp_path / "home"))
    key = (home / "keys" / "journal.root").rename(tmp_path / "root")
    assert _ask(tmp_path, "audit", "verify", home).returncode == Exit.USAGE  # 2: unreadable
    assert _ask(tmp_path, "audit", "verify", "--key", key, home).returncode == Exit.OK


@pytest.mark.parametrize("words", [("audit", "verify"), ("replay",)])
def test_where_there_is_no_journal_it_is_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = _ask(tmp_path, *words, tmp_path / "nowhere")
    assert done.returncode == Exit.USAGE
    assert _last(done)["events"] == 0
    assert "Traceback" not in done.stderr
