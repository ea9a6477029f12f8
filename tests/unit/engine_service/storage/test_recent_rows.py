"""Who follows the journal gets every row once and in order, from memory or from the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine_service.domain import events as e
from engine_service.execution.submit import submit
from engine_service.storage.audit_log import AuditLog
from engine_service.storage.layout import EngineFiles
from engine_service.storage.opening import open_journal
from engine_service.storage.port import LogRow
from engine_service.storage.recent_rows import Following, RecentRows
from engine_service.storage.sealing import SealedRow
from engine_service.storage.verify import verify_home
from tests.fakes.engine import make_core, mark_of, market_order

pytestmark = pytest.mark.anyio


def row(seq: int) -> SealedRow:
    return (seq, 1, 2, 1_000 + seq, "OrderCanceled", f"c{seq}", f'{{"n":{seq}}}', b"")


class Disk:
    """Has rows 1 to ``newest`` and notes from where it was asked."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.asked: list[int] = []

    def log_rows_after(self, seq: int, limit: int) -> list[LogRow]:
        self.asked.append(seq)
        last = min(self.newest, seq + limit)
        return [LogRow(n, "OrderCanceled", True, f'{{"n":{n}}}') for n in range(seq + 1, last + 1)]


def followed(source: Following, seq: int, limit: int) -> list[int]:
    """Read to the end."""
    found: list[int] = []
    while rows := source.log_rows_after(seq, limit):
        found += [each.seq for each in rows]
        seq = found[-1]
    return found


def test_what_is_in_memory_is_not_read_from_the_disk() -> None:
    recent, disk = RecentRows(), Disk(0)
    recent.add([row(1), row(2), row(3)])
    source = Following(recent, disk)
    assert source.log_rows_after(0, 2) == [
        LogRow(1, "OrderCanceled", True, '{"n":1}'),
        LogRow(2, "OrderCanceled", True, '{"n":2}'),
    ]
    assert [each.seq for each in source.log_rows_after(2, 2)] == [3]
    assert disk.asked == []


@pytest.mark.parametrize("kept", [1, 3, 5, 100])
def test_a_follower_that_is_late_reads_from_the_disk_what_memory_let_go(kept: int) -> None:
    recent, disk = RecentRows(kept), Disk(10)
    recent.add([row(n) for n in range(1, 11)])
    assert followed(Following(recent, disk), 0, 4) == list(range(1, 11))


def test_rows_of_before_this_run_come_from_the_disk() -> None:
    recent, disk = RecentRows(), Disk(10)
    recent.add([row(n) for n in range(8, 11)])
    assert followed(Following(recent, disk), 3, 5) == list(range(4, 11))


def test_what_was_handed_out_is_let_go() -> None:
    recent = RecentRows()
    recent.add([row(1), row(2)])
    assert len(recent.after(0, 10)) == 2
    assert recent.after(2, 10) == []
    assert recent.after(0, 10) == []


async def test_the_audit_log_is_the_same_from_memory_as_from_the_disk(tmp_path: Path) -> None:
    opened = open_journal(EngineFiles(tmp_path), account="test")
    core = make_core(journal=opened.journal)
    for number in range(4):
        await submit(core, market_order(), mark_of())
        await core.commit(e.Anomaly(at_ms=1, kind="note", subject=f"é{number}", detail=""))
    await opened.journal.flush()
    source = Following(opened.journal.recent, Disk(0))
    log = AuditLog(EngineFiles(tmp_path).audit, opened.audit_key)
    assert log.catch_up(source) == opened.journal.last_seq
    again = AuditLog(tmp_path / "again", opened.audit_key)
    again.catch_up(opened.journal)
    for name in ("events.jsonl", "orders.jsonl"):
        assert (EngineFiles(tmp_path).audit / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    log.close()
    again.close()
    opened.anchors.audited = log.last_seq
    opened.journal.close()
    assert verify_home(tmp_path).kind == ""
