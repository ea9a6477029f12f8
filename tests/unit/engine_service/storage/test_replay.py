"""Replaying a journal offline: the same hash as live, as snapshot and tail; and what is said when it is not."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
from pathlib import Path

import pytest

from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderSide
from engine_service.domain.state import EngineState
from engine_service.execution.core import EngineCore
from engine_service.execution.equity import record_equity
from engine_service.execution.reconcile import reconcile
from engine_service.execution.submit import submit
from engine_service.storage import replay, snapshots, written_rows
from engine_service.storage.codec import canonical, encode, encode_canonical
from engine_service.storage.layout import EngineFiles
from engine_service.storage.opening import open_journal
from engine_service.storage.port import Recorded
from engine_service.storage.replay import replay_home
from engine_service.storage.snapshots import state_hash
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order
from tests.fakes.venue import FakeVenue, Script, unknown

pytestmark = pytest.mark.anyio
SYMBOLS = ("BTCUSDT.BINANCE", "ETHUSDT.BINANCE")


async def _session(home: Path, seed: int) -> str:
    """Trade at random, snapshots included; return the hash of the live state at the end."""
    chance = random.Random(seed)
    opened = open_journal(EngineFiles(home), account="test")
    core = make_core(journal=opened.journal)
    for number in range(60):
        if chance.random() < 0.1:
            fake(core).scripts.append(Script(act=chance.random() < 0.5, say=unknown()))
        side = chance.choice((OrderSide.BUY, OrderSide.BUY, OrderSide.SELL))
        request = (
            limit_order(str(chance.randint(30_000, 49_000)))
            if chance.random() < 0.3
            else market_order(f"0.00{chance.randint(1, 9)}", side=side, symbol=chance.choice(SYMBOLS))
        )
        fake(core).fee_asset = chance.choice(("BASE", ""))
        await submit(core, request, mark_of())
        if number % 7 == 3:
            await record_equity(core)
        if number in {20, 45}:
            _save(core, home)
    await core.settle()
    await opened.journal.flush()
    found = state_hash(core.state)
    opened.journal.close()
    return found


def _save(core: EngineCore, home: Path) -> None:
    snapshots.write(EngineFiles(home).snapshots, encode(core.state.image), core.journal.last_seq)


@pytest.mark.parametrize("seed", range(3))
def test_the_journal_alone_leads_to_the_live_state_to_the_last_digit(tmp_path: Path, seed: int) -> None:
    live = asyncio.run(_session(tmp_path, seed))
    replayed = replay_home(tmp_path)
    assert replayed.state_hash == live
    assert replayed.equals_live is True
    assert replayed.compared == 3
    assert replayed.events > 200


def test_the_canonical_form_is_the_same_from_bytes_and_from_values(tmp_path: Path) -> None:
    asyncio.run(_session(tmp_path, 1))
    image = replay_home(tmp_path).state.image
    assert canonical(encode(image)) == encode_canonical(image)


def test_a_large_value_is_brought_into_the_same_form_in_pieces() -> None:
    rows = {f'{(number * 7919) % 3_000:04x} é"\\': {"b": [number, None, "\u2028"], "a": {}} for number in range(3_000)}
    value = {"z": rows, "a": {"y": {}, "x": list(range(9))}, "größe": "1.50"}
    pauses: list[int] = []
    assert canonical(encode(value), lambda: pauses.append(1)) == encode_canonical(value)
    assert len(pauses) >= 3
    assert canonical(b"[2,1]") == b"[2,1]"


def test_a_replay_may_stop_at_any_event(tmp_path: Path) -> None:
    asyncio.run(_session(tmp_path, 1))
    first_snapshot = min(snapshots.recorded_hashes(EngineFiles(tmp_path).snapshots))
    early, later = replay_home(tmp_path, until=first_snapshot - 1), replay_home(tmp_path, until=first_snapshot)
    assert (early.events, early.equals_live) == (first_snapshot - 1, None)
    assert (later.events, later.equals_live, later.compared) == (first_snapshot, True, 2)
    assert early.state_hash != later.state_hash


def test_a_snapshot_that_was_forged_whole_is_found_by_the_replay(tmp_path: Path) -> None:
    asyncio.run(_session(tmp_path, 1))
    newest = max(EngineFiles(tmp_path).snapshots.iterdir())
    header, body, _ = newest.read_bytes().split(b"\n")
    forged = body.replace(b'"quantity":"', b'"quantity":"9', 1)
    fields = json.loads(header) | {"sha256": hashlib.sha256(forged).hexdigest()}
    newest.write_bytes(json.dumps(fields).encode() + b"\n" + forged + b"\n")
    replayed = replay_home(tmp_path)
    assert replayed.equals_live is False
    assert "the events after it give another state" in replayed.differs[0]


def test_a_live_state_that_the_events_do_not_explain_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_session(tmp_path, 1))
    connection = sqlite3.connect(EngineFiles(tmp_path).journal)
    # A fill that brought more than it did; nothing else in the event contradicts it.
    connection.execute('UPDATE events SET body = replace(body, \'"fee_rate":"1"\', \'"fee_rate":"2"\')')
    connection.commit()
    connection.close()
    assert replay.main(["--home", str(tmp_path)]) == replay.DIFFERENT
    assert "DIFFERENT: the live engine's state at event" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("forgery", "named"),
    [
        ('UPDATE orders SET body = replace(body, \'"strategy":"manual"\', \'"strategy":"other"\')', "orders"),
        ("DELETE FROM fills WHERE seq = (SELECT MAX(seq) FROM fills)", "fills"),
        ("UPDATE orders SET status = 'CANCELED', open = 0", "orders"),
        ("UPDATE fills SET price = '1'", "fills"),
        ("UPDATE balances SET quantity = '12345' WHERE asset = 'BTC'", "balances"),
        ("INSERT INTO positions VALUES ('BTCUSDT.BINANCE', '1', '1', '0', 1)", "positions"),
        ("UPDATE orders SET body = 'not JSON' WHERE seq = (SELECT MAX(seq) FROM orders)", "orders"),
        ("DELETE FROM orders WHERE seq = (SELECT MAX(seq) FROM orders)", "orders"),
        ('UPDATE fills SET body = replace(body, \'"quantity":"0\', \'"quantity":"1\')', "fills"),
        ("UPDATE idempotency SET fingerprint = 'g' WHERE key = (SELECT MIN(key) FROM idempotency)", "idempotency"),
        (
            "UPDATE idempotency SET client_order_id = 'x'",
            "idempotency",
        ),
        ("UPDATE idempotency SET outcome = 'denied' WHERE outcome <> 'denied'", "idempotency"),
        ('UPDATE idempotency SET body = replace(body, \'"quantity":"0\', \'"quantity":"1\')', "idempotency"),
        ("UPDATE idempotency SET body = 'not JSON' WHERE rowid = (SELECT MAX(rowid) FROM idempotency)", "idempotency"),
        ("DELETE FROM idempotency WHERE rowid = (SELECT MAX(rowid) FROM idempotency)", "idempotency"),
        (
            "INSERT INTO idempotency (rowid, scope, key, fingerprint, principal, client_order_id, outcome, at_ms, body)"
            " SELECT -5, scope, 'of nobody', fingerprint, principal, '', '', 1, body FROM idempotency LIMIT 1",
            "idempotency",
        ),
        (
            "UPDATE equity_snapshots SET equity = '1' WHERE seq = (SELECT MIN(seq) FROM equity_snapshots)",
            "equity_snapshots",
        ),
        ("DELETE FROM equity_snapshots WHERE seq = (SELECT MAX(seq) FROM equity_snapshots)", "equity_snapshots"),
        ("INSERT INTO equity_snapshots VALUES (1, 1, '1', '1', '1', '0', '0', '0', '0', '0')", "equity_snapshots"),
    ],
)
def test_a_table_that_says_something_else_than_the_events_is_found(tmp_path: Path, forgery: str, named: str) -> None:
    asyncio.run(_session(tmp_path, 1))
    assert replay_home(tmp_path).tables_agree is True
    connection = sqlite3.connect(EngineFiles(tmp_path).journal)
    connection.execute(forgery)
    connection.commit()
    connection.close()
    replayed = replay_home(tmp_path)
    assert (replayed.equals_live, replayed.tables_agree) == (True, False)
    assert any(f"the table of {named} has" in said for said in replayed.differs)


def test_rows_agree_also_where_they_are_older_than_all_that_is_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(_session(tmp_path, 1))
    monkeypatch.setattr(written_rows, "AHEAD", 2)
    monkeypatch.setattr(written_rows, "_CHUNK", 1)
    assert replay_home(tmp_path).tables_agree is True
    connection = sqlite3.connect(EngineFiles(tmp_path).journal)
    # In another order than they were written: as a copy of the table would have them.
    connection.execute("UPDATE idempotency SET rowid = -rowid")
    connection.commit()
    connection.close()
    assert replay_home(tmp_path).tables_agree is True


async def test_a_key_whose_answer_a_crash_cut_off_agrees(tmp_path: Path) -> None:
    opened = open_journal(EngineFiles(tmp_path), account="test")
    core = make_core(journal=opened.journal)
    fake(core).scripts.append(Script(act=False, say=unknown()))
    asking = asyncio.create_task(submit(core, market_order(), mark_of()))
    await asyncio.sleep(0)
    await opened.journal.flush()
    asking.cancel()
    opened.journal.close()
    connection = sqlite3.connect(EngineFiles(tmp_path).journal)
    assert connection.execute("SELECT outcome FROM idempotency").fetchall() == [("",)]
    assert replay_home(tmp_path).tables_agree is True
    connection.execute("UPDATE idempotency SET fingerprint = 'g'")
    connection.commit()
    connection.close()
    assert replay_home(tmp_path).tables_agree is False


async def test_an_engine_that_trades_meanwhile_is_no_disagreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_journal(EngineFiles(tmp_path), account="test")
    core = make_core(journal=opened.journal)
    for _ in range(30):
        await submit(core, market_order(), mark_of())
    await opened.journal.flush()
    real = written_rows.WrittenRows.take
    loop, seen = asyncio.get_running_loop(), 0

    def take(self: written_rows.WrittenRows, recorded: Recorded, state: EngineState) -> None:
        nonlocal seen
        seen += 1
        if seen in {10, 60, 110}:
            asyncio.run_coroutine_threadsafe(_trade_on(core), loop).result(10)
        real(self, recorded, state)

    monkeypatch.setattr(written_rows.WrittenRows, "take", take)
    replayed = await asyncio.to_thread(replay_home, tmp_path)
    assert replayed.tables_agree is True, replayed.differs
    assert replayed.events == core.journal.last_seq
    opened.journal.close()


async def _trade_on(core: EngineCore) -> None:
    for _ in range(5):
        await submit(core, market_order(), mark_of())
    await core.journal.flush()


def test_an_event_that_does_not_fit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_session(tmp_path, 1))
    connection = sqlite3.connect(EngineFiles(tmp_path).journal)
    connection.execute("UPDATE events SET kind = 'OrderAccepted' WHERE seq = 9")
    connection.commit()
    connection.close()
    assert replay.main(["--home", str(tmp_path), "--json"]) == replay.DIFFERENT
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["equals_live"] is False
    assert verdict["detail"]


def test_the_command_prints_the_portfolio_and_one_line_of_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = asyncio.run(_session(tmp_path, 2))
    assert replay.main(["--home", str(tmp_path)]) == replay.SAME
    text = capsys.readouterr().out
    assert "BINANCE|spot|USDT: " in text
    assert "equal to the live state in all 3 comparisons" in text
    assert "the tables of orders, fills, balances, positions, answers and equity agree" in text
    assert replay.main(["--home", str(tmp_path), "--json"]) == replay.SAME
    verdict = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (verdict["state_hash"], verdict["equals_live"]) == (live, True)
    assert replay.main(["--home", str(tmp_path / "nowhere"), "--json"]) == replay.UNREADABLE


async def test_the_wallet_of_a_position_that_is_taken_over_is_in_the_tables(tmp_path: Path) -> None:
    opened = open_journal(EngineFiles(tmp_path), account="test")
    core = make_core(venue=FakeVenue(fake(make_core()).clock, markets=(Market.FUTURES,)), journal=opened.journal)
    await submit(core, market_order("0.01", market=Market.FUTURES), mark_of())
    fake(core).positions.clear()
    fake(core).balances[Market.FUTURES, "USDT"] += 1
    await reconcile(core, adopt=True)
    assert core.state.portfolio.transfers == 0
    await opened.journal.flush()
    opened.journal.close()
    assert replay_home(tmp_path).tables_agree
