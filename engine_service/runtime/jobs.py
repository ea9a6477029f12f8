"""What runs beside the orders: comparisons, equity samples, snapshots, the audit log, trading rules."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from engine_service.domain.errors import Conflict, Unavailable
from engine_service.domain.events import OrderRejected
from engine_service.execution.dead_man import DeadManSwitch
from engine_service.execution.equity import record_equity
from engine_service.execution.first_price import read_again
from engine_service.execution.reconcile import reconcile
from engine_service.execution.rules import refresh_instruments
from engine_service.runtime.engine import Engine
from engine_service.storage import snapshots
from engine_service.storage.audit_log import AuditLog
from engine_service.storage.codec import encode
from engine_service.storage.layout import EngineFiles
from engine_service.storage.port import Recorded
from engine_service.storage.reader import SqliteReader
from engine_service.storage.recent_rows import Following, LogSource
from engine_service.venues.port import VenueUnavailable

EQUITY_EVERY_S = 5.0
#: Often and little each time: half a second's worth of lines in one go keeps the interpreter from orders for that long.
AUDIT_EVERY_S = 0.02
SNAPSHOT_EVERY_EVENTS = 50_000
SNAPSHOT_POLL_S = 1.0
INSTRUMENTS_EVERY_S = 24 * 3600.0
#: Least time between two readings of the rules.
RULES_PAUSE_S = 30.0
#: Refusals that say that the rules of a symbol are not what we take them for.
RULE_REFUSALS = frozenset({"VENUE_BAD_REQUEST", "VENUE_FILTER_FAILURE", "VENUE_PRICE_FILTER", "VENUE_SYMBOL_CLOSED"})

_log = structlog.get_logger(__name__)


async def keep_reconciling(engine: Engine) -> None:
    """Compare with the venue on a timer; a comparison that is running already is as good."""
    while True:
        await asyncio.sleep(engine.settings.reconcile_every_s)
        try:
            report = await reconcile(engine.core, trigger="timer")
        except Conflict:
            continue
        if not report.ok:
            causes = {venue.venue: venue.cause for venue in report.venues if venue.cause}
            _log.warning("reconciliation is not clean", causes=causes)


async def keep_recording_equity(engine: Engine) -> None:
    """Sample equity on a timer."""
    while True:
        await asyncio.sleep(EQUITY_EVERY_S)
        await read_again(engine.core)
        await record_equity(engine.core)


async def keep_snapshotting(engine: Engine) -> None:
    """Save the state at the start, on a timer, and after many events, so that no start has to replay a lot.

    A disk that refuses costs start-up time, never an order.
    """
    clock, journal = engine.core.clock, engine.core.journal
    due_s, due_seq = clock.monotonic_s(), 0
    while True:
        if clock.monotonic_s() >= due_s or journal.last_seq >= due_seq:
            due_s = clock.monotonic_s() + engine.settings.snapshot_every_s
            due_seq = journal.last_seq + SNAPSHOT_EVERY_EVENTS
            await save_snapshot(engine)
        await asyncio.sleep(SNAPSHOT_POLL_S)


async def save_snapshot(engine: Engine) -> None:
    """Save the state as of now: encoded here, in one turn, and written in a thread once its events are on disk."""
    files = EngineFiles(engine.settings.home)
    body = encode(engine.core.state.image)
    seq = engine.core.journal.last_seq
    await engine.core.journal.flush()
    try:
        await asyncio.to_thread(snapshots.write, files.snapshots, body, seq)
    except OSError as error:
        _log.error("snapshot skipped", reason=error.strerror, seq=seq)


async def keep_audit_log(engine: Engine, committed: asyncio.Event) -> None:
    """Follow the journal into the hash-chained text files, off the event loop; ``committed`` tells of new events."""
    committed.set()
    with _audit_log(engine) as (audit, source):
        while True:
            await committed.wait()
            committed.clear()
            await _to_its_end(asyncio.to_thread(audit.catch_up, source))
            engine.anchors.audited = audit.last_seq
            await asyncio.sleep(AUDIT_EVERY_S)


async def _to_its_end(work: Coroutine[Any, Any, int]) -> None:
    """Wait for work in a thread, also when cancelled: two writers of one file would spoil it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


@contextmanager
def _audit_log(engine: Engine) -> Iterator[tuple[AuditLog, LogSource]]:
    files = EngineFiles(engine.settings.home)
    reader = SqliteReader(files.journal)
    try:
        audit = AuditLog(files.audit, engine.audit_key)
        try:
            yield audit, Following(engine.recent, reader)
        finally:
            audit.close()
    finally:
        reader.close()


async def keep_instruments_fresh(engine: Engine) -> None:
    """Read the trading rules anew every day, and at once where a venue refused an order by others than we know."""
    doubted = asyncio.Event()

    def look(committed: Sequence[Recorded]) -> None:
        if any(isinstance(row.event, OrderRejected) and row.event.code in RULE_REFUSALS for row in committed):
            doubted.set()

    engine.core.journal.on_commit(look)
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(INSTRUMENTS_EVERY_S):
                await doubted.wait()
        doubted.clear()
        for venue in engine.core.venues.values():
            try:
                await refresh_instruments(engine.core, venue)
            except VenueUnavailable as error:
                _log.warning("trading rules not refreshed", code=error.code)
        # Refusals that go on after that have another cause; they do not become a storm of questions.
        await asyncio.sleep(RULES_PAUSE_S)


async def keep_dead_man_armed(engine: Engine, switch: DeadManSwitch) -> None:
    """Tell the venue that the engine lives. A stop leaves the countdown running: nobody watches the orders then."""
    loop = asyncio.get_running_loop()
    while True:
        next_s = loop.time() + switch.refresh_s
        failed = await switch.refresh()
        _not_set(failed)
        # Where the venue does not take it, orders do not make a storm of it: the next round asks again.
        while not failed and (left_s := next_s - loop.time()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await switch.wait_for_uncovered()
                failed = await switch.cover()
                _not_set(failed)
        await asyncio.sleep(max(0.0, next_s - loop.time()))


def _not_set(failed: Mapping[str, str]) -> None:
    for symbol, reason in failed.items():
        _log.warning("dead-man switch not set", symbol=symbol, reason=reason)


async def last_words(engine: Engine) -> None:
    """Before the end, where the journal still takes it: an equity sample, a snapshot, the rest of the audit log."""
    try:
        await record_equity(engine.core)
        await save_snapshot(engine)
    except Unavailable as error:
        _log.error("the journal took no last words", code=error.code)
        return
    try:
        with _audit_log(engine) as (audit, source):
            audit.catch_up(source)
            engine.anchors.audited = audit.last_seq
    except OSError as error:
        _log.error("audit log not complete; the next start goes on with it", reason=error.strerror)
