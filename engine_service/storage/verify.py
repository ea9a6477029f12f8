"""Checks journal, checkpoints and audit log: ``python -m engine_service.storage.verify --home DIR [--json]``.

Reads only, and never for long at a time: the engine may run meanwhile. Exit 0: clean. 1: corrupt, with the first bad
sequence number and its kind (altered, missing, reordered, truncated, anchor_mismatch). 2: cannot be read.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine_service.domain.errors import ConfigurationError
from engine_service.storage.audit_check import AuditStream, BadLine
from engine_service.storage.audit_log import STREAMS
from engine_service.storage.chain import FIRST_VERSION, Ratchet, Row, Walker, seal_of
from engine_service.storage.checkpoints import BrokenCheckpoints, Checkpoint, is_sealed, read_checkpoints
from engine_service.storage.keys import KeyState, audit_key_of, read_key, read_state
from engine_service.storage.layout import EngineFiles
from engine_service.storage.rows import first_seq, newest_projected, newest_seq, rows_after
from engine_service.storage.schema import open_reader

CLEAN, CORRUPT, UNREADABLE = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found. ``first_bad`` is a sequence number, 0 when clean; ``kind`` is empty when clean."""

    events: int
    first_bad: int = 0
    kind: str = ""
    detail: str = ""


class _Bad(Exception):
    """The first thing that is wrong."""

    def __init__(self, seq: int, kind: str, detail: str = "") -> None:
        super().__init__(detail)
        self.seq, self.kind, self.detail = seq, kind, detail


class Verification:
    """One pass over everything that bears witness. What is read first is never ahead of what is read after it."""

    def __init__(self, files: EngineFiles, root: bytes, checkpoints: Path, *, state_expected: bool = True) -> None:
        """``state_expected``: the key of the next row must be there, which it is not on another machine.

        Raises:
            ConfigurationError, OSError: a file is there and cannot be read.
        """
        self._files, self._root, self._checkpoints_path = files, root, checkpoints
        self._state = read_state(files.key_state)
        self._state_expected = state_expected
        self._walker = Walker(Ratchet.from_root(root), root=root)
        self._modern = False

    def run(self) -> Verdict:
        """Check everything.

        Raises:
            OSError, sqlite3.Error: the files cannot be read.
        """
        try:
            checkpoints = _by_seq(self._checkpoints_path)
            streams = self._streams()
            connection = open_reader(self._files.journal, read_once=True)
            try:
                self._read(connection, checkpoints, streams)
            finally:
                connection.close()
        except _Bad as bad:
            return Verdict(events=self._seq, first_bad=bad.seq, kind=bad.kind, detail=bad.detail)
        except BadLine as bad:
            return Verdict(events=self._seq, first_bad=bad.seq, kind=bad.kind, detail=f"audit log, {bad.where}")
        return Verdict(events=self._seq)

    @property
    def _seq(self) -> int:
        return self._walker.ratchet.seq

    def _streams(self) -> list[AuditStream]:
        keys = (audit_key_of(self._root), self._root)
        return [AuditStream(self._files.audit, name, keys) for name in STREAMS]

    def _read(
        self, connection: sqlite3.Connection, checkpoints: dict[int, list[Checkpoint]], streams: Sequence[AuditStream]
    ) -> None:
        if first_seq(connection) != 1:
            raise _Bad(1, "missing" if first_seq(connection) > 1 else "altered")
        more = True
        while more:
            try:
                for row in rows_after(connection, self._seq):
                    self._take(connection, row, checkpoints, streams)
            except sqlite3.DatabaseError as error:
                if not self._seq:
                    raise
                raise _Bad(self._seq + 1, "altered", str(error)) from error
            # A line of the log may be of a row that was written while this read.
            more = any(stream.ahead for stream in streams) and newest_seq(connection) > self._seq
        self._check_end(connection, checkpoints, streams)

    def _take(
        self,
        connection: sqlite3.Connection,
        row: Row,
        checkpoints: dict[int, list[Checkpoint]],
        streams: Sequence[AuditStream],
    ) -> None:
        if not self._walker.accepts(row):
            raise self._diagnosis(connection, row)
        self._modern = self._modern or row.version != FIRST_VERSION
        for checkpoint in checkpoints.get(row.seq, ()):
            self._check_anchor(row, checkpoint)
        if self._state is not None and row.seq == self._state.seq:
            self._check_state(self._state)
        for stream in streams:
            stream.take(row)

    def _diagnosis(self, connection: sqlite3.Connection, row: Row) -> _Bad:
        """Tell how the row came to stand where it does not belong."""
        expected = self._seq + 1
        if row.seq != expected:
            return _Bad(expected, "missing")
        came_from = _place_of(row, self._walker.ratchet, connection, self._root)
        if came_from:
            return _Bad(expected, "reordered", f"it was event {came_from}")
        return _Bad(expected, "altered")

    def _check_anchor(self, row: Row, checkpoint: Checkpoint) -> None:
        name = f"checkpoint {checkpoint.number}"
        if not is_sealed(self._walker.ratchet.secret, checkpoint):
            raise _Bad(row.seq, "anchor_mismatch", f"{name} was not written by this engine")
        if checkpoint.head != row.hash.hex():
            raise _Bad(row.seq, "anchor_mismatch", f"{name} saw another event here")

    def _check_state(self, state: KeyState) -> None:
        if state.secret != self._walker.ratchet.secret.hex():
            raise _Bad(state.seq, "anchor_mismatch", "the stored key is of another journal")

    def _check_end(
        self, connection: sqlite3.Connection, checkpoints: dict[int, list[Checkpoint]], streams: Sequence[AuditStream]
    ) -> None:
        end = self._seq
        newest = max(checkpoints, default=0)
        witnesses = {
            "the checkpoints go": newest,
            "the stored key goes": 0 if self._state is None else self._state.seq,
            "the tables go": newest_projected(connection),
        }
        witnesses |= {f"{stream.name}.jsonl goes": stream.ahead.seq for stream in streams if stream.ahead is not None}
        for name, seq in witnesses.items():
            # What the engine wrote while this read is no witness against it.
            if seq > end and seq > newest_seq(connection):
                raise _Bad(end + 1, "truncated", f"{name} on to {seq}")
        self._check_anchors_whole(checkpoints, newest)
        audited = max((checkpoint.audited for found in checkpoints.values() for checkpoint in found), default=0)
        for stream in streams:
            if 0 < stream.lacks <= audited:
                raise _Bad(stream.lacks, "truncated", f"audit log, the end of {stream.name}.jsonl")

    def _check_anchors_whole(self, checkpoints: dict[int, list[Checkpoint]], newest: int) -> None:
        if self._state is None:
            if self._modern and self._state_expected:
                raise _Bad(self._seq, "anchor_mismatch", f"{self._files.key_state} is gone")
            return
        written = max((checkpoint.number for found in checkpoints.values() for checkpoint in found), default=0)
        if self._state.checkpoint > written:
            detail = f"checkpoint {written + 1} and those after it are gone from {self._checkpoints_path}"
            raise _Bad(newest + 1, "anchor_mismatch", detail)


