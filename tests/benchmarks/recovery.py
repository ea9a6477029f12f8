"""How soon an engine with a million events behind it is back: the process, its checks, the snapshot and the tail.

``python -m tests.benchmarks.recovery HOME`` is the process that is timed: all that the engine does before it talks to
its venue, by its own code.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine_service.settings import default_config_dir, load_settings
from engine_service.storage import snapshots
from engine_service.storage.layout import EngineFiles
from engine_service.storage.reader import SqliteReader
from engine_service.storage.replay import replay_home
from engine_service.storage.restore import begin, replay
from tests.benchmarks.long_journal import LongJournal
from tests.benchmarks.row import Row

EVENTS = 1_000_000
#: A snapshot is made at least every 50,000 events: so many are to be replayed at worst.
TAIL = 50_000
ROUNDS = 3
LIMIT_S = 5.0
WANTED_PER_S = 50_000.0
RECOVERED_S = 120.0


def measure(events: int = EVENTS, tail: int = TAIL) -> dict[str, Row]:
    """Write a journal, replay it from its beginning, then start an engine on it; rows against what is promised."""
    with tempfile.TemporaryDirectory(prefix="bench-recovery-") as name:
        home = Path(name) / "home"
        rate = build(home, events, tail)
        seconds = statistics.median(recovered_s(home) for _ in range(ROUNDS))
    return {
        "recovery_1m": Row(seconds, LIMIT_S, "s"),
        "replay_1m": Row(rate, WANTED_PER_S, "events/s"),
    }


def build(home: Path, events: int, tail: int) -> float:
    """Write a journal whose newest snapshot is ``tail`` events old; return how many events/s its replay passed.

    Raises:
        RuntimeError: the journal's parts contradict each other: then it is no journal that was measured.
    """
    journal = LongJournal(home)
    journal.append(events - tail)
    reader = SqliteReader(EngineFiles(home).journal)
    began = time.perf_counter()
    state, seq = replay(reader, begin("USDT"), 0)
    rate = seq / (time.perf_counter() - began)
    reader.close()
    snapshots.save(EngineFiles(home).snapshots, state, seq)
    journal.append(tail)
    journal.close()
    if not replay_home(home, until=seq).equals_live:
        raise RuntimeError("the replay differs from what it was a moment ago")
    return rate


def recovered_s(home: Path) -> float:
    """Return the seconds from the start of a process to its state being whole."""
    command = [sys.executable, "-m", "tests.benchmarks.recovery", str(home)]
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=RECOVERED_S, check=True)
    took = time.perf_counter() - began
    if "recovered " not in done.stdout:
        raise RuntimeError(f"the engine did not recover: {done.stdout}")
    return took


async def _recover(home: Path) -> int:
    from engine_service.bootstrap import build as build_engine  # noqa: PLC0415  # its loading is part of the time

    config = default_config_dir()
    settings = load_settings({"home": home, "venue": "paper", "log_level": "WARNING"}, {}, config)
    engine = await build_engine(settings, config)
    return engine.core.journal.last_seq


if __name__ == "__main__":
    print(f"recovered {asyncio.run(_recover(Path(sys.argv[1])))}", flush=True)
    # Nothing was begun that has to be ended: the process only stood up.
    os._exit(0)
