"""Builds the engine from its settings: the only place that wires. ``runtime.lifecycle`` brings it into service."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import structlog

from engine_service.domain import events as e
from engine_service.domain.clock import SystemClock
from engine_service.domain.ids import ENGINE, Market
from engine_service.domain.marks import MarkBook
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.state import EngineState
from engine_service.execution.core import EngineCore
from engine_service.execution.halt import halt
from engine_service.execution.risk_file import CEILINGS_FILE, load_ceilings, load_policy
from engine_service.risk.gate import RiskGate
from engine_service.risk.policy import RiskPolicy, parse
from engine_service.runtime.bracket_keeper import BracketKeeper
from engine_service.runtime.bracket_watcher import BracketWatcher
from engine_service.runtime.engine import Engine
from engine_service.runtime.event_bus import EventBus
from engine_service.runtime.event_log import KINDS, tell
from engine_service.runtime.lifecycle import note_stream
from engine_service.runtime.market_feed import FeedPorts, MarketFeed
from engine_service.runtime.metric_projection import MetricProjection, bus_drop_counter, bus_failure_counter
from engine_service.runtime.own_orders import submit_own
from engine_service.runtime.regime_tape import RegimeTape
from engine_service.runtime.step_watch import StepWatch
from engine_service.runtime.stop_outs import StopOuts
from engine_service.runtime.strategy_config import load_strategies
from engine_service.runtime.strategy_loop import StrategyLoop
from engine_service.runtime.supervisor import Job, Supervisor
from engine_service.settings import EngineSettings
from engine_service.storage.halt_note import HaltNote
from engine_service.storage.idempotency import IdempotencyStore
from engine_service.storage.journal import SqliteJournal
from engine_service.storage.known_keys import KnownKeys
from engine_service.storage.layout import EngineFiles
from engine_service.storage.lease import Lease
from engine_service.storage.opening import Opened, examine, instance_key, open_journal
from engine_service.storage.restore import restore
from engine_service.storage.schema import has_wal_race
from engine_service.venues.binance.sign import signer_for
from engine_service.venues.factory import PaperOptions, VenueOptions, make_venue
from engine_service.venues.paper.venue import PaperState, PaperVenue
from engine_service.venues.port import Venue
from engine_service.venues.reports import SubmitOutcome
from observability.metrics import Metrics
from strategies.contracts import Bar

VERSION: Final = "0.1.0"
ACCOUNT: Final = "main"
#: What the operating system is told, where a refusal has a code of its own (sysexits: 75 try later, 78 not right).
EXIT_BY_CODE: Final[Mapping[str, int]] = {
    "ENGINE_RUNNING": 75,
    "JOURNAL_CORRUPT": 78,
    "JOURNAL_MISSING": 78,
    "JOURNAL_TOO_NEW": 78,
    "JOURNAL_UNSAFE": 78,
    "VENUE_UNREACHABLE": 1,
}

_log = structlog.get_logger(__name__)


def check_configuration(config_dir: Path) -> None:
    """Read every configuration file of the engine.

    Raises:
        ConfigurationError: one of them is wrong, and where.
    """
    load_policy(config_dir / "risk.yaml")
    load_strategies(config_dir / "strategies.yaml")


def check_home(settings: EngineSettings) -> str:
    """Look at the data folder and at the venue's keys as a start would, and change nothing.

    Returns why a start would be halted by what was noted beside the journal; empty where it would not.

    Raises:
        ConfigurationError, EngineError: what a start would be refused for.
    """
    files = EngineFiles(settings.home)
    if files.journal.exists() or files.key_state.exists():
        examine(files)
    if settings.venue != "paper":
        signer_for(settings.api_key.get_secret_value(), settings.api_secret.get_secret_value())
    noted = HaltNote(files.halt_note).read()
    return "" if noted is None else noted.reason


async def build(settings: EngineSettings, config_dir: Path) -> Engine:
    """Take the lease, verify and replay the journal, and wire the parts. Nothing talks to the venue yet.

    Raises:
        ConfigurationError: a setting or file is wrong.
        EngineError: another engine runs here, or the journal is corrupt.
    """
    files = EngineFiles(settings.home)
    lease = Lease(files.lease)
    lease.acquire()
    file_policy = load_policy(config_dir / "risk.yaml")
    opened = _open_journal(files, settings)
    journal = opened.journal
    note = HaltNote(files.halt_note)
    note.prepare()
    reporting = journal.reporting() or settings.reporting_asset
    restored = restore(journal, newest_seq=journal.newest_seq(), snapshots=files.snapshots, reporting=reporting)
    if restored.skipped:
        _log.warning("damaged snapshots were skipped", reasons=list(restored.skipped))
    market = Market.FUTURES if settings.venue == "binance-futures" else Market.SPOT
    venue = _venue(settings, restored.state)
    metrics = Metrics()
    bus = EventBus(bus_failure_counter(metrics), bus_drop_counter(metrics))
    clock = SystemClock()
    known_keys = KnownKeys(journal.answer)
    core = EngineCore(
        account=ACCOUNT,
        instance_key=instance_key(files, journal.last_seq),
        clock=clock,
        state=restored.state,
        journal=journal,
        marks=MarkBook(settings.reporting_asset),
        gate=RiskGate(_policy_in_force(file_policy, restored.state)),
        venues={venue.info.name: venue},
        idempotency=IdempotencyStore(known_keys.lookup, clock, ttl_s=settings.idempotency_ttl_s),
        default_venue=venue.info.name,
        at_once=_at_once(venue, settings),
        publish=bus.publish,
        on_task_failure=lambda name, error: _note_task_failure(metrics, name, error),
        account_is_shared=settings.account_is_shared,
        answer_deadline_s=settings.submit_deadline_s,
        halt_note=note,
    )
    engine = _assemble(
        settings, config_dir, market, core, bus, metrics, venue, lease, opened=opened, epoch=journal.epoch
    )
    core.spawn("known-keys", known_keys.read(files.journal))
    return engine


def _assemble(
    settings: EngineSettings,
    config_dir: Path,
    market: Market,
    core: EngineCore,
    bus: EventBus,
    metrics: Metrics,
    venue: Venue,
    lease: Lease,
    *,
    opened: Opened,
    epoch: int,
) -> Engine:
    configs = load_strategies(config_dir / "strategies.yaml")
    tape = RegimeTape()
    core.connect()

    async def send(request: OrderRequest, key: str) -> None:
        await submit_own(core, request, key)

    steps = metrics.histogram("nhmm_strategy_step_seconds")
    watch = StepWatch(core, lambda strategy, seconds: steps.labels(strategy).observe(seconds))
    loop = StrategyLoop(core, lambda: engine.feed, market, configs, send, tape, watch)
    stop_outs = StopOuts(core)
    supervisor = Supervisor(
        lambda name: metrics.counter("nhmm_task_failures_total").labels(name).inc(),
        lambda name: _halt_later(core, f"the background task {name} failed; look at the log before resuming"),
    )
    watched = tuple(f"{name}.{venue.info.name}" for name in settings.symbols)
    engine = Engine(
        settings=settings,
        market=market,
        core=core,
        bus=bus,
        metrics=metrics,
        feed=MarketFeed(venue, market, watched, settings.interval, FeedPorts(
            on_quote=core.update_quote,
            on_bar=lambda bar: _take_bar(engine, bar),
            on_stream=lambda status: note_stream(engine, venue.info.name, status),
        )),
        loop=loop,
        brackets=BracketKeeper(core, stop_outs),
        tape=tape,
        strategies=configs,
        build={"version": VERSION, "git_sha": git_sha(), "config_hash": _config_hash(config_dir)},
        load_risk_file=lambda: load_policy(config_dir / "risk.yaml"),
        load_ceilings=lambda: load_ceilings(config_dir / CEILINGS_FILE, core.gate.policy),
        cursor_key=hashlib.sha256(b"cursor" + core.instance_key).digest(),
        audit_key=opened.audit_key,
        anchors=opened.anchors,
        recent=opened.journal.recent,
        checked_from=opened.checked_from,
        lease=lease,
        supervisor=supervisor,
        epoch=epoch,
    )  # fmt: skip
    watcher = BracketWatcher(core, configs, send, stop_outs)
    projection = MetricProjection(engine)
    supervisor.start(Job("metrics", projection.run))
    bus.subscribe_to_batches("metrics", projection.on_batch)
    core.journal.on_commit(bus.publish_batch)
    bus.subscribe("brackets", watcher.on_event, kinds=(e.OrderFilled, e.OrderCanceled, e.OrderExpired))
    bus.subscribe("bracket-keeper", engine.brackets.on_event)
    bus.subscribe("log", tell, kinds=KINDS)
    core.marks.listen(watcher.on_mark)
    core.marks.listen(engine.brackets.on_mark)
    core.journal.on_failure(lambda reason: _journal_failed(engine, opened.journal, reason))
    return engine


async def _take_bar(engine: Engine, bar: Bar) -> None:
    engine.metrics.counter("nhmm_bars_total").labels(bar.symbol).inc()
    await engine.loop.on_bar(bar)


def _journal_failed(engine: Engine, journal: SqliteJournal, reason: str) -> None:
    """End the process: after a failed write nobody knows what is on disk.

    A full disk has kept nothing: the engine takes no more orders, but stays to cancel those at the venue.
    """
    if journal.full:
        _log.error("the disk is full: only cancels from now on; make room and start again", reason=reason)
        return
    _log.error("the journal cannot be written; the engine ends", reason=reason)
    engine.failed.set()


def _note_task_failure(metrics: Metrics, name: str, error: BaseException) -> None:
    kind = name.partition(":")[0]
    metrics.counter("nhmm_task_failures_total").labels(kind).inc()
    _log.error("work failed", work=name, exc_info=error)


def _halt_later(core: EngineCore, reason: str) -> None:
    """Stop trading: a part broke. Without a journal none is at fault, and nothing trades until the restart."""
    if core.journal.failed:
        return

    async def stop_trading() -> None:
        await halt(core, reason=reason, principal=ENGINE)

    core.spawn("halt", stop_trading())


def _open_journal(files: EngineFiles, settings: EngineSettings) -> Opened:
    if has_wal_race():
        _log.warning("SQLite is older than 3.51.3; let no other program write to the journal")
    opened = open_journal(
        files, account=ACCOUNT, checkpoints=settings.checkpoint_file, reporting=settings.reporting_asset
    )
    _log.info("journal opened", events=opened.journal.last_seq, checked_from=opened.checked_from)
    return opened


def _policy_in_force(file_policy: RiskPolicy, state: EngineState) -> RiskPolicy:
    """Return the journal's newest limits, or the file's where none were changed; keys new in the file are taken."""
    if not state.image.risk_values:
        return file_policy
    policy = parse({**file_policy.as_text(), **state.image.risk_values})
    return replace(policy, version=state.image.risk_version)


def _venue(settings: EngineSettings, state: EngineState) -> Venue:
    options = VenueOptions(
        kind=settings.venue,
        home=settings.home,
        url=settings.venue_url or "",
        api_key=settings.api_key.get_secret_value(),
        api_secret=settings.api_secret.get_secret_value(),
        account=ACCOUNT,
        order_entry=settings.order_entry,
        paper=PaperOptions(latency_ms=settings.paper_latency_ms),
    )
    return make_venue(options, paper_state=_paper_state(state) if settings.venue == "paper" else None)


def _at_once(venue: Venue, settings: EngineSettings) -> dict[str, Callable[[Order], SubmitOutcome]]:
    """Return the venues that answer an order without a wire: paper money with no way to travel."""
    if isinstance(venue, PaperVenue) and settings.paper_latency_ms == 0:
        return {venue.info.name: venue.place}
    return {}


def _paper_state(state: EngineState) -> PaperState | None:
    """Return the paper account as the journal knows it; ``None`` opens a new one."""
    if not state.image.opened_accounts:
        return None
    balances: dict[str, Decimal] = {}
    for key, book in state.portfolio.holdings.items():
        asset = key.rpartition("|")[2]
        balances[asset] = balances.get(asset, Decimal(0)) + book.quantity
    positions = {
        symbol: (position.book.quantity, position.book.average_cost or Decimal(0))
        for symbol, position in state.portfolio.derivatives.items()
        if position.book.quantity != 0
    }
    return PaperState(balances=balances, positions=positions, working=tuple(state.working_orders()))


def git_sha() -> str:
    """Return the checkout's commit, read from its files; empty where this is not a checkout."""
    git = Path(__file__).resolve().parents[1] / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        return (git / head.removeprefix("ref: ")).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _config_hash(config_dir: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(config_dir.glob("*.yaml")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
