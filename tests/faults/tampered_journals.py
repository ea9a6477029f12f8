"""Row ``tampered_journals``: what is altered, removed, reordered or cut off in a closed journal, verify finds."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from engine_service.storage.layout import EngineFiles
from engine_service.storage.verify import verify_home
from tests.faults.homes import Written, damaged, write_homes_now
from tests.faults.rows import Failure, Options, Outcome, Row

ORDERS = 25
Forgery = Callable[[sqlite3.Connection, int, random.Random], str]


def run(options: Options) -> Outcome:
    """Write one home, forge many copies of it."""
    written = write_homes_now(options.folder / "engine", options.seed, orders=ORDERS)
    return try_forgeries(written, options.folder, options.pick(200, 1000), options.seed)


def try_forgeries(written: Written, folder: Path, number: int, seed: int) -> Outcome:
    """Try that many forgeries, each on a fresh copy; every one must be found."""
    chance, outcome, kinds = random.Random(seed), Outcome(tried=0), Counter[str]()
    untouched = verify_home(written.closed)
    if untouched.kind:
        outcome.failures.append(Failure("untouched", f"called {untouched.kind} at {untouched.first_bad}"))
    everything = [*FORGERIES, *LOG_FORGERIES]
    for count in range(number):
        forge = everything[count % len(everything)]
        said = ""

        def damage(home: Path, forge: Any = forge) -> None:
            nonlocal said
            said = forge(home, chance) if forge in LOG_FORGERIES else _forged(home, forge, chance)

        home = damaged(written.closed, folder / "image", damage)
        found = verify_home(home)
        outcome.tried += 1
        kinds[found.kind] += 1
        if not found.kind:
            outcome.failures.append(Failure(said, f"called clean, {found.events} events"))
        shutil.rmtree(home)
    outcome.notes = ", ".join(f"{count} {kind or 'missed'}" for kind, count in kinds.most_common())
    return outcome


def _forged(home: Path, forge: Forgery, chance: random.Random) -> str:
    with closing(sqlite3.connect(EngineFiles(home).journal, isolation_level=None)) as connection:
        newest = connection.execute("SELECT max(seq) FROM events").fetchone()[0]
        return forge(connection, newest, chance)


def _alter_digit(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    """A quantity, a price or a time becomes another one."""
    seq = chance.randrange(1, newest + 1)
    body = connection.execute("SELECT body FROM events WHERE seq = ?", (seq,)).fetchone()[0]
    digits = [place for place, character in enumerate(body) if character.isdigit()]
    place = chance.choice(digits)
    changed = body[:place] + str((int(body[place]) + 1) % 10) + body[place + 1 :]
    connection.execute("UPDATE events SET body = ? WHERE seq = ?", (changed, seq))
    return f"digit {place} of event {seq}"


def _alter_column(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    seq = chance.randrange(1, newest + 1)
    updates = {
        "epoch": "UPDATE events SET epoch = epoch + 1 WHERE seq = ?",
        "at_ms": "UPDATE events SET at_ms = at_ms + 1 WHERE seq = ?",
    }
    column = chance.choice(sorted(updates))
    connection.execute(updates[column], (seq,))
    return f"{column} of event {seq}"


def _alter_kind(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    seq = chance.randrange(1, newest + 1)
    connection.execute("UPDATE events SET kind = kind || 'x' WHERE seq = ?", (seq,))
    return f"kind of event {seq}"


def _alter_hash(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    seq = chance.randrange(1, newest + 1)
    connection.execute("UPDATE events SET hash = ? WHERE seq = ?", (chance.randbytes(32), seq))
    return f"hash of event {seq}"


def _remove(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    seq = chance.randrange(1, newest)
    connection.execute("DELETE FROM events WHERE seq = ?", (seq,))
    return f"event {seq} removed"


def _remove_and_close_up(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    """The gap is closed by counting the later rows anew."""
    seq = chance.randrange(1, newest)
    connection.execute("DELETE FROM events WHERE seq = ?", (seq,))
    for later in range(seq + 1, newest + 1):
        connection.execute("UPDATE events SET seq = ? WHERE seq = ?", (later - 1, later))
    return f"event {seq} removed, the later ones counted anew"


def _exchange(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    one, other = sorted(chance.sample(range(1, newest + 1), 2))
    connection.execute("UPDATE events SET seq = -1 WHERE seq = ?", (one,))
    connection.execute("UPDATE events SET seq = ? WHERE seq = ?", (one, other))
    connection.execute("UPDATE events SET seq = ? WHERE seq = -1", (other,))
    return f"events {one} and {other} exchanged"


def _double(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    seq = chance.randrange(1, newest + 1)
    connection.execute(
        "INSERT INTO events SELECT ?, epoch, version, at_ms, kind, client_order_id, body, hash FROM events "
        "WHERE seq = ?",
        (newest + 1, seq),
    )
    return f"event {seq} told again at the end"


def _cut(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    keep = chance.randrange(newest // 2, newest)
    connection.execute("DELETE FROM events WHERE seq > ?", (keep,))
    return f"cut after event {keep} of {newest}"


def _cut_with_tables(connection: sqlite3.Connection, newest: int, chance: random.Random) -> str:
    """A careful forger: the tables forget, too."""
    said = _cut(connection, newest, chance)
    keep = connection.execute("SELECT max(seq) FROM events").fetchone()[0]
    for table in ("fills", "orders", "balances", "positions", "equity_snapshots"):
        connection.execute(f"DELETE FROM {table} WHERE seq > {keep:d}")  # noqa: S608  # names from the line above
    return f"{said}, and in the tables"


def _alter_log(home: Path, chance: random.Random) -> str:
    path, lines = _log(home)
    place = chance.randrange(len(lines))
    digits = [index for index, character in enumerate(lines[place]) if character.isdigit()]
    index = chance.choice(digits)
    digit = str((int(lines[place][index]) + 1) % 10)
    lines[place] = lines[place][:index] + digit + lines[place][index + 1 :]
    path.write_text("".join(lines), encoding="utf-8")
    return f"audit log, line {place + 1}"


def _remove_log_line(home: Path, chance: random.Random) -> str:
    path, lines = _log(home)
    place = chance.randrange(len(lines) - 1)
    path.write_text("".join(lines[:place] + lines[place + 1 :]), encoding="utf-8")
    return f"audit log without line {place + 1}"


def _log(home: Path) -> tuple[Path, list[str]]:
    path = EngineFiles(home).audit / "events.jsonl"
    return path, path.read_text(encoding="utf-8").splitlines(keepends=True)


FORGERIES: tuple[Forgery, ...] = (
    _alter_digit,
    _alter_column,
    _alter_kind,
    _alter_hash,
    _remove,
    _remove_and_close_up,
    _exchange,
    _double,
    _cut,
    _cut_with_tables,
)
LOG_FORGERIES: tuple[Callable[[Path, random.Random], str], ...] = (_alter_log, _remove_log_line)

ROW = Row("tampered_journals", "altered, removed, reordered and cut journals: not found by verify", run)
