"""Whatever is done to a journal, its checkpoints or its key afterwards, the check finds it and says where."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine_service.domain import events as e
from engine_service.domain.errors import ConfigurationError
from engine_service.execution.submit import submit
from engine_service.storage.audit_log import AuditLog
from engine_service.storage.chain import ROW_VERSION, Ratchet, Row, link_first_version
from engine_service.storage.journal import SqliteJournal
from engine_service.storage.keys import read_key, read_state
from engine_service.storage.layout import EngineFiles
from engine_service.storage.opening import examine, instance_key, open_journal
from engine_service.storage.rows import rows_after
from engine_service.storage.schema import open_reader, open_writer
from engine_service.storage.verify import Verdict, verify_home
from tests.fakes.engine import limit_order, make_core, mark_of, market_order

SEEDS = 40
ROWS = 1_400
Tamper = Callable[[EngineFiles, random.Random], int]


@pytest.fixture(scope="module")
def journal_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with orders, a checkpoint at row 1,000 and one at its end, and the audit log of it all."""
    home = tmp_path_factory.mktemp("tampering") / "home"
    asyncio.run(_trade(home))
    assert verify_home(home) == Verdict(events=ROWS)
    return home


async def _trade(home: Path) -> None:
    opened = open_journal(EngineFiles(home), account="test")
    core = make_core(journal=opened.journal)
    await asyncio.gather(*(submit(core, market_order(), mark_of()) for _ in range(40)))
    await asyncio.gather(*(submit(core, limit_order("49000"), mark_of()) for _ in range(40)))
    rest = ROWS - opened.journal.last_seq
    await core.commit(*(e.Anomaly(at_ms=1, kind="note", subject=f"é{n}", detail="") for n in range(rest)))
    log = AuditLog(EngineFiles(home).audit, opened.audit_key)
    log.catch_up(opened.journal)
    log.close()
    opened.anchors.audited = log.last_seq
    opened.journal.close()


@pytest.fixture
def home(journal_home: Path, tmp_path: Path) -> EngineFiles:
    return EngineFiles(Path(shutil.copytree(journal_home, tmp_path / "home")))


def forge(files: EngineFiles, statement: str, *values: object) -> None:
    connection = sqlite3.connect(files.journal)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


# --- tamperings: each returns the sequence number that has to be named -------------------------------------------


def flipped(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) * 8)
    changed = bytearray(content)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def flip_a_bit_of_a_text(files: EngineFiles, chance: random.Random) -> int:
    column = chance.choice(["kind", "client_order_id", "body"])
    seq = chance.randint(3, 300)
    connection = sqlite3.connect(files.journal)
    connection.text_factory = bytes
    (content,) = connection.execute(f"SELECT {column} FROM events WHERE seq = ?", (seq,)).fetchone()  # noqa: S608
    connection.close()
    changed = b"x" if content is None else flipped(content, chance)
    forge(files, f"UPDATE events SET {column} = CAST(? AS TEXT) WHERE seq = ?", changed, seq)  # noqa: S608
    return seq


def flip_a_bit_of_a_number(files: EngineFiles, chance: random.Random) -> int:
    column, seq = chance.choice(["epoch", "version", "at_ms"]), chance.randint(1, ROWS)
    bit = 1 << chance.randrange(40)
    forge(files, f"UPDATE events SET {column} = ({column} | ?) - ({column} & ?) WHERE seq = ?", bit, bit, seq)  # noqa: S608
    return seq


def flip_a_bit_of_a_hash(files: EngineFiles, chance: random.Random) -> int:
    seq = chance.randint(1, ROWS)
    connection = sqlite3.connect(files.journal)
    (content,) = connection.execute("SELECT hash FROM events WHERE seq = ?", (seq,)).fetchone()
    connection.close()
    forge(files, "UPDATE events SET hash = ? WHERE seq = ?", flipped(content, chance), seq)
    return seq


