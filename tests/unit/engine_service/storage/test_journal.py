"""The journal on a real disk: group commit, what a kill leaves, what a failure does, what a forger cannot hide."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine_service.domain import events as e
from engine_service.domain.errors import ConfigurationError, Unavailable
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.cancel import CancelStatus, cancel
from engine_service.execution.submit import submit
from engine_service.storage.journal import SqliteJournal
from engine_service.storage.keys import load_key
from engine_service.storage.layout import EngineFiles
from engine_service.storage.lease import Lease, LeaseHeld
from engine_service.storage.memory import MemoryJournal
from engine_service.storage.port import Entry, EquityFilter, OrderFilter, Projection, Recorded
from engine_service.storage.projections import FillValue
from engine_service.storage.reader import SqliteReader
from engine_service.storage.schema import has_wal_race, open_reader, open_writer
from engine_service.storage.verify import verify_home
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order, open_journal
from tests.fakes.venue import FakeVenue, Script
from tests.unit.engine_service.domain.test_state import an_order, filled

anyio = pytest.mark.anyio
WRITER = Path(__file__).with_name("crash_writer.py")


def entries(journal: SqliteJournal, *texts: str) -> list[Entry]:
    first = journal.last_seq + 1
    return [
        Entry(recorded=Recorded(seq=first + n, event=e.Anomaly(at_ms=1, kind="test", subject=text, detail="")))
        for n, text in enumerate(texts)
    ]


def subjects(path: Path) -> list[str]:
    reader = SqliteReader(path)
    found: list[str] = []
    seq = 0
    while page := reader.events_after(seq, 5_000):
        found += [recorded.event.subject for recorded in page if isinstance(recorded.event, e.Anomaly)]
        seq = page[-1].seq
    reader.close()
    return found


@anyio
async def test_appended_events_are_durable_when_their_future_is_done(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    assert await journal.append(entries(journal, "a", "b")) == 2
    assert subjects(EngineFiles(tmp_path).journal) == ["a", "b"]
    journal.close()


@anyio
async def test_what_waits_during_one_commit_goes_into_the_next_as_one_group(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    commits: list[int] = []
    journal.on_commit(lambda batch: commits.append(len(batch)))
    await asyncio.gather(*(journal.append(entries(journal, str(n))) for n in range(500)))
    assert sum(commits) == 500
    assert len(commits) < 100
    assert subjects(EngineFiles(tmp_path).journal) == [str(n) for n in range(500)]
    journal.close()


@anyio
async def test_listeners_hear_of_events_in_order_and_before_the_waiters(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    heard: list[int] = []
    journal.on_commit(lambda batch: heard.extend(recorded.seq for recorded in batch))
    await journal.append(entries(journal, "a"))
    assert heard == [1]
    await journal.append(entries(journal, "b", "c"))
    assert heard == [1, 2, 3]
    journal.close()


@anyio
async def test_a_failing_transaction_leaves_nothing_of_it_and_ends_the_journal(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    await journal.append(entries(journal, "kept"))
    failures: list[str] = []
    journal.on_failure(failures.append)
    broken = entries(journal, "lost", "lost too")
    nobodys = FillValue(seq=3, account="test", strategy="manual", fill=filled("nobody", "1").fill)
    row = Projection(table="fills", key=("f1",), value=nobodys)
    broken[1] = Entry(recorded=broken[1].recorded, projections=(row,))
    with pytest.raises(Unavailable) as refused:
        await journal.append(broken)
    assert refused.value.code == "JOURNAL_UNAVAILABLE"
    assert len(failures) == 1
    with pytest.raises(Unavailable):
        journal.append(entries(journal, "never"))
    assert not journal.full
    database = EngineFiles(tmp_path).journal
    before = database.read_bytes()
    journal.close()
    # What a failed sync has left may be anything: nothing is synced or folded in on the way out.
    assert database.read_bytes() == before
    assert database.with_name(f"{database.name}-wal").stat().st_size > 0
    assert subjects(database) == ["kept"]


@anyio
async def test_a_full_disk_stops_the_engine_and_nothing_is_sent(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    await journal.flush()
    journal._connection.execute("PRAGMA max_page_count = 1")
    failed: Unavailable | None = None
    for _ in range(400):
        try:
            await submit(core, market_order(), mark_of())
        except Unavailable as error:
            failed = error
            break
    assert failed is not None
    assert failed.code == "JOURNAL_UNAVAILABLE"
    assert not core.ready
    sent = len(fake(core).submits)
    with pytest.raises(Unavailable):
        await submit(core, market_order(), mark_of())
    assert len(fake(core).submits) == sent
    journal.close()


@anyio
async def test_on_a_full_disk_what_rests_at_the_venue_can_still_be_cancelled(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    resting = await submit(core, limit_order("49000"), mark_of())
    journal._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(Unavailable):
        await core.commit(*(e.Anomaly(at_ms=1, kind="note", subject="x" * 4_000, detail="") for _ in range(200)))
    assert journal.failed
    assert journal.full
    found = await cancel(core, resting.order.client_order_id, principal="tester")
    assert found.status is CancelStatus.PENDING
    assert fake(core).cancels == [resting.order.client_order_id]
    journal.close()


@anyio
async def test_another_process_could_read_the_intent_before_the_venue_hears_of_it(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    seen: list[OrderStatus | None] = []

    async def look(venue: FakeVenue, order: Order) -> None:
        stored = journal.order(order.client_order_id)
        seen.append(None if stored is None else stored.status)

    for _ in range(5):
        fake(core).scripts.append(Script(during=look))
        await submit(core, market_order(), mark_of())
    assert seen == [OrderStatus.SUBMITTED] * 5
    journal.close()


@anyio
async def test_the_same_venue_trade_cannot_be_stored_twice(tmp_path: Path) -> None:
    path = EngineFiles(tmp_path).journal
    path.parent.mkdir(parents=True)
    connection = open_writer(path)
    indexes = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'fills_unique'").fetchone()[0]
    assert "UNIQUE" in indexes
    connection.close()


@anyio
async def test_the_database_is_as_safe_as_it_can_be_made(tmp_path: Path) -> None:
    path = EngineFiles(tmp_path).journal
    path.parent.mkdir(parents=True)
    connection = open_writer(path)
    found = {
        p: connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous", "foreign_keys")
    }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError) as refused:
        open_writer(path)
    assert refused.value.code == "JOURNAL_TOO_NEW"


@anyio
async def test_orders_are_listed_newest_first_and_paged(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    for n in range(5):
        await core.commit(e.OrderInitialized(at_ms=n, client_order_id=f"c{n}", order=an_order(f"c{n}")))
    page = journal.orders(OrderFilter(limit=2))
    assert [row.order.client_order_id for row in page] == ["c4", "c3"]
    rest = journal.orders(OrderFilter(limit=9, before_seq=page[-1].seq, symbol="BTCUSDT.BINANCE"))
    assert [row.order.client_order_id for row in rest] == ["c2", "c1", "c0"]
    assert journal.orders(OrderFilter(statuses=("FILLED",))) == []
    journal.close()


@anyio
async def test_the_equity_curve_is_paged_by_time_also_where_the_clock_went_back(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    for at_ms in (100, 200, 150, 200, 300):
        await core.commit(sample(at_ms))
    found: list[int] = []
    query = EquityFilter(since_ms=101, until_ms=300, limit=2)
    while page := journal.equity_curve(query):
        found += [point.at_ms for point in page]
        query = replace(query, after_seq=page[-1].seq)
    assert found == [150, 200, 200]
    reader = open_reader(EngineFiles(tmp_path).journal)
    where = "WHERE (at_ms, seq) > (1, 2) AND at_ms < 9 ORDER BY at_ms, seq"
    plan = reader.execute(f"EXPLAIN QUERY PLAN SELECT seq FROM equity_snapshots {where}")  # noqa: S608 a constant
    assert [row[3] for row in plan] == [
        "SEARCH equity_snapshots USING COVERING INDEX equity_by_time (at_ms>? AND at_ms<?)"
    ]
    reader.close()
    journal.close()


@anyio
async def test_a_journal_in_memory_tells_the_same_figures_of_a_sample(tmp_path: Path) -> None:
    on_disk = open_journal(tmp_path)
    told = []
    for journal in (on_disk, MemoryJournal()):
        await make_core(journal=journal).commit(sample(100))
        (point,) = journal.equity_curve(EquityFilter())
        told.append((point.at_ms, dict(point.values)))
    assert told[0] == told[1]
    on_disk.close()


def sample(at_ms: int) -> e.EquityRecorded:
    names = ("equity", "peak", "day_start", "realised_pnl", "unrealised_pnl")
    figures: dict[str, Any] = dict.fromkeys(names, Decimal(1))
    figures |= dict.fromkeys(("fees", "funding", "transfers"), Decimal(0))
    return e.EquityRecorded(at_ms=at_ms, **figures)


@anyio
async def test_tables_agree_with_the_events_after_trading(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    for _ in range(3):
        await submit(core, market_order(), mark_of())
    await journal.flush()
    for order in core.state.image.orders.values():
        assert journal.order(order.client_order_id) == order
    connection = sqlite3.connect(EngineFiles(tmp_path).journal)
    held = dict(connection.execute("SELECT asset, quantity FROM balances").fetchall())
    assert held["BTC"] == "0.003"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("SELECT COUNT(*) FROM fills").fetchone() == (3,)
    connection.close()
    journal.close()


# --- kills ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [0.15, 0.3, 0.45])
def test_after_sigkill_everything_acknowledged_is_there_and_batches_are_whole(tmp_path: Path, after_s: float) -> None:
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(tmp_path)], stdout=subprocess.PIPE, cwd=Path.cwd(), env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    acknowledged = [line.strip().decode() for line in process.stdout.read().splitlines() if line.endswith(b".")]
    process.wait()
    path = EngineFiles(tmp_path).journal
    kept = subjects(path)
    assert acknowledged
    assert {name.rstrip(".") for name in acknowledged} <= {name.split(":")[0] for name in kept}
    pairs = [name.split(":")[0] for name in kept]
    assert all(pairs.count(name) == 2 for name in set(pairs[-40:]))
    assert verify_home(tmp_path).kind == ""


# --- the chain --------------------------------------------------------------------------------------------------


async def _chained(home: Path) -> Path:
    journal = open_journal(home)
    await journal.append(entries(journal, *"abcdefgh"))
    journal.close()
    return EngineFiles(home).journal


@pytest.mark.parametrize(
    ("forgery", "first_bad", "kind"),
    [
        ("UPDATE events SET body = replace(body, '\"c\"', '\"x\"') WHERE seq = 3", 3, "altered"),
        ("UPDATE events SET at_ms = 2 WHERE seq = 4", 4, "altered"),
        ("DELETE FROM events WHERE seq = 5", 5, "missing"),
        ("UPDATE events SET seq = CASE seq WHEN 6 THEN 70 ELSE seq END", 6, "missing"),
        ("UPDATE events SET hash = x'00' WHERE seq = 8", 8, "altered"),
    ],
)
@anyio
async def test_a_forged_row_is_found_and_named(tmp_path: Path, forgery: str, first_bad: int, kind: str) -> None:
    path = await _chained(tmp_path)
    assert verify_home(tmp_path).kind == ""
    connection = sqlite3.connect(path)
    connection.execute(forgery)
    connection.commit()
    connection.close()
    verdict = verify_home(tmp_path)
    assert (verdict.first_bad, verdict.kind) == (first_bad, kind)


@anyio
async def test_the_verify_command_has_stable_exit_codes(tmp_path: Path) -> None:
    def run(home: Path) -> tuple[int, bytes]:
        command = [sys.executable, "-m", "engine_service.storage.verify", "--home", str(home), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        return done.returncode, done.stdout

    assert run(tmp_path / "nowhere")[0] == 2
    path = await _chained(tmp_path)
    code, output = run(tmp_path)
    assert (code, b'"events": 8' in output) == (0, True)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM events WHERE seq = 2")
    connection.commit()
    connection.close()
    assert run(tmp_path)[0] == 1


@anyio
async def test_the_key_of_the_chain_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "chain.key"
    key = load_key(path)
    assert load_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigurationError):
        load_key(path)


@anyio
async def test_a_second_engine_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    first, second = Lease(tmp_path / "engine.lock"), Lease(tmp_path / "engine.lock")
    first.acquire()
    with pytest.raises(LeaseHeld) as refused:
        second.acquire()
    assert refused.value.code == "ENGINE_RUNNING"
    assert str(os.getpid()) in refused.value.detail
    first.release()
    second.acquire()
    second.release()


@anyio
async def test_the_log_beside_the_database_stays_bounded_under_a_flood(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    log = EngineFiles(tmp_path).journal.with_name("journal.sqlite3-wal")
    largest = 0
    for _ in range(60):
        await journal.append(entries(journal, *["x" * 4_000] * 200))
        largest = max(largest, log.stat().st_size)
    written = EngineFiles(tmp_path).journal.stat().st_size
    journal.close()
    assert written > 40 * 1024 * 1024
    assert largest < 24 * 1024 * 1024


def test_an_old_sqlite_is_known_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    assert has_wal_race()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert not has_wal_race()


@anyio
async def test_a_closed_journal_says_so_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    await journal.append(entries(journal, "a"))
    journal.close()
    with pytest.raises(Unavailable, match="JOURNAL_UNAVAILABLE"):
        journal.append(entries(journal, "b"))
    with pytest.raises(Unavailable, match="JOURNAL_UNAVAILABLE"):
        await journal.flush()
