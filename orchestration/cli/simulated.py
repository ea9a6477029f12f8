"""The simulated exchange as the default venue: how it is started, and whose account it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from orchestration.cli.layout import Home, Refused
from orchestration.cli.processes import ProcessGroup

DEMO_INTERVAL = "1s"
API_KEY = "demo"
API_SECRET = "demo-secret"  # noqa: S105  # the loopback exchange's documented default, worth nothing elsewhere
SIMULATED_KEYS = {"BINANCE_API_KEY": API_KEY, "BINANCE_API_SECRET": API_SECRET}
BALANCE = "USDT=100000"
KEPT_MARKETS = 3
#: Stands beside a journal that a simulated market made. Only what belongs to one is ever moved or removed.
SIMULATED_MARK = "simulated-market"
#: What a command beside a simulated market has to know of it; the rest is its own.
OF_MARKET = ("NHMM_VENUE", "NHMM_VENUE_URL", "NHMM_BAR_INTERVAL", "NHMM_SYMBOLS", "NHMM_MIN_TURNOVER")
#: The one table that is written without a market: the figures of models that were judged on files of bars.
OF_FILES = {"evaluations"}


def start_exchange(group: ProcessGroup, *, port: int, seed: int, bars: Path | None) -> str:
    """Start the exchange and return its address once it serves."""
    arguments = [
        "-m", "engine_service.exchange_sim", "--port", str(port), "--seed", str(seed),
        "--api-key", API_KEY, "--api-secret", API_SECRET, "--balance", BALANCE,
    ]  # fmt: skip
    if bars is not None:
        arguments += ["--bars", str(bars.resolve())]
    return group.wait_ready(group.start("exchange", arguments), timeout_s=90)


def listed_symbols(venue_url: str, quote: str = "USDT") -> list[str]:
    """Return the spot symbols that the exchange prices in ``quote``.

    A recorded market lists what its file holds, so the watch list comes from the venue and not from a file.

    Raises:
        httpx.HTTPError: the exchange does not answer.
    """
    info = httpx.get(f"{venue_url}/api/v3/exchangeInfo", timeout=20.0, trust_env=False).raise_for_status().json()
    return [row["symbol"] for row in info["symbols"] if row["quoteAsset"] == quote]


def fresh_market(home: Home) -> None:
    """Put what belongs to an earlier simulated market aside: its journal with what proves it, tables and models.

    The exchange keeps market and accounts in memory, so a new exchange is a new account with other prices. The
    engine would rightly refuse to explain the old positions' disappearance, and bars of two markets must not
    mix in one table. The last few are kept, for reading and replay. Dagster's record of runs stays where it is.
    Candidates from files of bars that no market has met yet (``nhmm evaluate --register``) are nobody's, and stay.

    Raises:
        Refused: what is there was not made by a simulated market, so it is not ours to move.
    """
    everything = (home.engine, home.keys, home.checkpoints, home.warehouse, home.registry)
    belongings = [path for path in everything if path.exists()]
    precious = [path for path in (home.journal, home.warehouse, home.registry) if path.exists()]
    marker = home.engine / SIMULATED_MARK
    if not marker.exists() and not home.journal.exists() and _is_of_files_alone(home):
        belongings = [path for path in belongings if path not in (home.warehouse, home.registry)]
        precious = []
    if precious and not marker.exists():
        raise Refused(f"{precious[0]} belongs to another venue than the simulated one; choose a folder: --home DIR")
    if belongings:
        _archive(belongings, home.path / "archive")
    home.engine.mkdir(parents=True)
    marker.touch()


def note_market(home: Home, variables: Mapping[str, str]) -> None:
    """Write down where the folder's simulated market is and what bars it has, for the commands that come after it."""
    known = {name: variables[name] for name in OF_MARKET if variables.get(name)}
    (home.engine / SIMULATED_MARK).write_text(json.dumps(known), encoding="utf-8")


def market_variables(home: Home) -> dict[str, str]:
    """Return what points at the folder's simulated market, without what this process's environment says already.

    Bars of two markets must not mix in one table: beside it nothing may be fetched from the real venue unasked.

    Raises:
        Refused: the note of it is there and cannot be read.
    """
    note = home.engine / SIMULATED_MARK
    try:
        known = json.loads(note.read_text(encoding="utf-8") or "{}")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise Refused(f"{note} cannot be read: {error}; choose another folder: --home DIR") from error
    return {name: str(known[name]) for name in OF_MARKET if name in known and not os.environ.get(name)}


def _is_of_files_alone(home: Home) -> bool:
    """True where tables and models hold what was judged on files and nothing of any market."""
    own = {home.warehouse: OF_FILES, home.registry: {"versions"}}
    return all({path.name for path in place.iterdir()} <= names for place, names in own.items() if place.exists())


def refuse_simulated(home: Home) -> None:
    """Keep another venue's account away from a journal that a simulated market made.

    Raises:
        Refused: there is one.
    """
    if home.journal.exists() and (home.engine / SIMULATED_MARK).exists():
        raise Refused(f"{home.journal} belongs to the simulated exchange; choose another folder: --home DIR")


def _archive(belongings: Sequence[Path], archive: Path) -> None:
    place = archive / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    place.mkdir(parents=True)
    for path in belongings:
        path.rename(place / path.name)
    for old in sorted(archive.iterdir())[:-KEPT_MARKETS]:
        shutil.rmtree(old)
