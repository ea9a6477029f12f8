"""The filter of known keys never calls a used key new, and spares the rest the disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine_service.domain import events as e
from engine_service.storage.known_keys import KnownKeys
from engine_service.storage.port import StoredAnswer
from tests.fakes.engine import make_core, mark_of, open_journal

pytestmark = pytest.mark.anyio


class Table:
    """Counts how often the disk is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, scope: str, key: str) -> StoredAnswer | None:
        self.asked += 1
        return None


async def with_journal(home: Path, keys: int) -> Path:
    """Store an answer under each of ``keys`` keys; return the database."""
    journal = open_journal(home)
    core = make_core(journal=journal)
    for number in range(keys):
        core.record(
            e.AnswerRecorded(at_ms=core.clock.now_ms(), mark=mark_of(f"old-{number:05d}", scope="a|/x"), outcome="ok")
        )
    await journal.flush()
    journal.close()
    return journal.path


async def test_before_the_journal_was_read_every_key_is_looked_up() -> None:
    table = Table()
    keys = KnownKeys(table.answer)
    assert keys.lookup("a|/x", "new-1") is None
    assert table.asked == 1


async def test_every_key_of_the_journal_is_looked_up_and_almost_no_other(tmp_path: Path) -> None:
    path, table = await with_journal(tmp_path, 4_500), Table()
    keys = KnownKeys(table.answer)
    await keys.read(path)
    for number in range(4_500):
        keys.lookup("a|/x", f"old-{number:05d}")
    assert table.asked == 4_500
    for number in range(2_000):
        keys.lookup("a|/x", f"new-{number:05d}")
    assert table.asked < 4_520


async def test_a_key_that_was_asked_for_once_is_looked_up_the_next_time(tmp_path: Path) -> None:
    path, table = await with_journal(tmp_path, 1), Table()
    keys = KnownKeys(table.answer)
    await keys.read(path)
    keys.lookup("a|/x", "fresh-key")
    asked = table.asked
    keys.lookup("a|/x", "fresh-key")
    assert table.asked == asked + 1


async def test_keys_used_while_the_journal_is_read_are_known_after_it(tmp_path: Path) -> None:
    path, table = await with_journal(tmp_path, 4_500), Table()
    keys = KnownKeys(table.answer)
    reading = asyncio.get_running_loop().create_task(keys.read(path))
    await asyncio.sleep(0)
    keys.lookup("a|/x", "0-before-all-others")
    await reading
    asked = table.asked
    keys.lookup("a|/x", "0-before-all-others")
    assert table.asked == asked + 1


async def test_others_have_their_turn_while_the_journal_is_read(tmp_path: Path) -> None:
    path = await with_journal(tmp_path, 4_500)
    reading = asyncio.get_running_loop().create_task(KnownKeys(Table().answer).read(path))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    await reading
    # Nobody else is on this loop: with no pause between its parts, the whole would be one turn.
    assert turns > 3
