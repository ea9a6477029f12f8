"""What runs beside the orders: comparisons, equity samples, snapshots, the audit log, trading rules."""

from __future__ import annotations

import asyncio

import structlog

from engine_service.domain.errors import Conflict, Unavailable
from engine_service.execution.equity import record_equity
from engine_service.execution.reconcile import reconcile
from engine_service.execution.recover import refresh_instruments
from engine_service.runtime.engine import Engine
from engine_service.storage import snapshots
from engine_service.storage.audit_log import AuditLog
from engine_service.storage.codec import encode
from engine_service.storage.layout import EngineFiles
from engine_service.storage.reader import SqliteReader
from engine_service.venues.port import VenueUnavailable

EQUITY_EVERY_S = 5.0
AUDIT_EVERY_S = 0.5
INSTRUMENTS_EVERY_S = 24 * 3600.0

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
            _log.warning("reconciliation is not clean", venues=[venue.venue for venue in report.venues if venue.breaks])


async def keep_recording_equity(engine: Engine) -> None:
    """Sample equity on a timer."""
    while True:
        await asyncio.sleep(EQUITY_EVERY_S)
        await record_equity(engine.core)


async def keep_snapshotting(engine: Engine) -> None:
    """Save the state on a timer. A disk that refuses costs start-up time, never an order."""
    while True:
        await asyncio.sleep(engine.settings.snapshot_every_s)
        await save_snapshot(engine)


async def save_snapshot(engine: Engine) -> None:
    """Save the state as of now: encoded here, in one turn, and written in a thread."""
    files = EngineFiles(engine.settings.home)
    body = encode(engine.core.state.image)
    seq = engine.core.journal.last_seq
    try:
        await asyncio.to_thread(snapshots.write, files.snapshots, body, seq)
    except OSError as error:
        _log.error("snapshot skipped", reason=error.strerror, seq=seq)


async def keep_audit_log(engine: Engine) -> None:
    """Follow the journal into the hash-chained text files, off the event loop."""
    files = EngineFiles(engine.settings.home)
    files.audit.mkdir(parents=True, exist_ok=True)
    reader = SqliteReader(files.journal)
    audit = AuditLog(files.audit, engine.chain_key)
    try:
        while True:
            await asyncio.to_thread(audit.catch_up, reader)
            await asyncio.sleep(AUDIT_EVERY_S)
    finally:
        audit.close()
        reader.close()


async def keep_instruments_fresh(engine: Engine) -> None:
    """Read the trading rules anew every day."""
    while True:
        await asyncio.sleep(INSTRUMENTS_EVERY_S)
        for venue in engine.core.venues.values():
            try:
                await refresh_instruments(engine.core, venue)
            except VenueUnavailable as error:
                _log.warning("trading rules not refreshed", code=error.code)


async def last_words(engine: Engine) -> None:
    """Before the end: one more equity sample and a snapshot, where the journal still takes them."""
    try:
        await record_equity(engine.core)
        await engine.core.journal.flush()
    except Unavailable as error:
        _log.error("the journal took no last words", code=error.code)
        return
    await save_snapshot(engine)