def _by_seq(path: Path) -> dict[int, list[Checkpoint]]:
    found: dict[int, list[Checkpoint]] = {}
    try:
        for checkpoint in read_checkpoints(path):
            found.setdefault(checkpoint.seq, []).append(checkpoint)
    except BrokenCheckpoints as error:
        raise _Bad(error.after_seq + 1, "anchor_mismatch", f"{path}: {error}") from error
    return found


def _place_of(row: Row, ratchet: Ratchet, connection: sqlite3.Connection, root: bytes) -> int:
    """Return where behind its present place a row is sound, 0 where nowhere: two rows were exchanged."""
    ahead, before = Ratchet(ratchet.seq, ratchet.secret), row.hash
    ahead.turn()
    for other in rows_after(connection, row.seq):
        secret = ahead.forward_to(other.seq - 1).turn()
        # Of neighbours, the one that belonged first now stands behind the row.
        previous = other.hash if other.seq == row.seq + 1 else before
        if seal_of(row._replace(seq=other.seq), secret, previous, root) == row.hash:
            return other.seq
        before = other.hash
    return 0


def verify_home(home: Path, *, key: Path | None = None, checkpoints: Path | None = None) -> Verdict:
    """Check a home folder. ``key``: the root key, where it is not kept in the folder itself.

    Raises:
        ConfigurationError: there is no journal, or no key to check it with.
        OSError, sqlite3.Error: the files cannot be read.
    """
    files = EngineFiles(home)
    if not files.journal.exists():
        raise ConfigurationError(
            "JOURNAL_MISSING", f"there is no journal in {files.folder}; is it the data folder? --home DIR"
        )
    own = files.root_key if files.root_key.exists() or not files.old_root_key.exists() else files.old_root_key
    root = read_key(key or own)
    place = checkpoints or files.checkpoints
    return Verification(files, root, place, state_expected=key is None).run()


def main(arguments: list[str] | None = None) -> int:
    """Run the check and say what was found."""
    parser = argparse.ArgumentParser(description="Check an engine's journal, its checkpoints and its audit log.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--key", type=Path, help="the journal's root key, where it is kept elsewhere")
    parser.add_argument("--checkpoints", type=Path, help="the checkpoints, where they are kept elsewhere")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nice", action="store_true", help="leave the processor to others")
    options = parser.parse_args(arguments)
    if options.nice:
        os.nice(10)
    elsewhere = options.checkpoints or os.environ.get("NHMM_CHECKPOINT_FILE")
    try:
        verdict = verify_home(options.home, key=options.key, checkpoints=None if elsewhere is None else Path(elsewhere))
    except (ConfigurationError, OSError, sqlite3.Error) as error:
        _say({"events": 0, "first_bad": None, "kind": "unreadable", "detail": str(error)}, as_json=options.json)
        return UNREADABLE
    _say({**asdict(verdict), "first_bad": verdict.first_bad or None}, as_json=options.json)
    return CORRUPT if verdict.kind else CLEAN


def _say(verdict: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(verdict) + "\n")
    elif verdict["kind"]:
        place = "" if verdict["first_bad"] is None else f" at {verdict['first_bad']}"
        sys.stdout.write(f"{verdict['kind']}{place}: {verdict['detail']}\n")
    else:
        sys.stdout.write(f"clean: {verdict['events']} events\n")


if __name__ == "__main__":
    sys.exit(main())
