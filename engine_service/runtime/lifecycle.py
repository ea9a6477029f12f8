"""Bringing a built engine into service, and taking it out again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from engine_service.domain import events as e
from engine_service.execution.dead_man import DeadManSwitch
from engine_service.execution.equity import record_equity
from engine_service.execution.recover import start_up
from engine_service.execution.user_stream import follow_user_events
from engine_service.runtime import jobs
from engine_service.runtime.engine import Engine
from engine_service.runtime.journal_watch import keep_checking
from engine_service.runtime.model_bundle import ModelBundle, read_bundle
from engine_service.runtime.strategy_switches import StrategyChange, change_strategy
from engine_service.runtime.supervisor import Job
from engine_service.venues.abilities import DeadManVenue
from engine_service.venues.reports import StreamStatus
from strategies.regime_policy import STRATEGY_ID as REGIME_STRATEGY

STOP_WITHIN_S: Final = 3.0
FIRST_MARKS_WITHIN_S: Final = 10.0
#: On a small venue every instrument is followed, so that a person may trade what no strategy watches.
QUOTE_ALL_UP_TO: Final = 50

_log = structlog.get_logger(__name__)


async def start(engine: Engine, version: str) -> None:
    """Bring the engine into service: market data, recovery, first comparison, then the strategies.

    Raises:
        EngineError: the journal failed.
    """
    core, supervisor = engine.core, engine.supervisor
    venue = core.venue(core.default_venue)
    supervisor.start(Job("market-data", _MarketData(engine).run))
    report = await start_up(core, epoch=engine.epoch, version=version, first_prices=lambda: _first_marks(engine))
    _log.info(
        "engine ready",
        in_doubt=len(report.in_doubt),
        unresolved=len(report.unresolved),
        clean=report.reconciliation.ok,
        seq=core.journal.last_seq,
    )
    supervisor.start(Job("brackets", engine.brackets.run))
    await _first_marks(engine)
    if not report.valued:
        await record_equity(core)
    supervisor.start(Job("user-stream", lambda: follow_user_events(core, venue, _stream_observer(engine)), "halt"))
    supervisor.start(Job("reconcile", lambda: jobs.keep_reconciling(engine)))
    supervisor.start(Job("equity", lambda: jobs.keep_recording_equity(engine)))
    supervisor.start(Job("snapshots", lambda: jobs.keep_snapshotting(engine)))
    committed = asyncio.Event()
    core.journal.on_commit(lambda _: committed.set())
    supervisor.start(Job("audit-log", lambda: jobs.keep_audit_log(engine, committed)))
    if engine.settings.dead_man_s and isinstance(venue, DeadManVenue):
        switch = DeadManSwitch(core, venue, engine.settings.dead_man_s)
        engine.bus.subscribe("dead-man", switch.on_event, kinds=(e.OrderSubmitted,))
        supervisor.start(Job("dead-man", lambda: jobs.keep_dead_man_armed(engine, switch)))
    supervisor.start(Job("journal-check", lambda: _keep_checking(engine)))
    supervisor.start(Job("instruments", lambda: jobs.keep_instruments_fresh(engine)))
    await _journal_file_settings(engine)
    engine.loop.running = engine.settings.strategies == "on"


async def stop(engine: Engine) -> None:
    """Refuse new work, let what is running end, write the last words and let go of everything."""
    engine.stopping = True
    engine.loop.running = False
    engine.bus.close()
    try:
        async with asyncio.timeout(STOP_WITHIN_S / 2):
            await engine.core.settle()
    except TimeoutError:
        # What is still in doubt is in the journal; the next start settles it.
        _log.warning("stopped with work under way", tasks=sorted(engine.core.tasks))
    await engine.supervisor.stop()
    try:
        async with asyncio.timeout(STOP_WITHIN_S / 2):
            await engine.core.cut_off()
    except TimeoutError:
        _log.error("work under way did not end", tasks=sorted(engine.core.tasks))
    await jobs.last_words(engine)
    for venue in engine.core.venues.values():
        await venue.close()
    engine.core.journal.close()
    engine.lease.release()


async def _keep_checking(engine: Engine) -> None:
    settings = engine.settings
    await keep_checking(engine.core, settings.home, settings.checkpoint_file, at_once=engine.checked_from > 1)


class _MarketData:
    """The market-data job: history and warm-up once, then the stream for ever."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._warm = False

    async def run(self) -> None:
        while not self._engine.core.instruments:  # noqa: ASYNC110  # the start fills a table, not an event
            await asyncio.sleep(0.05)
        if not self._warm:
            self._follow_listed()
            await self._engine.feed.load_history()
            stored = self._engine.core.state.image.models.get(REGIME_STRATEGY)
            if stored is not None:
                self._put_in_force(read_bundle(stored.bundle))
            self._engine.loop.warm_up()
            self._warm = True
        await self._engine.feed.run()

    def _put_in_force(self, bundle: ModelBundle) -> None:
        """A model of other bars than this engine now closes would read a market it never learned: none is in force."""
        interval = self._engine.settings.interval
        if bundle.interval != interval:
            _log.warning(
                "the stored model reads other bars", version=bundle.version, model=bundle.interval, now=interval
            )
            return
        self._engine.loop.swap_model(bundle)

    def _follow_listed(self) -> None:
        """A person may trade what the strategies do not watch: on a small venue every instrument has a price."""
        listed = _listed(self._engine)
        for symbol in set(self._engine.feed.symbols) - set(listed):
            _log.warning("a watched symbol is not listed by the venue", symbol=symbol)
        if len(listed) <= QUOTE_ALL_UP_TO:
            self._engine.feed.quote_also(listed)


def _listed(engine: Engine) -> list[str]:
    return sorted(symbol for symbol, market in engine.core.instruments if market is engine.market)


async def _first_marks(engine: Engine) -> None:
    """Wait for the first price of every watched instrument: without one the rails refuse every order."""
    wanted = set(engine.feed.symbols) & set(_listed(engine))
    deadline = engine.core.clock.monotonic_s() + FIRST_MARKS_WITHIN_S
    while engine.core.clock.monotonic_s() < deadline:
        wanted = {symbol for symbol in wanted if engine.core.marks.get(symbol, engine.market) is None}
        if not wanted:
            return
        await asyncio.sleep(0.05)
    _log.warning("no price yet; orders in these are refused", symbols=sorted(wanted))


def _stream_observer(engine: Engine) -> Callable[[str, StreamStatus], None]:
    return lambda venue, status: note_stream(engine, venue, status)


def note_stream(engine: Engine, venue: str, status: StreamStatus) -> None:
    engine.metrics.gauge("nhmm_stream_connected").labels(venue, status.stream).set(float(status.connected))
    if status.connected:
        _log.info("stream connected", venue=venue, stream=status.stream)
    else:
        engine.metrics.counter("nhmm_stream_gaps_total").labels(venue, status.stream).inc()
        _log.warning("stream lost", venue=venue, stream=status.stream, reason=status.reason)


async def _journal_file_settings(engine: Engine) -> None:
    """Journal the file's switches of strategies that never had any, so that the journal alone explains every order."""
    fresh = [name for name in engine.strategies if engine.core.state.strategy(name) is None]
    for name in fresh:
        await change_strategy(engine, name, StrategyChange(reason="config/strategies.yaml"), "config")
