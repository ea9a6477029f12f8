"""Row ``venue_faults``: trouble at every place of an order's life; at the end all is as the exchange's ledger says.

A case is one trouble aimed at placing, cancelling, asking or the private stream, with an order of its own. Cases follow
each other without waiting until a doubt is settled: dozens of doubts are settled side by side, as on a bad day.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from engine_service.domain.ids import Market
from tests.faults.judge import Finding
from tests.faults.load import LIMIT, RESTING_SYMBOL, Intent, Load
from tests.faults.rows import Failure, Options, Outcome, Row
from tests.faults.stage import Stage, stage
from tests.faults.venue_cases import TARGETS, TROUBLES, Fault, aimed
from tests.faults.verdict import verdict

LANES = {Market.SPOT: 6, Market.FUTURES: 1}
TRIES = 3
#: How long the engine may take to come to the place: an order in doubt is read after 0.25 s, a stream reconnects later.
MEETS_WITHIN_S = {"place": 0.0, "cancel": 0.0, "query": 2.0, "stream": 5.0}
PAUSE_S = 1.2
#: Told of an order whose reads fail for half a minute beyond its fence. Trouble after trouble of the reads can bring an
#: order there, and then the alarm is right; that the doubt ended well is judged all the same.
LATE_ALARM = "anomaly in_doubt_long"
#: The exchange takes a hundred orders in ten seconds from an account.
PACE_S = 0.12


@dataclass(frozen=True, slots=True)
class Case:
    """One trouble at one place. The seed chooses the order that meets it."""

    trouble: str
    at: str
    seed: int
    market: Market = Market.SPOT

    @property
    def name(self) -> str:
        words = f"{self.trouble}, at {self.at}, seed {self.seed}"
        return words if self.market is Market.SPOT else f"{words}, {self.market}"


def run(options: Options) -> Outcome:
    """Try every trouble at every place with so many seeds, a sixth of them on USD-M."""
    seeds = {Market.SPOT: options.pick(5, 50), Market.FUTURES: options.pick(1, 10)}
    cases = [
        Case(trouble, at, seed, market)
        for market, number in seeds.items()
        for trouble, at, seed in itertools.product(TROUBLES, TARGETS, range(options.seed, options.seed + number))
    ]
    random.Random(options.seed).shuffle(cases)
    return asyncio.run(troubles(options.folder, cases, options.seed, LANES))


async def troubles(folder: Path, cases: Sequence[Case], seed: int, lanes: Mapping[Market, int]) -> Outcome:
    """Share the cases among lanes, each an engine on an exchange of its own."""
    shares = [
        (market, [case for case in cases if case.market is market][lane::number])
        for market, number in lanes.items()
        for lane in range(number)
    ]
    plays = [
        _Lane(folder / f"lane-{lane}", share, seed * 100 + lane, market) for lane, (market, share) in enumerate(shares)
    ]
    async with asyncio.TaskGroup() as group:
        for play in plays:
            group.create_task(play.run())
    unmet = sorted(case.name for play in plays for case in play.unmet)
    doubted = sum(play.doubted for play in plays)
    on_futures = sum(case.market is Market.FUTURES for case in cases)
    notes = f"{len(TROUBLES)} troubles x {len(TARGETS)} places, {on_futures} on USD-M; {doubted} orders were in doubt"
    return Outcome(
        tried=len(cases) - len(unmet),
        failures=[Failure(f"{found.kind}: {found.subject}", found.detail) for play in plays for found in play.findings],
        notes=notes + (f"; no order met {len(unmet)} troubles: {unmet[0]} ..." if unmet else ""),
    )


@dataclass
class _Lane:
    folder: Path
    cases: Sequence[Case]
    seed: int
    market: Market
    unmet: list[Case] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    doubted: int = 0

    async def run(self) -> None:
        names: dict[str, str] = {}
        admin = httpx.AsyncClient(trust_env=False)
        async with stage(self.folder, self.seed, market=self.market) as on, admin:
            admin.base_url = httpx.URL(on.exchange.url)
            for case in self.cases:
                intents, met = await _meet_surely(on, admin, case)
                if not met:
                    self.unmet.append(case)
                for intent in intents:
                    known = {intent.key} | {answer.client_order_id for answer in intent.answers}
                    names |= dict.fromkeys(known, case.name)
            evidence, findings = await verdict(on.exchange, on.engine, on.load)
        self.doubted = len(
            {row["event"]["client_order_id"] for row in evidence.events if row["kind"] == "OrderInDoubt"}
        )
        self.findings = [
            replace(finding, subject=names.get(finding.subject, finding.subject))
            for finding in findings
            if finding.subject != LATE_ALARM
        ]


async def _meet_surely(on: Stage, admin: httpx.AsyncClient, case: Case) -> tuple[list[Intent], bool]:
    """Meet the trouble, with another order where the first passed it by; return the orders and whether it struck."""
    intents = []
    met = False
    for _ in range(TRIES):
        intent, posted = await _meet(on, admin, case)
        intents.append(intent)
        met = await _struck(admin, posted, MEETS_WITHIN_S[case.at])
        await admin.delete("/_sim/faults")
        await asyncio.sleep(PAUSE_S if "too many" in case.trouble else PACE_S)
        if met:
            break
    return intents, met


async def _meet(on: Stage, admin: httpx.AsyncClient, case: Case) -> tuple[Intent, list[Fault]]:
    """Bring an order to the place, then the trouble, then go on."""
    chance = random.Random(case.name)
    intent = _intent(on.load, rests=case.at == "cancel")
    on.load.intents.append(intent)
    faults = aimed(case.trouble, case.at, case.market)
    if case.at == "cancel":
        answer = await on.load.ask(intent)
        posted = await _make(admin, faults)
        if answer is not None and answer.client_order_id:
            await on.load.cancel(answer.client_order_id)
        return intent, posted
    if case.at == "query":
        # Only an order in doubt is asked about: nobody answered, and no report told of it.
        await _make(admin, aimed(f"connection cut {chance.choice(('before', 'after'))} it", "place", case.market))
        await _make(admin, aimed("reports lost", "place", case.market))
    if case.at == "stream":
        await _make(admin, aimed("private stream cut", "stream", case.market))
    posted = await _make(admin, faults)
    await on.load.ask(intent)
    return intent, posted


async def _make(admin: httpx.AsyncClient, faults: Sequence[Fault]) -> list[Fault]:
    answer = await admin.post("/_sim/faults", json=list(faults))
    answer.raise_for_status()
    return list(answer.json()["faults"])


async def _struck(admin: httpx.AsyncClient, posted: Sequence[Fault], within_s: float) -> bool:
    """Tell whether a fault with a count was used up in time; those without one strike whatever comes."""
    counted = [fault for fault in posted if fault["count"]]
    deadline = time.monotonic() + within_s
    while counted:
        left = {fault["fault_id"]: fault["count"] for fault in (await admin.get("/_sim/faults")).json()["faults"]}
        if any(left.get(fault["fault_id"], 0) < fault["count"] for fault in counted):
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


def _intent(load: Load, *, rests: bool) -> Intent:
    """Think of an order; one that waits in the book where it is to be cancelled."""
    while True:
        intent = load.new_intent()
        if not rests or (intent.body["symbol"].startswith(RESTING_SYMBOL) and intent.path == LIMIT):
            return intent


ROW = Row(
    "venue_faults",
    f"{len(TROUBLES)} troubles x place, cancel, query, stream, spot and USD-M: differences from the ledger",
    run,
)