def turn_a_value_into_bytes(files: EngineFiles, chance: random.Random) -> int:
    """As a flipped bit in the row's header does: the same letters, or the same number, of another type."""
    column, seq = chance.choice(["epoch", "at_ms", "kind", "body"]), chance.randint(1, ROWS)
    lax = sqlite3.connect(files.journal)
    lax.execute("PRAGMA writable_schema = ON")
    lax.execute("UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = 'events'")
    lax.commit()
    lax.close()
    forge(files, f"UPDATE events SET {column} = CAST({column} AS BLOB) WHERE seq = ?", seq)  # noqa: S608
    return seq


def flip_a_bit_of_a_sequence_number(files: EngineFiles, chance: random.Random) -> int:
    seq = chance.randint(1, ROWS)
    forge(files, "UPDATE events SET seq = ? WHERE seq = ?", seq ^ (1 << chance.randint(12, 30)), seq)
    return seq


def delete_rows(files: EngineFiles, chance: random.Random) -> int:
    seq = chance.randint(1, ROWS - 60)
    forge(files, "DELETE FROM events WHERE seq BETWEEN ? AND ?", seq, seq + chance.choice([0, 0, 50]))
    return seq


def exchange_rows(files: EngineFiles, chance: random.Random) -> int:
    first = chance.randint(1, ROWS - 1)
    second = first + 1 if chance.random() < 0.5 else chance.randint(first + 1, ROWS)
    for old, new in ((first, -1), (second, first), (-1, second)):
        forge(files, "UPDATE events SET seq = ? WHERE seq = ?", new, old)
    return first


def cut_the_tail(files: EngineFiles, chance: random.Random) -> int:
    last = chance.randint(0, ROWS - 1)
    for table in ("fills", "orders", "balances"):
        forge(files, f"DELETE FROM {table} WHERE seq > ?", last)  # noqa: S608
    forge(files, "DELETE FROM events WHERE seq > ?", last)
    return last + 1


def cut_the_tail_and_the_log(files: EngineFiles, chance: random.Random) -> int:
    shutil.rmtree(files.audit)
    return cut_the_tail(files, chance)


def append_a_row(files: EngineFiles, chance: random.Random) -> int:
    values = (ROWS + 1, 1, ROW_VERSION, 1, "Anomaly", '{"at_ms":1}', chance.randbytes(32))
    forge(files, "INSERT INTO events VALUES (?,?,?,?,?,NULL,?,?)", *values)
    return ROWS + 1


def append_a_copy(files: EngineFiles, chance: random.Random) -> int:
    source = chance.randint(1, ROWS)
    forge(
        files,
        "INSERT INTO events SELECT ?, epoch, version, at_ms, kind, client_order_id, body, hash FROM events"
        " WHERE seq = ?",
        ROWS + 1,
        source,
    )
    return ROWS + 1


def cut_the_checkpoints(files: EngineFiles, chance: random.Random) -> int:
    lines = files.checkpoints.read_bytes().splitlines(keepends=True)
    files.checkpoints.write_bytes(b"".join(lines[: chance.randrange(len(lines))]))
    return 0


def flip_a_bit_of_a_checkpoint(files: EngineFiles, chance: random.Random) -> int:
    content = files.checkpoints.read_bytes()
    start = content.index(b"{")
    files.checkpoints.write_bytes(content[:start] + flipped(content[start:], chance))
    return 0


def seal_anew_with_the_stored_key(files: EngineFiles, chance: random.Random) -> int:
    """The key that the engine holds is stolen, and everything after an edit is sealed with what it gives."""
    seq = chance.randint(1, ROWS - 1)
    state = read_state(files.key_state)
    assert state is not None
    connection = open_reader(files.journal)
    rows = list(rows_after(connection, seq - 1))
    connection.close()
    head = b"" if seq == 1 else b"unknown to the thief"
    for row in rows:
        changed = Row(*row)._replace(body=row.body.replace(b'"at_ms":1', b'"at_ms":2', 1), version=1)
        head = link_first_version(bytes.fromhex(state.secret), head, changed)
        forge(
            files,
            "UPDATE events SET body = CAST(? AS TEXT), version = 1, hash = ? WHERE seq = ?",
            changed.body,
            head,
            row.seq,
        )
        if row.seq > seq + 5:
            break
    return seq


