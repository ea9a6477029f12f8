"""A halt while the journal is dead: noted beside it, journalled by the next start, lifted as any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine_service.domain import events as e
from engine_service.domain.errors import Unavailable
from engine_service.domain.state import Halt
from engine_service.execution.cancel import CancelStatus
from engine_service.execution.core import EngineCore
from engine_service.execution.halt import halt, resume
from engine_service.execution.recover import _take_over_halt, start_up
from engine_service.execution.submit import submit
from engine_service.storage.halt_note import HaltNote
from tests.fakes.engine import fake, limit_order, make_core, mark_of, open_journal, restart

pytestmark = pytest.mark.anyio


async def resting(core: EngineCore) -> str:
    return (await submit(core, limit_order("49000", "0.002"), mark_of())).order.client_order_id


async def with_dead_journal(home: Path) -> EngineCore:
    journal = open_journal(home)
    core = make_core(journal=journal)
    core.halt_note = noted(home)
    await resting(core)
    await journal.flush()
    journal._connection.close()
    return core


def noted(home: Path, halt: Halt | None = None) -> HaltNote:
    """Return the note of a home, with a halt of an earlier process in it."""
    note = HaltNote(home / "halt.note")
    note.prepare()
    if halt is not None:
        note.keep(halt)
    return HaltNote(home / "halt.note")


async def restarted(core: EngineCore) -> EngineCore:
    again = restart(core, core.journal, core.journal.last_seq)
    again.halt_note = core.halt_note
    await start_up(again, epoch=2, version="test")
    await again.settle()
    return again


@pytest.mark.parametrize("room", [False, True])
async def test_a_halt_that_finds_the_disk_full_cancels_all_the_same_and_says_whether_it_is_kept(
    tmp_path: Path, room: bool
) -> None:
    core = await with_dead_journal(tmp_path)
    if not room:
        (tmp_path / "halt.note").unlink()
    found = await halt(core, reason="now", principal="me")
    assert (found.already, found.kept) == (False, room)
    assert core.state.halted
    assert fake(core).cancels == list(core.state.image.orders)
    again = await halt(core, reason="once more", principal="you")
    assert (again.already, again.kept) == (True, room)
    assert core.halt_note is not None
    assert ("now" in str(core.halt_note.read())) is room


async def test_a_halt_after_the_journal_died_is_noted(tmp_path: Path) -> None:
    core = await with_dead_journal(tmp_path)
    assert core.halt_note is not None
    with pytest.raises(Unavailable):
        await core.commit(e.Anomaly(at_ms=1, kind="x", subject="x", detail="x"))
    assert core.halt_note.read() is None
    assert (await halt(core, reason="now", principal="me")).kept
    found = core.halt_note.read()
    assert found is not None
    assert (found.principal, found.at_ms) == ("me", core.clock.now_ms())


async def test_a_halt_by_the_engine_that_finds_the_disk_full_is_noted(tmp_path: Path) -> None:
    core = await with_dead_journal(tmp_path)
    assert core.halt_note is not None
    with pytest.raises(Unavailable):
        # As the rails and the comparison with the venue do it: recorded among other facts.
        await core.record(e.TradingHalted(at_ms=7, reason="is it in a loop?", principal="engine"))
    found = core.halt_note.read()
    assert found is not None
    assert found.reason.startswith("is it in a loop? (halted at 1970-01-01 00:00:00 UTC")


async def test_an_engine_whose_books_are_off_is_halted_all_the_same(tmp_path: Path) -> None:
    core = make_core()
    core.halt_note = noted(tmp_path)
    cid = await resting(core)
    core._stop("the equity identity is off")
    found = await halt(core, reason="now", principal="me")
    assert found.kept
    assert fake(core).cancels == [cid]
    assert [result.status for result in found.canceled] == [CancelStatus.PENDING]


async def test_a_noted_halt_is_journalled_by_the_next_start_and_only_then_forgotten(tmp_path: Path) -> None:
    core = make_core()
    core.halt_note = noted(tmp_path, Halt(reason="drill", principal="me", at_ms=core.clock.now_ms()))
    again = await restarted(core)
    assert again.ready
    assert again.state.image.halt is not None
    assert again.state.image.halt.principal == "me"
    assert again.state.image.halt.reason.startswith("drill (halted at 2023-11-14 22:13:20 UTC")
    assert core.halt_note.read() is None
    third = await restarted(again)
    assert third.state.halted
    await resume(third, reason="room again", principal="you")
    assert not (await restarted(third)).state.halted


async def test_a_noted_halt_stays_noted_until_it_is_in_the_journal(tmp_path: Path) -> None:
    core = await with_dead_journal(tmp_path)
    core.halt_note = noted(tmp_path, Halt(reason="drill", principal="me", at_ms=1))
    with pytest.raises(Unavailable):
        await _take_over_halt(core)
    assert core.halt_note.read() is not None


async def test_a_damaged_note_halts_and_says_why(tmp_path: Path) -> None:
    core = make_core()
    core.halt_note = noted(tmp_path)
    (tmp_path / "halt.note").write_bytes(b"")
    again = await restarted(core)
    assert again.state.image.halt is not None
    assert "halt.note cannot be read (0 bytes instead of 4096)" in again.state.image.halt.reason
    assert core.halt_note.read() is None


async def test_lifting_a_halt_also_clears_a_note_of_it(tmp_path: Path) -> None:
    core = make_core()
    await halt(core, reason="drill", principal="me")
    core.halt_note = noted(tmp_path, Halt(reason="drill", principal="me", at_ms=1))
    await resume(core, reason="looked", principal="you")
    assert core.halt_note.read() is None
