"""The simulated exchange as the default venue: how it is started, and whose account it is."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx

from orchestration.cli.layout import Home
from orchestration.cli.processes import ProcessGroup

DEMO_INTERVAL = "1s"
API_KEY = "demo"
API_SECRET = "demo-secret"  # noqa: S105  # the loopback exchange's documented default, worth nothing elsewhere
SIMULATED_KEYS = {"BINANCE_API_KEY": API_KEY, "BINANCE_API_SECRET": API_SECRET}
BALANCE = "USDT=100000"
KEPT_MARKETS = 3


def start_exchange(group: ProcessGroup, *, port: int, seed: int, bars: Path | None) -> str:
    """Start the exchange and return its address once it serves."""
    arguments = [
        "-m", "engine_service.exchange_sim", "--port", str(port), "--seed", str(seed),
        "--api-key", API_KEY, "--api-secret", API_SECRET, "--balance", BALANCE,
    ]  # fmt: skip
    if bars is not None:
        arguments += ["--bars", str(bars.resolve())]
    return group.wait_ready(group.start("exchange", arguments), timeout_s=90)


def listed_symbols(venue_url: str, quote: str = "USDT", most: int = 8) -> str:
    """Return the first spot symbols that the exchange prices in ``quote``, separated by commas.

    A recorded market lists what its file holds, so the watch list comes from the venue and not from a file.

    Raises:
        httpx.HTTPError: the exchange does not answer.
    """
    info = httpx.get(f"{venue_url}/api/v3/exchangeInfo", timeout=20.0, trust_env=False).raise_for_status().json()
    return ",".join([row["symbol"] for row in info["symbols"] if row["quoteAsset"] == quote][:most])


def fresh_market(home: Home) -> None:
    """Put what belongs to an earlier simulated market aside: its journal, tables and models.

    The exchange keeps market and accounts in memory, so a new exchange is a new account with other prices. The
    engine would rightly refuse to explain the old positions' disappearance, and bars of two markets must not
    mix in one table. The last few are kept, for reading and replay. Dagster's record of runs stays where it is.
    """
    belongings = [folder for folder in (home.engine, home.warehouse, home.registry) if folder.exists()]
    if not belongings:
        return
    archive = home.path / "archive"
    place = archive / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    place.mkdir(parents=True)
    for folder in belongings:
        folder.rename(place / folder.name)
    for old in sorted(archive.iterdir())[:-KEPT_MARKETS]:
        shutil.rmtree(old)
