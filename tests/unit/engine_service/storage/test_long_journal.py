"""The benchmark's long journals are journals like any other, and an engine gets up on one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.storage.codec import decode
from engine_service.storage.layout import EngineFiles
from engine_service.storage.opening import open_journal
from engine_service.storage.replay import replay_home
from engine_service.storage.verify import Verdict, verify_home
from tests.benchmarks.long_journal import LongJournal
from tests.benchmarks.recovery import measure


def test_a_generated_journal_is_clean_replays_and_agrees_with_its_tables(tmp_path: Path) -> None:
    journal = LongJournal(tmp_path)
    journal.append(2_500)
    journal.close()
    assert verify_home(tmp_path) == Verdict(events=journal.last_seq)
    replayed = replay_home(tmp_path)
    assert replayed.tables_agree, replayed.differs
    state = replayed.state
    assert state.portfolio.identity_error == 0
    assert state.image.counts["OrderFilled"] >= 490
    assert {order.status for order in state.image.orders.values()} == {OrderStatus.FILLED}
    connection = sqlite3.connect(EngineFiles(tmp_path).journal)
    for client_order_id, body in connection.execute("SELECT client_order_id, body FROM orders"):
        stored, again = decode(Order, body), state.order(client_order_id)
        assert again is not None
        assert (stored.status, stored.filled_quantity) == (again.status, again.filled_quantity)
        assert stored.filled_quote == again.filled_quote
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_an_engine_goes_on_with_a_generated_journal(tmp_path: Path) -> None:
    journal = LongJournal(tmp_path)
    journal.append(1_200)
    journal.close()
    opened = open_journal(EngineFiles(tmp_path), account="main")
    assert (opened.journal.last_seq, opened.checked_from) == (journal.last_seq, 1)
    opened.journal.close()


def test_the_benchmark_measures_a_process_that_recovered() -> None:
    rows = measure(events=3_000, tail=500)
    assert rows["recovery_1m"].unit == "s"
    assert 0 < rows["recovery_1m"].ratio < 5
    assert rows["replay_1m"].ours > 1_000
