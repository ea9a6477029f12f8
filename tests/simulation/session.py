"""One schedule from beginning to end: the engine's lives between crashes, callers who ask again, the venue's ways."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from functools import cache
from random import Random

from engine_service.domain.errors import Conflict, Unavailable
from engine_service.domain.marks import Mark, MarkBook
from engine_service.execution.core import EngineCore, Phase
from engine_service.execution.reconcile import reconcile
from engine_service.execution.recover import start_up
from engine_service.execution.user_stream import follow_user_events
from engine_service.risk.gate import RiskGate
from engine_service.risk.policy import RiskPolicy
from engine_service.storage.codec import encode
from engine_service.storage.idempotency import IdempotencyStore
from engine_service.storage.restore import restore
from tests.fakes.engine import policy
from tests.simulation.callers import Callers
from tests.simulation.crash_journal import CrashJournal
from tests.simulation.exchange import PRICES, RULES, VENUE, Exchange
from tests.simulation.link import Link
from tests.simulation.script import ASKED, Deed, Script, Step, write
from tests.simulation.venue_deeds import happen
from tests.simulation.witness import Witness
from tests.simulation.world import VirtualLoop, WallClock, World

RECONCILE_EVERY_S = 15.0
#: After the last deed: longer than any fence, any read delay and two comparisons.
SETTLES_WITHIN_S = 600.0
#: Two comparisons more than ``PERSIST_MS`` apart, with time for the reads of each.
CALM_S = 2 * RECONCILE_EVERY_S + 5.0
#: How late a request may land where the venue breaks its word.
OUTLAWED_S = 65.0
KEY = b"simulation".ljust(32, b"-")


@dataclass(slots=True)
class Verdict:
    """What came of one schedule. ``digest`` covers every fact of the journal, ``story`` what was done to it."""

    seed: int
    violations: list[str]
    digest: str = ""
    events: int = 0
    story: list[str] = field(default_factory=list)


@cache
def _limits() -> RiskPolicy:
    return policy(min_notional_futures="1", breaker_min_calls="100000", equity_breaker_drop_pct="99")


class Session:
    """Runs one script. A crash ends a life in the middle of whatever it was doing; the next begins from the journal."""

    def __init__(self, seed: int, *, digest: bool = False) -> None:
        self.chance = Random(seed)
        self.script: Script = write(self.chance)
        self.world = World()
        self.clock = WallClock(self.world)
        self.exchange = Exchange(self.world)
        self.exchange.fee_asset = self.script.fee_asset
        self._lawful = self.script.lawful
        self.witness = Witness(self.exchange, lawful=self._lawful)
        self.story: list[str] = []
        self.callers = Callers(self.witness, self.note)
        self._seed, self._digest = seed, digest
        self._journal = CrashJournal(self.world, self.chance, self.witness.on_append)
        self._core: EngineCore | None = None
        self._link: Link | None = None
        self._loop: VirtualLoop | None = None
        self._down_s = 0.0

    def note(self, what: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.world.now_s:9.3f}s {what}")

    def run(self) -> Verdict:
        """Live through the schedule; return what was found."""
        for step in self.script.steps:
            self.world.after(step.at_s, lambda step=step: self._do(step))  # type: ignore[misc]  # mypy: default in lambda
        self.world.after(self.script.ends_s, self._calm_down)
        epoch = 0
        while True:
            epoch += 1
            if self._live(epoch):
                break
            self.note(f"the engine is down for {self._down_s} s")
            self.world.pass_until(self.world.now_s + self._down_s)
        return Verdict(self._seed, self.witness.violations, self._hash(), self._journal.last_seq, self.story)

    # --- lives ----------------------------------------------------------------------------------------------

    def _live(self, epoch: int) -> bool:
        """Live until the end or the next crash; tell whether it was the end."""
        loop = self._loop = VirtualLoop(self.world)
        try:
            return loop.live(self._life(epoch))
        finally:
            loop.abandon(Unavailable)

    async def _life(self, epoch: int) -> None:
        core = self._core = self._engine()
        await start_up(core, epoch=epoch, version="simulation")
        self.note(f"the engine is {core.phase} (epoch {epoch})")
        jobs = [asyncio.ensure_future(follow_user_events(core, core.venues[VENUE]))]
        jobs.append(asyncio.ensure_future(_keep_reconciling(core)))
        self.callers.connect(core)
        await self._quiet(core)
        await self._journal.flush()
        self.witness.conclude(core, self._journal)
        for job in jobs:
            job.cancel()

    def _engine(self) -> EngineCore:
        self._link = Link(self.world, self.exchange, self.script.weather, self.chance, self.note)
        journal = self._journal
        state = restore(journal, newest_seq=journal.last_seq, snapshots=None).state
        core = EngineCore(
            account="simulated",
            instance_key=KEY,
            clock=self.clock,
            state=state,
            journal=journal,
            marks=MarkBook(),
            gate=RiskGate(_limits()),
            venues={VENUE: self._link},
            idempotency=IdempotencyStore(journal.answer, self.clock),
            on_task_failure=self._task_failed,
        )
        core.connect()
        for (symbol, market), price in [(key, PRICES[key[0]]) for key in RULES]:
            core.marks.update(Mark(symbol=symbol, market=market, bid=price, ask=price, at_s=_ALWAYS_S))
        bnb = PRICES["BNBUSDT.BINANCE"]
        spot = next(market for _, market in RULES)
        core.marks.update(Mark(symbol="BNBUSDT.BINANCE", market=spot, bid=bnb, ask=bnb, at_s=_ALWAYS_S))
        return core

    def _task_failed(self, name: str, error: BaseException) -> None:
        if self._link is not None and not self._link.dead:
            self.witness.accuse(f"task {name} failed: {error!r}")

    async def _quiet(self, core: EngineCore) -> None:
        """Wait for the end of the script, then until nothing is on its way any more."""
        ends_s = self.script.ends_s + (0.0 if self._lawful else OUTLAWED_S)
        deadline_s, calm_since_s = ends_s + SETTLES_WITHIN_S, None
        while self.world.now_s < deadline_s:
            await asyncio.sleep(2.5)
            busy = self.world.now_s < ends_s or not self.callers.idle or core.state.in_doubt or core.tasks
            if busy:
                calm_since_s = None
            elif calm_since_s is None:
                calm_since_s = self.world.now_s
            elif self.world.now_s - calm_since_s > CALM_S:
                return
        self.witness.accuse(f"never came to rest: {sorted(core.tasks)} {sorted(core.state.in_doubt)}")

    # --- what happens to it ---------------------------------------------------------------------------------

    def _do(self, step: Step) -> None:
        self.note(f"{step.deed} {step.key} {step.amount or ''}".rstrip())
        if step.deed is Deed.CRASH:
            self._crash(float(step.amount))
        elif step.deed is Deed.CLOCK_STEP:
            self.clock.step_ms += int(step.amount)
        elif step.deed in ASKED:
            self.callers.ask(step)
        else:
            happen(self.exchange, step)

    def _crash(self, down_s: float) -> None:
        """Kill the process: what was not durable is gone, no task runs on, the wire is cut."""
        core, link = self._core, self._link
        if core is None or link is None or link.dead or self._loop is None:
            return
        self._down_s = down_s
        self._journal = self._journal.survivor()
        core.phase, link.dead = Phase.FAILED, True
        self.callers.disconnect()
        self._loop.stop()

    def _calm_down(self) -> None:
        self.note("the weather clears")
        self.script.weather.clear()

    def _hash(self) -> str:
        if not self._digest:
            return ""
        found = hashlib.sha256()
        for recorded in self._journal.events_after(0, self._journal.last_seq):
            found.update(recorded.kind.encode() + encode(recorded.event))
        return found.hexdigest()


#: Prices of the model never age: staleness of marks is not what is tried here.
_ALWAYS_S = 1 << 42


async def _keep_reconciling(core: EngineCore) -> None:
    while True:
        await asyncio.sleep(RECONCILE_EVERY_S)
        try:
            await reconcile(core, trigger="timer")
        except Conflict:
            continue
