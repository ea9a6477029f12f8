"""Replays a journal from its first event: ``python -m engine_service.storage.replay --home DIR [--until SEQ]``.

The same pure function that ran live is applied to every event again, offline. The state it leads to must have the hash
that the live engine recorded with its snapshots, and the hash of the newest snapshot with the tail after it; the tables
must say the same. Exit 0: so it is. 1: they differ, or an event cannot be applied. 2: cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine_service.domain.errors import ConfigurationError
from engine_service.domain.money import plain
from engine_service.domain.state import EngineState
from engine_service.storage.layout import EngineFiles
from engine_service.storage.port import Recorded
from engine_service.storage.reader import SqliteReader
from engine_service.storage.restore import JournalCorrupt, begin, replay, restore
from engine_service.storage.snapshots import newest_snapshot, recorded_hashes, state_hash
from engine_service.storage.tables_check import disagreements
from engine_service.storage.written_rows import WrittenRows

SAME, DIFFERENT, UNREADABLE = 0, 1, 2
REPORTING = "USDT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay found. ``differs`` names each comparison that failed; ``compared`` counts those with live states.

    ``equals_live`` is ``None`` where the live engine recorded nothing up to the last event replayed, ``tables_agree``
    where the replay ended before the journal: the tables are of its end.
    """

    state: EngineState
    events: int
    seconds: float
    state_hash: str
    compared: int
    equals_live: bool | None
    tables_agree: bool | None
    differs: tuple[str, ...]


def replay_home(home: Path, *, until: int | None = None, reporting: str = "") -> Replayed:
    """Replay a home's journal, all of it or up to the event ``until``.

    Raises:
        ConfigurationError: there is no journal.
        JournalCorrupt: an event is missing, unreadable or does not fit.
        sqlite3.Error: the database cannot be read.
    """
    files = EngineFiles(home)
    if not files.journal.exists():
        raise ConfigurationError(
            "JOURNAL_MISSING", f"there is no journal in {files.folder}; is it the data folder? --home DIR"
        )
    recorded = recorded_hashes(files.snapshots)
    reader = SqliteReader(files.journal, read_once=True)
    try:
        newest = reader.newest_seq()
        whole = until is None or until >= newest
        currency = reporting or reader.reporting() or REPORTING
        return _replay(reader, files, recorded, newest if until is None else min(until, newest), currency, whole=whole)
    finally:
        reader.close()


def _replay(
    reader: SqliteReader, files: EngineFiles, recorded: dict[int, str], end: int, currency: str, *, whole: bool
) -> Replayed:
    differs: list[str] = []
    wanted = {seq: known for seq, known in recorded.items() if seq <= end}

    written = WrittenRows(reader) if whole else None

    def compare(recorded: Recorded, state: EngineState) -> None:
        known = wanted.get(recorded.seq)
        if known is not None and state_hash(state) != known:
            differs.append(f"the live engine's state at event {recorded.seq} was another")
        if written is not None:
            written.take(recorded, state)

    began = time.perf_counter()
    state, seq = replay(reader, begin(currency), 0, until=end, on_event=compare)
    seconds = time.perf_counter() - began
    wrong = None
    if written is not None:
        with reader.standing_still():
            # What a running engine wrote meanwhile: the tables know of it already.
            state, end = replay(reader, state, seq, on_event=written.take)
            wrong = disagreements(reader, state) + written.disagreements()
    found = state_hash(state)
    # Without a snapshot the tail would be the whole journal once more.
    from_snapshot = 0
    if newest_snapshot(files.snapshots):
        tail = restore(reader, newest_seq=end, snapshots=files.snapshots, reporting=currency, until=end)
        from_snapshot = tail.from_snapshot
        if from_snapshot and state_hash(tail.state) != found:
            differs.append(f"snapshot {from_snapshot} and the events after it give another state")
    return Replayed(
        state=state,
        events=end,
        seconds=seconds,
        state_hash=found,
        compared=len(wanted) + bool(from_snapshot),
        equals_live=None if not wanted and not from_snapshot else not differs,
        tables_agree=None if wrong is None else not wrong,
        differs=(*differs, *(wrong or ())),
    )


def main(arguments: list[str] | None = None) -> int:
    """Replay and say what was found."""
    parser = argparse.ArgumentParser(description="Replay an engine's journal and compare with what ran live.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--until", type=int, help="stop after this event")
    parser.add_argument("--reporting", default="", help="the account's currency, where the journal does not say")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        replayed = replay_home(options.home, until=options.until, reporting=options.reporting)
    except JournalCorrupt as error:
        return _fail(DIFFERENT, error.detail, as_json=options.json)
    except (ConfigurationError, OSError, sqlite3.Error) as error:
        return _fail(UNREADABLE, str(error), as_json=options.json)
    if options.json:
        sys.stdout.write(json.dumps(_as_json(replayed)) + "\n")
    else:
        sys.stdout.write("\n".join(_as_text(replayed)) + "\n")
    return DIFFERENT if replayed.differs else SAME


def _as_json(replayed: Replayed) -> dict[str, object]:
    return {
        "events": replayed.events,
        "state_hash": replayed.state_hash,
        "equals_live": replayed.equals_live,
        "tables_agree": replayed.tables_agree,
        "events_per_s": round(replayed.events / max(replayed.seconds, 1e-9)),
        "compared": replayed.compared,
        "differs": list(replayed.differs),
        "portfolio": _portfolio(replayed.state),
    }


def _portfolio(state: EngineState) -> dict[str, object]:
    """Return the books without any price: what is held, what it cost, and what came of it."""
    books = state.portfolio
    totals = {
        "reporting": books.reporting,
        "realised_pnl": plain(books.realised),
        "fees": plain(books.fees),
        "funding": plain(books.funding),
        "transfers": plain(books.transfers),
        "book_value": plain(books.book_value),
    }
    held = {key: plain(book.quantity) for key, book in sorted(books.holdings.items()) if book.quantity}
    positions = {
        symbol: plain(position.book.quantity)
        for symbol, position in sorted(books.derivatives.items())
        if position.book.quantity
    }
    return {**totals, "holdings": held, "positions": positions, "open_orders": len(state.open_orders)}


def _as_text(replayed: Replayed) -> list[str]:
    rate = replayed.events / max(replayed.seconds, 1e-9)
    lines = [f"{replayed.events:,} events in {replayed.seconds:.2f} s ({rate:,.0f}/s)"]
    for name, value in _portfolio(replayed.state).items():
        if isinstance(value, dict):
            lines += [f"  {key}: {quantity}" for key, quantity in value.items()]
        else:
            lines.append(f"{name}: {value}")
    lines.append(f"state hash: {replayed.state_hash}")
    lines += [f"DIFFERENT: {reason}" for reason in replayed.differs]
    if replayed.equals_live is None:
        lines.append("the live engine recorded no state up to here: nothing to compare with")
    elif replayed.equals_live:
        lines.append(f"equal to the live state in all {replayed.compared} comparisons")
    if replayed.tables_agree:
        lines.append("the tables of orders, fills, balances, positions, answers and equity agree")
    return lines


def _fail(code: int, detail: str, *, as_json: bool) -> int:
    if as_json:
        verdict = {"events": 0, "state_hash": "", "equals_live": False, "detail": detail}
        sys.stdout.write(json.dumps(verdict) + "\n")
    else:
        sys.stdout.write(f"cannot be replayed: {detail}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
