"""From disk to state: newest sound snapshot, then the journal's tail, applied by the same function as ever."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import localcontext
from pathlib import Path

from engine_service.domain.apply import IllegalEvent, apply
from engine_service.domain.errors import EngineError
from engine_service.domain.events import OrderFilled
from engine_service.domain.exposure import ExposureBook
from engine_service.domain.ids import Market
from engine_service.domain.money import EXACT
from engine_service.domain.order import Order
from engine_service.domain.portfolio import Portfolio
from engine_service.domain.state import EngineState
from engine_service.storage.codec import Undecodable
from engine_service.storage.port import JournalReader, Recorded
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


def restore(
    reader: JournalReader,
    *,
    newest_seq: int,
    snapshots: Path | None,
    reporting: str = "USDT",
    until: int | None = None,
) -> Restored:
    """Rebuild the state at the end of the journal, or at the row ``until``.

    Raises:
        JournalCorrupt: an event is missing, unreadable, or does not fit the state before it (``JOURNAL_CORRUPT``).
    """
    loaded = None if snapshots is None else load_newest(snapshots, not_after=newest_seq)
    start = 0 if loaded is None else loaded.seq
    state, seq = replay(reader, begin(reporting) if loaded is None else EngineState(loaded.image), start, until=until)
    return Restored(
        state=state,
        seq=seq,
        from_snapshot=start,
        replayed=seq - start,
        skipped=() if loaded is None else loaded.skipped,
    )


def begin(reporting: str) -> EngineState:
    """Return the state before the first event."""
    state = EngineState()
    state.set_reporting(reporting)
    return state


def replay(
    reader: JournalReader,
    state: EngineState,
    after_seq: int,
    *,
    until: int | None = None,
    on_event: Callable[[Recorded, EngineState], None] | None = None,
) -> tuple[EngineState, int]:
    """Apply every event after a sequence number; return the state and the last number.

    What is derived from the books (exposure, reserved funds) is worked out once, at the end, not after every event.
    ``on_event`` sees each event's state, whose derived figures mean nothing yet.

    Raises:
        JournalCorrupt: as ``restore`` says.
    """
    seq = after_seq
    state.exposure = _NoExposure(state.image.reporting)
    with _collector_at_rest(), localcontext(EXACT):
        while events := _events(reader, seq, CHUNK if until is None else min(CHUNK, until - seq)):
            for recorded in events:
                if recorded.seq != seq + 1:
                    raise JournalCorrupt("JOURNAL_CORRUPT", f"sequence {seq + 1} is missing")
                seq = recorded.seq
                try:
                    apply(state, recorded.event)
                except IllegalEvent as error:
                    raise JournalCorrupt("JOURNAL_CORRUPT", f"sequence {seq}: {error.detail}") from error
                if on_event is not None:
                    on_event(recorded, state)
        return EngineState(state.image), seq


def _events(reader: JournalReader, after_seq: int, limit: int) -> list[Recorded]:
    if limit <= 0:
        return []
    try:
        return reader.events_after(after_seq, limit)
    except Undecodable as error:
        raise JournalCorrupt("JOURNAL_CORRUPT", f"unreadable after sequence {after_seq}: {error}") from error


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Events make no cycles: while millions of them pass, the collector would only look at them again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


class _NoExposure(ExposureBook):
    """Derives nothing."""

    def reserve(self, order: Order) -> None:
        """Leave it for later."""

    def release(self, order: Order) -> None:
        """Leave it for later."""

    def after_fill(self, portfolio: Portfolio, event: OrderFilled) -> None:
        """Leave it for later."""

    def after_holding(self, portfolio: Portfolio, venue: str, market: Market, asset: str) -> None:
        """Leave it for later."""

    def after_derivative(self, portfolio: Portfolio, symbol: str) -> None:
        """Leave it for later."""
