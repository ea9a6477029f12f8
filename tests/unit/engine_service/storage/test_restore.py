"""From disk to state: from the beginning, from a snapshot, past a damaged one; and the readable copies."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from engine_service.domain import events as e
from engine_service.domain.order_status import OrderSide
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.storage.audit_log import AuditLog
from engine_service.storage.codec import KINDS, decode_event, encode
from engine_service.storage.layout import EngineFiles
from engine_service.storage.memory import MemoryJournal
from engine_service.storage.opening import open_journal
from engine_service.storage.restore import JournalCorrupt, restore
from engine_service.storage.snapshots import load_newest, save, state_hash
from engine_service.storage.verify import verify_home
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order
from tests.fakes.venue import Script, unknown

pytestmark = pytest.mark.anyio


async def traded(journal_core: EngineCore) -> EngineCore:
    core = journal_core
    await submit(core, market_order("0.003"), mark_of())
    await submit(core, limit_order("49000"), mark_of())
    await submit(core, market_order("0.001", side=OrderSide.SELL), mark_of())
    fake(core).fee_asset = "BASE"
    await submit(core, market_order("0.002"), mark_of())
    fake(core).scripts.append(Script(act=True, say=unknown()))
    await submit(core, market_order(), mark_of())
    await core.settle()
    return core


async def test_replay_from_the_beginning_gives_the_live_state_to_the_last_digit(tmp_path: Path) -> None:
    journal = open_journal(EngineFiles(tmp_path), account="test").journal
    core = await traded(make_core(journal=journal))
    await journal.flush()
    restored = restore(journal, newest_seq=journal.newest_seq(), snapshots=None)
    assert state_hash(restored.state) == state_hash(core.state)
    assert restored.seq == journal.last_seq
    assert restored.state.exposure.totals.worst == core.state.exposure.totals.worst
    journal.close()


async def test_a_snapshot_and_the_tail_give_the_same_state_as_the_beginning(tmp_path: Path) -> None:
    core = await traded(make_core())
    save(tmp_path, core.state, core.journal.last_seq)
    await submit(core, market_order(), mark_of())
    restored = restore(core.journal, newest_seq=core.journal.last_seq, snapshots=tmp_path)
    assert restored.replayed == 5
    assert state_hash(restored.state) == state_hash(core.state)


@pytest.mark.parametrize("damage", ["flip", "cut", "version", "newer"])
async def test_a_damaged_snapshot_is_skipped_with_a_reason_and_an_older_one_serves(tmp_path: Path, damage: str) -> None:
    core = await traded(make_core())
    old_seq = core.journal.last_seq
    save(tmp_path, core.state, old_seq)
    await submit(core, market_order(), mark_of())
    newest = save(tmp_path, core.state, core.journal.last_seq + (1 if damage == "newer" else 0))
    damage_file(newest, damage)
    restored = restore(core.journal, newest_seq=core.journal.last_seq, snapshots=tmp_path)
    assert restored.from_snapshot == old_seq
    assert newest.name in restored.skipped[0]
    assert state_hash(restored.state) == state_hash(core.state)


def damage_file(path: Path, damage: str) -> None:
    """Flip a byte, cut the file in half, or pretend another version."""
    body = path.read_bytes()
    if damage == "flip":
        path.write_bytes(body.replace(b'"BTC', b'"BTX', 1))
    elif damage == "cut":
        path.write_bytes(body[: len(body) // 2])
    elif damage == "version":
        path.write_bytes(body.replace(b'"version":1', b'"version":2', 1))


async def test_only_the_last_few_snapshots_are_kept(tmp_path: Path) -> None:
    core = make_core()
    for seq in range(1, 10):
        save(tmp_path, core.state, seq, keep=3)
    assert names_in(tmp_path) == [f"state-{seq:012d}.json" for seq in (7, 8, 9)]
    loaded = load_newest(tmp_path, not_after=8)
    assert loaded is not None
    assert loaded.seq == 8


async def test_a_missing_event_is_named_and_nothing_starts(tmp_path: Path) -> None:
    core = await traded(make_core())
    assert isinstance(core.journal, MemoryJournal)
    del core.journal._events[3]
    with pytest.raises(JournalCorrupt) as refused:
        restore(core.journal, newest_seq=core.journal.last_seq, snapshots=None)
    assert "sequence 4" in refused.value.detail


async def test_every_kind_of_event_survives_its_encoding() -> None:
    core = await traded(make_core())
    for recorded in core.journal.events_after(0, 1000):
        assert decode_event(recorded.kind, encode(recorded.event)) == recorded.event
    assert len(KINDS) >= 40


async def test_the_audit_log_has_a_line_per_event_and_catches_up_after_a_crash(tmp_path: Path) -> None:
    core = await traded(make_core())
    assert isinstance(core.journal, MemoryJournal)
    log = AuditLog(tmp_path, b"key")
    written = log.catch_up(core.journal)
    log.close()
    lines = lines_of(tmp_path / "events.jsonl")
    assert written == len(lines) == core.journal.last_seq
    first = json.loads(lines[0])
    assert (first["kind"], first["event"]["kind"]) == ("BalanceAdjusted", "opening")
    tear(tmp_path / "events.jsonl")
    await submit(core, market_order(), mark_of())
    log = AuditLog(tmp_path, b"key")
    assert log.catch_up(core.journal) == 5
    log.close()
    seqs = [json.loads(line)["seq"] for line in lines_of(tmp_path / "events.jsonl")]
    assert seqs == list(range(1, core.journal.last_seq + 1))


async def audited_home(home: Path, *, rotate_bytes: int = 1 << 20) -> EngineFiles:
    """Return a home folder with trades, a complete audit log and a clean end."""
    opened = open_journal(EngineFiles(home), account="test")
    await traded(make_core(journal=opened.journal))
    await opened.journal.flush()
    log = AuditLog(EngineFiles(home).audit, opened.audit_key, rotate_bytes=rotate_bytes)
    for row in opened.journal.log_rows_after(0, 1000):
        log.write([row])
    opened.anchors.audited = log.last_seq
    log.close()
    opened.journal.close()
    return EngineFiles(home)


async def test_rotated_audit_files_stay_one_chain(tmp_path: Path) -> None:
    files = await audited_home(tmp_path, rotate_bytes=2_000)
    assert sum(name.startswith("events-") for name in names_in(files.audit)) > 2
    assert verify_home(tmp_path).kind == ""


@pytest.mark.parametrize("stream", ["events", "orders"])
@pytest.mark.parametrize("forge", ["edit", "remove", "swap", "cut"])
async def test_an_edited_or_removed_line_is_found(tmp_path: Path, forge: str, stream: str) -> None:
    files = await audited_home(tmp_path)
    path = files.audit / f"{stream}.jsonl"
    touched = json.loads(lines_of(path)[-1 if forge == "cut" else 4])["seq"]
    forge_line(path, forge)
    verdict = verify_home(tmp_path)
    assert verdict.kind == {"edit": "altered", "cut": "truncated"}.get(forge, verdict.kind)
    assert verdict.kind
    assert verdict.first_bad in {touched, touched + 1}
    assert path.name in verdict.detail


async def test_a_log_that_goes_on_beyond_the_journal_tells_that_its_end_is_missing(tmp_path: Path) -> None:
    files = await audited_home(tmp_path)
    files.checkpoints.unlink()
    files.key_state.unlink()
    with sqlite3.connect(files.journal) as connection:
        connection.executescript(
            "DELETE FROM fills; DELETE FROM idempotency; DELETE FROM orders; DELETE FROM balances;"
            "DELETE FROM events WHERE seq > 20;"
        )
    verdict = verify_home(tmp_path)
    assert (verdict.first_bad, verdict.kind) == (21, "truncated")


def names_in(folder: Path) -> list[str]:
    """Return the names of a folder's files, sorted."""
    return sorted(path.name for path in folder.iterdir())


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file."""
    return path.read_text(encoding="utf-8").splitlines()


def tear(path: Path) -> None:
    """Leave half a line behind, as a crash does."""
    with path.open("a", encoding="utf-8") as file:
        file.write('{"seq": 99999, "torn')


def forge_line(path: Path, forge: str) -> None:
    """Edit, remove or swap the fifth line, or cut off the last."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if forge == "edit":
        lines[4] = lines[4].replace('"at_ms":17', '"at_ms":18', 1)
    elif forge == "remove":
        del lines[4]
    elif forge == "cut":
        del lines[-1]
    else:
        lines[4], lines[5] = lines[5], lines[4]
    path.write_text("".join(lines), encoding="utf-8")


async def test_an_anomaly_is_recorded_where_no_rule_allows_an_event() -> None:
    core = await traded(make_core())
    (cid, *_) = core.state.image.orders
    before = core.state.order(cid)
    await core.commit(e.OrderDenied(at_ms=1, client_order_id=cid, code="X", reason=""))
    assert core.state.order(cid) == before
    assert core.state.image.counts["Anomaly"] == 1
