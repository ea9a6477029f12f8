"""Long reads of the journal: orders do not wait for them, and neither does a stop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from engine_service.domain.errors import Unavailable
from engine_service.execution.submit import submit
from engine_service.storage.port import FillFilter, FillRow, JournalReader, OrderFilter
from engine_service.storage.reader import SqliteReader
from tests.fakes.engine import fake, make_core, mark_of, market_order, open_journal

pytestmark = pytest.mark.anyio
FOR_EVER = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"


def newest_fill(reader: JournalReader) -> list[FillRow]:
    return reader.fills(FillFilter(newest_first=True, limit=1))


async def test_orders_pass_while_a_list_is_read(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    passed = threading.Event()

    def long_read(reader: JournalReader) -> int:
        assert passed.wait(20.0), "no order passed meanwhile"
        return len(reader.orders(OrderFilter()))

    reading = asyncio.create_task(journal.aside(long_read))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await submit(core, market_order(), mark_of())
    passed.set()
    assert await reading == 1
    journal.close()


async def test_what_was_answered_is_seen_by_the_next_read(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal)
    for number in range(1, 4):
        await submit(core, market_order(), mark_of())
        rows = await journal.aside(newest_fill)
        assert [row.fill.trade_id for row in rows] == [fake(core).trades[-1].trade_id]
        assert len(fake(core).trades) == number
    journal.close()


async def test_a_stop_breaks_off_what_is_read_and_says_so(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def never_done(reader: JournalReader) -> object:
        assert isinstance(reader, SqliteReader)
        loop.call_soon_threadsafe(begun.set)
        return reader._all(FOR_EVER, ())

    running = asyncio.create_task(journal.aside(never_done))
    waiting = asyncio.create_task(journal.aside(lambda reader: reader.orders(OrderFilter())))
    await begun.wait()
    await asyncio.sleep(0.05)
    journal.close()
    async with asyncio.timeout(10):
        answers = await asyncio.gather(running, waiting, return_exceptions=True)
    assert [answer.code for answer in answers if isinstance(answer, Unavailable)] == ["JOURNAL_UNAVAILABLE"] * 2
    with pytest.raises(Unavailable):
        await journal.aside(lambda reader: reader.orders(OrderFilter()))
