"""From disk to state: newest sound snapshot, then the journal's tail, applied by the same function as ever."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine_service.domain.apply import IllegalEvent, apply
from engine_service.domain.errors import EngineError
from engine_service.domain.state import EngineState
from engine_service.storage.codec import Undecodable
from engine_service.storage.port import JournalReader
from engine_service.storage.snapshots import load_newest

CHUNK = 5_000


class JournalCorrupt(EngineError):
    """The journal cannot be replayed; nothing may trade on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The state at the end of the journal. ``from_snapshot`` is its sequence number, 0 from the beginning."""

    state: EngineState
    seq: int
    from_snapshot: int
    replayed: int
    skipped: tuple[str, ...] = ()


def restore(reader: JournalReader, *, newest_seq: int, snapshots: Path | None, reporting: str = "USDT") -> Restored:
    """Rebuild the state.

    Raises:
        JournalCorrupt: an event is missing, unreadable, or does not fit the state before it (``JOURNAL_CORRUPT``).
    """
    loaded = None if snapshots is None else load_newest(snapshots, not_after=newest_seq)
    state = EngineState() if loaded is None else EngineState(loaded.image)
    if loaded is None:
        state.set_reporting(reporting)
    start = 0 if loaded is None else loaded.seq
    seq = replay(reader, state, start)
    return Restored(
        state=state,
        seq=seq,
        from_snapshot=start,
        replayed=seq - start,
        skipped=() if loaded is None else loaded.skipped,
    )


def replay(reader: JournalReader, state: EngineState, after_seq: int) -> int:
    """Apply every event after a sequence number; return the last one.

    Raises:
        JournalCorrupt: as ``restore`` says.
    """
    seq = after_seq
    while True:
        try:
            events = reader.events_after(seq, CHUNK)
        except Undecodable as error:
            raise JournalCorrupt("JOURNAL_CORRUPT", f"unreadable after sequence {seq}: {error}") from error
        if not events:
            return seq
        for recorded in events:
            if recorded.seq != seq + 1:
                raise JournalCorrupt("JOURNAL_CORRUPT", f"sequence {seq + 1} is missing")
            seq = recorded.seq
            try:
                apply(state, recorded.event)
            except IllegalEvent as error:
                raise JournalCorrupt("JOURNAL_CORRUPT", f"sequence {seq}: {error.detail}") from error