KINDS: dict[str, tuple[Tamper, set[str]]] = {
    "text": (flip_a_bit_of_a_text, {"altered"}),
    "number": (flip_a_bit_of_a_number, {"altered"}),
    "type": (turn_a_value_into_bytes, {"altered"}),
    "hash": (flip_a_bit_of_a_hash, {"altered"}),
    "seq": (flip_a_bit_of_a_sequence_number, {"missing", "truncated"}),
    "delete": (delete_rows, {"missing"}),
    "exchange": (exchange_rows, {"reordered"}),
    "tail": (cut_the_tail, {"truncated"}),
    "tail and log": (cut_the_tail_and_the_log, {"truncated"}),
    "forged row": (append_a_row, {"altered"}),
    "copied row": (append_a_copy, {"altered"}),
    "checkpoints cut": (cut_the_checkpoints, {"anchor_mismatch"}),
    "checkpoint bit": (flip_a_bit_of_a_checkpoint, {"anchor_mismatch"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_tampering_is_found_and_named(journal_home: Path, tmp_path: Path, name: str) -> None:
    tamper, kinds = KINDS[name]
    found = 0
    for seed in range(SEEDS // 2):
        files = EngineFiles(Path(shutil.copytree(journal_home, tmp_path / str(seed))))
        bad = tamper(files, random.Random(seed))  # a seeded choice, no secret
        verdict = verify_home(files.home)
        assert verdict.kind in kinds, (name, seed, verdict)
        assert not bad or verdict.first_bad == bad, (name, seed, verdict)
        assert verdict.first_bad > 0
        shutil.rmtree(files.home)
        found += 1
    assert found == SEEDS // 2


def test_a_stolen_key_does_not_open_the_past(home: EngineFiles) -> None:
    seq = seal_anew_with_the_stored_key(home, random.Random(1))
    verdict = verify_home(home.home)
    assert (verdict.first_bad, verdict.kind) == (seq, "altered")
    state = read_state(home.key_state)
    assert state is not None
    assert state.ratchet.seq == ROWS
    with pytest.raises(ValueError, match="is gone"):
        state.ratchet.forward_to(ROWS - 1)


def test_without_the_stored_key_or_any_checkpoint_the_journal_is_not_clean(home: EngineFiles) -> None:
    home.checkpoints.unlink()
    assert verify_home(home.home).kind == "anchor_mismatch"
    home.key_state.unlink()
    assert verify_home(home.home).kind == "anchor_mismatch"


def test_checkpoints_of_another_journal_do_not_vouch_for_this_one(home: EngineFiles, tmp_path: Path) -> None:
    asyncio.run(_trade(tmp_path / "other"))
    shutil.copy(EngineFiles(tmp_path / "other").checkpoints, home.checkpoints)
    verdict = verify_home(home.home)
    assert (verdict.kind, verdict.first_bad) == ("anchor_mismatch", 1_000)


def test_the_check_works_with_the_root_key_and_the_checkpoints_elsewhere(home: EngineFiles, tmp_path: Path) -> None:
    key, place = tmp_path / "root", tmp_path / "checkpoints"
    home.root_key.rename(key)
    home.checkpoints.rename(place)
    assert verify_home(home.home, key=key, checkpoints=place).kind == ""
    home.key_state.unlink()
    assert verify_home(home.home, key=key, checkpoints=place).kind == ""


# --- the engine's own start ---------------------------------------------------------------------------------------


def reopen(files: EngineFiles) -> None:
    open_journal(files, account="test").journal.close()


def test_the_engine_does_not_start_on_a_tampered_journal(home: EngineFiles) -> None:
    cut_the_tail(home, random.Random(3))
    with pytest.raises(Exception, match="JOURNAL_CORRUPT"):
        reopen(home)


def test_an_engine_without_the_root_key_goes_on_and_checks_what_follows_the_checkpoint(
    home: EngineFiles, tmp_path: Path
) -> None:
    key = home.root_key.rename(tmp_path / "root")
    reopen(home)
    opened = open_journal(home, account="test")
    assert opened.checked_from == ROWS + 1
    asyncio.run(append(opened.journal, 3))
    opened.journal.close()
    assert verify_home(home.home, key=key) == Verdict(events=ROWS + 3)
    home.key_state.unlink()
    with pytest.raises(Exception, match="KEY_MISSING"):
        reopen(home)


def test_the_key_of_the_order_ids_is_not_made_anew_for_a_journal_with_events(home: EngineFiles) -> None:
    with pytest.raises(ConfigurationError, match="KEY_MISSING"):
        instance_key(home, ROWS)
    with pytest.raises(ConfigurationError, match="KEY_MISSING"):
        examine(home)
    made = instance_key(home, 0)
    examine(home)
    assert instance_key(home, ROWS) == made
    home.instance_key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="KEY_EXPOSED"):
        examine(home)


async def append(journal: SqliteJournal, count: int) -> None:
    core = make_core(journal=journal, cash=None)
    await core.commit(*(e.Anomaly(at_ms=1, kind="note", subject=str(n), detail="") for n in range(count)))


def test_a_journal_that_is_gone_is_not_begun_anew(home: EngineFiles) -> None:
    home.journal.unlink()
    with pytest.raises(Exception, match="JOURNAL_MISSING"):
        reopen(home)


# --- journals of the first version ----------------------------------------------------------------------------------


def first_version(files: EngineFiles) -> bytes:
    """Write a journal as the first version did: the key beside it, rows sealed with the key itself."""
    files.folder.mkdir(parents=True)
    root = bytes(range(32))
    files.old_root_key.write_text(root.hex() + "\n", encoding="ascii")
    files.old_root_key.chmod(0o600)
    connection, head = open_writer(files.journal), bytes(32)
    for seq in range(1, 21):
        body = b'{"at_ms":%d,"kind":"note","subject":"s","detail":""}' % seq
        row = Row(seq, 1, 1, seq, b"Anomaly", None, body, b"")
        head = link_first_version(root, head, row)
        values = (seq, 1, 1, seq, "Anomaly", None, body.decode(), head)
        connection.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?,?)", values)
    connection.close()
    return root


def test_a_journal_of_the_first_version_is_checked_opened_and_continued(tmp_path: Path) -> None:
    files = EngineFiles(tmp_path)
    root = first_version(files)
    assert verify_home(tmp_path) == Verdict(events=20)
    opened = open_journal(files, account="test")
    asyncio.run(append(opened.journal, 1))
    opened.journal.close()
    assert not files.old_root_key.exists()
    assert read_key(files.root_key) == root
    assert verify_home(tmp_path) == Verdict(events=21)
    forge(files, "UPDATE events SET at_ms = 0 WHERE seq = 7")
    assert verify_home(tmp_path).first_bad == 7


# --- keys and checkpoints in the running engine -----------------------------------------------------------------


def test_keys_are_private_and_the_stored_one_turns_with_the_journal(tmp_path: Path) -> None:
    files = EngineFiles(tmp_path)
    asyncio.run(_trade(tmp_path))
    assert files.keys.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in files.keys.iterdir()} == {0o600}
    state = read_state(files.key_state)
    assert state is not None
    assert state.ratchet == Ratchet.from_root(read_key(files.root_key)).forward_to(ROWS)


def test_a_second_place_that_refuses_stops_no_order_and_is_tried_again(tmp_path: Path) -> None:
    files, place = EngineFiles(tmp_path), tmp_path / "second" / "checkpoints"
    place.mkdir(parents=True)
    opened = open_journal(files, account="test", checkpoints=place)
    opened.anchors._pause_s = 0.01
    asyncio.run(append(opened.journal, 1_500))
    time.sleep(0.1)
    assert opened.anchors.last_seq == 0
    place.rmdir()
    opened.journal.close()
    assert verify_home(tmp_path, checkpoints=place) == Verdict(events=1_500)
