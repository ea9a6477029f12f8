"""An order's events and fills are found without an index over all events; journals that have one go on with it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from engine_service.domain import events as e
from engine_service.execution.cancel import cancel
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.storage.journal import SqliteJournal
from engine_service.storage.keys import load_key
from engine_service.storage.layout import EngineFiles
from engine_service.storage.port import FillFilter, Recorded
from engine_service.storage.replay import replay_home
from engine_service.storage.verify import verify_home
from tests.fakes.engine import limit_order, make_core, mark_of, market_order, open_journal, restart

pytestmark = pytest.mark.anyio
OLD_TABLES = Path(__file__).with_name("tables_with_order_index.sql")


async def trade(core: EngineCore) -> None:
    """Orders of which some live through several commits, with others' events in between."""
    resting = await asyncio.gather(*(submit(core, limit_order("49000"), mark_of()) for _ in range(3)))
    await asyncio.gather(*(submit(core, market_order(), mark_of()) for _ in range(6)))
    await cancel(core, resting[0].order.client_order_id, principal="tester")
    await submit(core, market_order(), mark_of())
    await cancel(core, resting[1].order.client_order_id, principal="tester")
    await core.settle()


def assert_all_is_found(journal: SqliteJournal) -> int:
    """Compare with a search through the whole journal; return how many orders there are."""
    everything = journal.events_after(0, 10_000)
    by_order: dict[str, list[Recorded]] = {}
    for recorded in everything:
        if isinstance(recorded.event, e.OrderEvent):
            by_order.setdefault(recorded.event.client_order_id, []).append(recorded)
    for client_order_id, events in by_order.items():
        assert journal.order_history(client_order_id) == events
        filled = [row.seq for row in events if isinstance(row.event, e.OrderFilled)]
        found = journal.fills(FillFilter(client_order_id=client_order_id))
        assert [row.seq for row in found] == filled
        assert all(row.fill.client_order_id == client_order_id for row in found)
    assert journal.order_history("nobody's") == []
    assert journal.fills(FillFilter(client_order_id="nobody's")) == []
    return len(by_order)


def runs_in(home: Path) -> list[tuple[str, int]]:
    connection = sqlite3.connect(EngineFiles(home).journal)
    runs = connection.execute("SELECT client_order_id, seq FROM order_runs ORDER BY seq").fetchall()
    connection.close()
    return runs


async def test_every_event_and_fill_of_an_order_is_found(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    await trade(make_core(journal=journal))
    await journal.flush()
    assert assert_all_is_found(journal) == 10
    journal.close()
    assert verify_home(tmp_path).kind == ""


async def test_an_order_that_was_written_in_one_go_needs_no_row_of_its_own(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    plan = await submit(core, market_order(), mark_of())
    written = runs_in(tmp_path)
    history = journal.order_history(plan.order.client_order_id)
    begun = [row for row in history[1:] if row.seq - 1 not in {each.seq for each in history}]
    assert [(plan.order.client_order_id, row.seq) for row in begun] == written
    journal.close()


async def test_a_restart_in_the_middle_of_a_run_loses_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    resting = await submit(core, limit_order("49000"), mark_of())
    await core.commit(e.OrderPendingCancel(at_ms=1, client_order_id=resting.order.client_order_id, reason="test"))
    newest = journal.last_seq
    journal.close()
    journal = open_journal(tmp_path)
    core = restart(core, journal, newest)
    await core.commit(e.OrderCanceled(at_ms=2, client_order_id=resting.order.client_order_id))
    assert_all_is_found(journal)
    journal.close()


@pytest.mark.parametrize("known_to", ["0", "20"])
async def test_what_a_version_without_runs_has_added_is_caught_up_at_the_start(tmp_path: Path, known_to: str) -> None:
    journal = open_journal(tmp_path)
    await trade(make_core(journal=journal))
    await journal.flush()
    journal.close()
    before = runs_in(tmp_path)
    connection = sqlite3.connect(EngineFiles(tmp_path).journal)
    connection.execute("DELETE FROM order_runs WHERE seq > ?", (int(known_to),))
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('order_runs_to', ?)", (known_to,))
    connection.commit()
    connection.close()
    assert runs_in(tmp_path) != before
    journal = open_journal(tmp_path)
    assert_all_is_found(journal)
    assert set(before) <= set(runs_in(tmp_path))
    journal.close()


async def test_the_start_reads_only_what_came_after_the_last_thousand(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    await core.commit(*(e.Anomaly(at_ms=1, kind="note", subject=str(n), detail="") for n in range(2_100)))
    journal.close()
    connection = sqlite3.connect(EngineFiles(tmp_path).journal)
    assert connection.execute("SELECT value FROM meta WHERE key = 'order_runs_to'").fetchone() == ("2000",)
    connection.close()


async def test_a_journal_made_before_goes_on_with_its_index(tmp_path: Path) -> None:
    files = EngineFiles(tmp_path)
    files.folder.mkdir(parents=True)
    load_key(files.root_key)
    connection = sqlite3.connect(files.journal)
    connection.executescript(f"PRAGMA journal_mode = WAL;{OLD_TABLES.read_text()}PRAGMA user_version = 1;")
    connection.close()
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    await trade(core)
    await journal.flush()
    assert assert_all_is_found(journal) == 10
    newest = journal.last_seq
    journal.close()
    journal = open_journal(tmp_path)
    core = restart(core, journal, newest)
    assert_all_is_found(journal)
    journal.close()
    assert verify_home(tmp_path).kind == ""
    assert replay_home(tmp_path).tables_agree
