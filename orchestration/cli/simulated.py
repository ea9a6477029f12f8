"""The simulated exchange as the default venue: how it is started, and whose account it is."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from orchestration.cli.layout import Home
from orchestration.cli.processes import ProcessGroup

DEMO_INTERVAL = "1s"
API_KEY = "demo"
API_SECRET = "demo-secret"  # noqa: S105  # the loopback exchange's documented default, worth nothing elsewhere
SIMULATED_KEYS = {"BINANCE_API_KEY": API_KEY, "BINANCE_API_SECRET": API_SECRET}
BALANCE = "USDT=100000"
KEPT_JOURNALS = 5


def start_exchange(group: ProcessGroup, *, port: int, seed: int, bars: Path | None) -> str:
    """Start the exchange and return its address once it serves."""
    arguments = [
        "-m", "engine_service.exchange_sim", "--port", str(port), "--seed", str(seed),
        "--api-key", API_KEY, "--api-secret", API_SECRET, "--balance", BALANCE,
    ]  # fmt: skip
    if bars is not None:
        arguments += ["--bars", str(bars.resolve())]
    return group.wait_ready(group.start("exchange", arguments), timeout_s=90)


def fresh_account(home: Home) -> None:
    """Put the journal of an earlier simulated account aside.

    The exchange keeps its accounts in memory: a new exchange is a new account, and a journal belongs to one
    account. The engine would rightly refuse to explain the old positions' disappearance. The last few journals
    are kept beside it, for reading and replay.
    """
    if not (home.engine / "journal.sqlite").exists():
        return
    archive = home.path / "engine-archive"
    archive.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    home.engine.rename(archive / stamp)
    for old in sorted(archive.iterdir())[:-KEPT_JOURNALS]:
        shutil.rmtree(old)
