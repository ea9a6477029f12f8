"""A home on read-only media: what proves a journal reads it all the same, and makes no file beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_service.execution.submit import submit
from engine_service.storage.layout import EngineFiles
from engine_service.storage.opening import open_journal
from engine_service.storage.replay import replay_home
from engine_service.storage.verify import Verdict, verify_home
from tests.fakes.engine import make_core, mark_of, market_order

NOBODY = 65_534


@pytest.fixture
def home() -> Iterator[Path]:
    """A journal at rest, in a place that other users reach too."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place) / "home"


async def _trade(home: Path) -> int:
    opened = open_journal(EngineFiles(home), account="test")
    core = make_core(journal=opened.journal)
    await asyncio.gather(*(submit(core, market_order(), mark_of()) for _ in range(20)))
    last = opened.journal.last_seq
    await asyncio.to_thread(opened.journal.close)
    return last


@contextlib.contextmanager
def read_only(home: Path) -> Iterator[None]:
    """Let nobody write the home, its owner included; root, whom no mode stops, is somebody else meanwhile."""
    root = os.geteuid() == 0
    for path in (home, *home.rglob("*")):
        if root:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(path.stat().st_mode & ~0o222)
    if root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)
        for path in (home, *home.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)


def test_a_journal_is_verified_and_replayed_where_nothing_can_be_written(home: Path) -> None:
    last = asyncio.run(_trade(home))
    with read_only(home):
        before = sorted(home.rglob("*"))
        verdict, replayed = verify_home(home), replay_home(home)
        during = sorted(home.rglob("*"))
    assert verdict == Verdict(events=last)
    assert replayed.events == last
    assert during == before
