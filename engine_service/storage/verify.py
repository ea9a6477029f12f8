"""Checks the journal's hash chain and the audit log: ``python -m engine_service.storage.verify --home DIR [--json]``.

Exit 0: clean. 1: corrupt, with the first bad sequence number and its kind (altered, missing, reordered, truncated).
2: cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from engine_service.domain.errors import ConfigurationError
from engine_service.storage import audit_log
from engine_service.storage.chain import GENESIS, link, load_key
from engine_service.storage.layout import EngineFiles
from engine_service.storage.schema import open_reader

CLEAN, CORRUPT, UNREADABLE = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found. ``first_bad`` is a sequence number, 0 when clean; ``kind`` is empty when clean."""

    events: int
    first_bad: int = 0
    kind: str = ""
    detail: str = ""


def verify_chain(path: Path, key: bytes) -> Verdict:
    """Recompute every hash of the journal.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    connection = open_reader(path)
    head, expected = GENESIS, 1
    try:
        cursor = connection.execute("SELECT seq, epoch, version, at_ms, kind, body, hash FROM events ORDER BY seq")
        for seq, epoch, version, at_ms, kind, body, stored in cursor:
            if seq != expected:
                return Verdict(events=expected - 1, first_bad=expected, kind="missing")
            head = link(key, head, seq, epoch, version, at_ms, kind, body)
            if head != stored:
                return Verdict(events=expected - 1, first_bad=seq, kind="altered")
            expected += 1
    finally:
        connection.close()
    return Verdict(events=expected - 1)


def verify_home(home: Path) -> Verdict:
    """Check the journal and, where there is one, the audit log against it.

    Raises:
        ConfigurationError: the key cannot be read.
        OSError, sqlite3.Error: the files cannot be read.
    """
    files = EngineFiles(home)
    if not files.journal.exists():
        raise ConfigurationError("JOURNAL_MISSING", f"there is no journal in {files.folder}")
    key = load_key(files.chain_key)
    verdict = verify_chain(files.journal, key)
    if verdict.kind:
        return verdict
    bad = audit_log.verify(files.audit, key)
    if bad is None:
        return verdict
    return Verdict(events=verdict.events, first_bad=bad.seq, kind=bad.kind, detail=bad.where)


def main(arguments: list[str] | None = None) -> int:
    """Run the check and say what was found."""
    parser = argparse.ArgumentParser(description="Check the hash chain of an engine's journal and audit log.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        verdict = verify_home(options.home)
    except (ConfigurationError, OSError, sqlite3.Error) as error:
        _say({"events": 0, "first_bad": None, "kind": "unreadable", "detail": str(error)}, as_json=options.json)
        return UNREADABLE
    _say({**asdict(verdict), "first_bad": verdict.first_bad or None}, as_json=options.json)
    return CORRUPT if verdict.kind else CLEAN


def _say(verdict: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(verdict) + "\n")
    elif verdict["kind"]:
        sys.stdout.write(f"{verdict['kind']} at {verdict['first_bad']} {verdict['detail']}\n")
    else:
        sys.stdout.write(f"clean: {verdict['events']} events\n")


if __name__ == "__main__":
    sys.exit(main())
