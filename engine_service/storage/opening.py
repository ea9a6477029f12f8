"""Opening a home's journal: keys at hand, nothing missing, the chain sound, and only then the writer.

A short journal is checked from its first row. Of a long one only what follows the newest checkpoint is read, so that
the start takes the same time after a million events; ``nhmm audit verify`` reads the rest.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine_service.domain.errors import ConfigurationError, EngineError
from engine_service.storage import audit_log
from engine_service.storage.anchors import Anchors, Position
from engine_service.storage.chain import GENESIS, Ratchet, Walker
from engine_service.storage.checkpoints import EVERY_ROWS
from engine_service.storage.journal import SqliteJournal
from engine_service.storage.keys import (
    KeyState,
    audit_key_of,
    load_key,
    read_key,
    read_state,
    sync_folder,
    write_private,
    write_state,
)
from engine_service.storage.layout import EngineFiles
from engine_service.storage.rows import newest_seq, rows_after
from engine_service.storage.schema import known_version, open_reader
from engine_service.storage.snapshots import newest_snapshot

#: Journals of up to this many rows are checked as a whole at every start (about a second).
CHECK_ALL_UP_TO: Final = 100_000


@dataclass(frozen=True, slots=True)
class Opened:
    """The journal, ready for its writer. ``checked_from`` is the first row whose seal was checked."""

    journal: SqliteJournal
    anchors: Anchors
    audit_key: bytes
    checked_from: int


def open_journal(
    files: EngineFiles,
    *,
    account: str,
    checkpoints: Path | None = None,
    epoch: int = 0,
    reporting: str = "USDT",
) -> Opened:
    """Open or create the journal of a home folder. ``epoch`` 0 means the one after the newest row's.

    ``reporting`` is the currency a new journal begins with; an old one keeps its own.

    Raises:
        ConfigurationError: a key is damaged, open to others or not there, or the database is of a newer version.
        EngineError: rows are altered, reordered, missing or cut off (``JOURNAL_CORRUPT``), or the whole database is
            not there although there was one (``JOURNAL_MISSING``).
    """
    files.folder.mkdir(parents=True, exist_ok=True)
    _adopt_first_version(files)
    state = read_state(files.key_state)
    root = _root(files, state)
    _refuse_if_gone(files, state)
    audit_key = _audit_key(files, root)
    try:
        end, due, checked_from = _checked(files, state, root)
        if state is None:
            state = KeyState(seq=end.seq, checkpoint=0, secret=end.secret.hex())
            write_state(files.key_state, state)
        anchors = Anchors(files.key_state, checkpoints or files.checkpoints, state)
        anchors.note(due, end)
        journal = SqliteJournal(
            files.journal, Ratchet(end.seq, end.secret), account=account, epoch=epoch, anchors=anchors
        )
    except sqlite3.Error as error:
        raise EngineError("JOURNAL_CORRUPT", f"{files.journal} cannot be opened: {error}") from error
    if not journal.last_seq:
        journal.remember_reporting(reporting)
    journal.epoch = epoch or journal.last_epoch() + 1
    return Opened(journal, anchors, audit_key, checked_from)


def examine(files: EngineFiles) -> None:
    """Look at a home as a start would, and change nothing; nothing is wrong with a new one.

    Raises:
        ConfigurationError, EngineError: as ``open_journal``.
    """
    state = read_state(files.key_state)
    _refuse_if_gone(files, state)
    if not files.journal.exists():
        return
    for key in (files.root_key, files.audit_key):
        if key.exists():
            read_key(key)
    try:
        connection = open_reader(files.journal)
        try:
            known_version(connection, files.journal)
            if newest_seq(connection):
                read_key(files.instance_key)
        finally:
            connection.close()
        _checked(files, state, read_key(files.root_key) if files.root_key.exists() else None)
    except sqlite3.Error as error:
        raise EngineError("JOURNAL_CORRUPT", f"{files.journal} cannot be opened: {error}") from error


def instance_key(files: EngineFiles, last_seq: int) -> bytes:
    """Return the key that order ids are made of; a journal that has events has one already.

    With another key the engine would take its own orders for somebody else's, and place the legs of a bracket again.

    Raises:
        ConfigurationError: as ``read_key``.
    """
    return read_key(files.instance_key) if last_seq else load_key(files.instance_key)


def _refuse_if_gone(files: EngineFiles, state: KeyState | None) -> None:
    """A journal that was there and is not is no new home: orders may stand at the venue that only it knew."""
    if not files.journal.exists() and ((state is not None and state.seq) or newest_snapshot(files.snapshots)):
        raise EngineError(
            "JOURNAL_MISSING",
            f"{files.journal} is gone, but {files.home} had one; put it back, or, to begin anew, move what is left"
            f" of it away: {files.keys}, {files.checkpoints} and {files.snapshots}",
        )


def _adopt_first_version(files: EngineFiles) -> None:
    """Move the key of a home of the first version to where it belongs now."""
    if files.old_root_key.exists() and not files.root_key.exists():
        files.keys.mkdir(mode=0o700, exist_ok=True)
        files.old_root_key.rename(files.root_key)
        sync_folder(files.keys)


def _root(files: EngineFiles, state: KeyState | None) -> bytes | None:
    """Return the root key, made for a new home; ``None`` where it was taken elsewhere."""
    if files.root_key.exists() or (state is None and not files.journal.exists()):
        return load_key(files.root_key)
    return None


def _needed(root: bytes | None, files: EngineFiles) -> bytes:
    if root is None:
        raise ConfigurationError(
            "KEY_MISSING", f"{files.key_state} is gone; bring {files.root_key} back, from which it can be made again"
        )
    return root


def _audit_key(files: EngineFiles, root: bytes | None) -> bytes:
    if not files.audit_key.exists():
        write_private(files.audit_key, audit_key_of(_needed(root, files)).hex().encode() + b"\n")
    return read_key(files.audit_key)


def _checked(files: EngineFiles, state: KeyState | None, root: bytes | None) -> tuple[Position, list[Position], int]:
    """Walk the rows; return where the journal ends, positions that still lack a checkpoint, and the first row read."""
    anchored = 0 if state is None else state.seq
    if not files.journal.exists():
        return Position(0, GENESIS, Ratchet.from_root(_needed(root, files)).secret), [], 1
    connection = open_reader(files.journal)
    try:
        last = newest_seq(connection)
        _refuse_if(last < anchored, anchored, "truncated", f"the journal ends at {last}")
        walker = _start(connection, files, state, root, last)
        first, due = walker.ratchet.seq + 1, []
        for row in rows_after(connection, walker.ratchet.seq):
            expected = walker.ratchet.seq + 1
            _refuse_if(row.seq != expected, expected, "missing")
            _refuse_if(not walker.accepts(row), expected, "altered")
            if row.seq > anchored and row.seq % EVERY_ROWS == 0:
                due.append(Position(row.seq, walker.head, walker.ratchet.secret))
            if state is not None and row.seq == anchored:
                _refuse_if(walker.ratchet.secret.hex() != state.secret, anchored, "sealed with another key")
        if state is not None:
            ahead = newest_snapshot(files.snapshots)
            _refuse_if(ahead > last, last + 1, "truncated", f"a snapshot knows event {ahead}")
        audited = audit_log.last_seq(files.audit)
        _refuse_if(audited > last, last + 1, "truncated", f"the audit log goes on to {audited}")
    finally:
        connection.close()
    return Position(walker.ratchet.seq, walker.head, walker.ratchet.secret), due, first


def _start(
    connection: sqlite3.Connection, files: EngineFiles, state: KeyState | None, root: bytes | None, last: int
) -> Walker:
    """Return a walker at the beginning of a short journal, or at the last checkpoint of a long one."""
    if root is not None and (state is None or last <= CHECK_ALL_UP_TO):
        return Walker(Ratchet.from_root(root), root=root)
    if state is None:
        raise ConfigurationError("KEY_MISSING", f"{files.key_state} and {files.root_key} are gone")
    row = connection.execute("SELECT hash FROM events WHERE seq = ?", (state.seq,)).fetchone()
    _refuse_if(row is None and state.seq > 0, state.seq, "missing")
    return Walker(state.ratchet, GENESIS if row is None else row[0], root=root)


def _refuse_if(wrong: bool, seq: int, what: str, more: str = "") -> None:
    if wrong:
        detail = f" ({more})" if more else ""
        raise EngineError("JOURNAL_CORRUPT", f"event {seq} is {what}{detail}; nothing trades on it: nhmm audit verify")
