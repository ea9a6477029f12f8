"""The check beside the running engine: silent on a sound journal, a halt on a corrupt one, a warning on neither."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.runtime.journal_watch import check
from engine_service.storage.layout import EngineFiles
from tests.fakes.engine import make_core, mark_of, market_order, open_journal

pytestmark = pytest.mark.anyio


async def running(home: Path) -> EngineCore:
    core = make_core(journal=open_journal(home))
    await submit(core, market_order(), mark_of())
    await core.settle()
    return core


async def test_a_sound_journal_is_checked_while_it_is_written(tmp_path: Path) -> None:
    core = await running(tmp_path)
    await check(core, tmp_path)
    assert not core.state.halted
    core.journal.close()


async def test_a_corrupt_journal_stops_trading_with_the_place_in_the_reason(tmp_path: Path) -> None:
    core = await running(tmp_path)
    with sqlite3.connect(EngineFiles(tmp_path).journal) as forger:
        forger.execute("UPDATE events SET at_ms = at_ms + 1 WHERE seq = 4")
    forger.close()
    await check(core, tmp_path)
    assert core.state.image.halt is not None
    assert "event 4 is altered" in core.state.image.halt.reason
    core.journal.close()


async def test_a_check_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    core = await running(tmp_path)
    EngineFiles(tmp_path).root_key.rename(tmp_path / "elsewhere")
    await check(core, tmp_path)
    assert not core.state.halted
    core.journal.close()
