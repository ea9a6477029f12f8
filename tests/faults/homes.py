"""Homes as a real engine leaves them: copied at an instant while it lives, as a power cut would find them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine_service.storage.layout import EngineFiles
from tests.faults.engine_process import Engine
from tests.faults.load import Load
from tests.faults.stage import stage

TRIES = 5
#: The audit log and the checkpoints follow the journal within this time.
QUIET_S = 2.5
MORE_ORDERS = 5


class NoTail(RuntimeError):
    """The log was folded into the database between the two copies, every time."""


@dataclass(frozen=True, slots=True)
class Written:
    """Three homes of one engine.

    ``quiet``: everything of it was on the disk; ``acknowledged`` orders had been answered by then. ``later``: the same
    log with more behind it. ``closed``: after SIGTERM.
    """

    quiet: Path
    later: Path
    closed: Path
    acknowledged: tuple[str, ...]

    @property
    def tail(self) -> tuple[int, bytes]:
        """Where the log of ``quiet`` ends, and the log of ``later``: what lies beyond may be torn by a power cut."""
        return len(wal_of(self.quiet).read_bytes()), wal_of(self.later).read_bytes()


def wal_of(home: Path) -> Path:
    """Return the journal's write-ahead log."""
    journal = EngineFiles(home).journal
    return journal.with_name(journal.name + "-wal")


async def write_homes(folder: Path, seed: int, *, orders: int) -> Written:
    """Let an engine take twice ``orders`` and copy its home at two instants.

    Raises:
        NoTail: no two copies with a common log were had.
    """
    async with stage(folder, seed) as on:
        await _take_orders(on.load, orders)
        # A stop folds the log into the database: so half of the orders are in the one, half in the other.
        await on.engine.stop()
        await on.engine.start()
        await _take_orders(on.load, orders)
        for attempt in range(TRIES):
            await asyncio.sleep(QUIET_S)
            quiet, later = folder / f"quiet-{attempt}", folder / f"later-{attempt}"
            _copy(on.engine, quiet)
            acknowledged = tuple(sorted(_named(on.load)))
            await _take_orders(on.load, MORE_ORDERS)
            _copy(on.engine, later)
            if wal_of(later).read_bytes().startswith(wal_of(quiet).read_bytes()):
                await on.engine.stop()
                closed = folder / "closed"
                await asyncio.to_thread(shutil.copytree, on.engine.home, closed)
                return Written(quiet, later, closed, acknowledged)
    raise NoTail(f"the log was folded in each of {TRIES} tries")


def write_homes_now(folder: Path, seed: int, *, orders: int) -> Written:
    """Do the same where no event loop runs.

    Raises:
        NoTail: as ``write_homes`` says.
    """
    return asyncio.run(write_homes(folder, seed, orders=orders))


async def _take_orders(load: Load, number: int) -> None:
    wanted = len(_named(load)) + number
    task = asyncio.create_task(load.run())
    while len(_named(load)) < wanted:  # noqa: ASYNC110  # the load answers to its callers, not to us
        await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _named(load: Load) -> set[str]:
    return {answer.client_order_id for intent in load.intents for answer in intent.answers} - {""}


def _copy(engine: Engine, target: Path) -> None:
    """Copy the home while the engine stands still."""
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        shutil.copytree(engine.home, target, ignore=shutil.ignore_patterns("*.sqlite3-shm"))
    finally:
        os.kill(engine.pid, signal.SIGCONT)


def damaged(home: Path, target: Path, damage: Callable[[Path], None]) -> Path:
    """Return a copy of a home after ``damage`` was done to it."""
    shutil.copytree(home, target)
    damage(target)
    return target
