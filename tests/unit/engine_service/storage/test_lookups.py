"""What is looked up for every order and every trade costs the same in a long journal as in a short one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine_service.execution.submit import submit
from engine_service.storage import reader
from engine_service.storage.journal import SqliteJournal
from engine_service.storage.schema import open_reader
from tests.fakes.engine import fake, make_core, mark_of, market_order, open_journal

pytestmark = pytest.mark.anyio
FEW, MANY = 10, 200


class Steps:
    """Counts the steps of SQLite's machine on the connections that read."""

    def __init__(self) -> None:
        self.taken = 0

    def open(self, path: Path, *, read_once: bool = False) -> sqlite3.Connection:
        connection = open_reader(path, read_once=read_once)
        connection.set_progress_handler(self._step, 1)
        return connection

    def _step(self) -> int:
        self.taken += 1
        return 0

    def of(self, ask: Callable[[], object]) -> int:
        before = self.taken
        ask()
        return self.taken - before


@contextmanager
def journal_in(folder: Path) -> Iterator[SqliteJournal]:
    folder.mkdir()
    journal = open_journal(folder)
    yield journal
    journal.close()


async def lookups(journal: SqliteJournal, orders: int) -> dict[str, Callable[[], object]]:
    """Trade so many orders; return questions about the first of them."""
    core = make_core(journal=journal)
    for _ in range(orders):
        await submit(core, market_order(), mark_of())
    await journal.flush()
    trade = fake(core).trades[0]
    return {
        "fill_known": lambda: journal.fill_known(trade) or pytest.fail("the trade is booked"),
        "order": lambda: journal.order(trade.client_order_id),
        "order_by_venue_id": lambda: journal.order_by_venue_id(trade.symbol, trade.venue_order_id),
        "order_history": lambda: journal.order_history(trade.client_order_id),
        "answer": lambda: journal.answer("orders", "never asked"),
    }


async def test_no_lookup_walks_over_what_others_traded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps()
    monkeypatch.setattr(reader, "open_reader", steps.open)
    with journal_in(tmp_path / "few") as short, journal_in(tmp_path / "many") as long:
        of_few = {name: steps.of(ask) for name, ask in (await lookups(short, FEW)).items()}
        of_many = {name: steps.of(ask) for name, ask in (await lookups(long, MANY)).items()}
    assert min(of_few.values()) > 0
    assert of_many == of_few
