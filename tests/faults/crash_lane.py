"""Engines killed with SIGKILL again and again under load, the exchange's ledger as the judge.

A lane is one exchange, one engine and its callers, on one home for all its lives. Lanes run side by side, because the
exchange allows an address only so much request weight a minute and every start of an engine needs some of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.faults import weather
from tests.faults.engine_process import SYMBOLS, WIDE_LIMITS, Engine
from tests.faults.judge import UNSETTLED, Evidence, Finding, equity_error, judge
from tests.faults.kills import Kill
from tests.faults.load import Load
from tests.integration.simulated_exchange import SimulatedExchange

ORDERS_PER_S = 40.0
SETTLE_WITHIN_S = 75.0
RETRIED_AT_END = 60
#: The engine's own words for an order that a kill caught between its intent and its outcome.
CUT_OFF = "the engine stopped before it knew"
BALANCES = ("USDT=10000000", "BTC=100", "ETH=1000", "BNB=10000")


@dataclass
class LaneResult:
    """What one lane did, and what the judge found."""

    kills: int
    missed: list[str]
    findings: list[Finding]
    orders: int
    at_exchange: int
    fills: int
    acknowledged: int
    unanswered: int
    replayed: int
    cut_off: int
    doubted: int
    not_placed: int
    restart_s: list[float]
    in_doubt_s: list[float]
    answers: Counter[str]
    equity_error: str
    journal: str


@dataclass
class Lane:
    """One exchange, one engine, their callers. ``folder`` takes the home and the logs."""

    folder: Path
    seed: int
    kills: Sequence[Kill]
    orders_per_s: float = ORDERS_PER_S
    missed: list[str] = field(default_factory=list)
    replayed: int = 0

    async def run(self) -> LaneResult:
        """Kill, restart, settle and judge.

        Raises:
            EngineFailed: the engine did not come back.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        exchange = await asyncio.to_thread(start_exchange, self.folder / "exchange.log", self.seed)
        engine = Engine(self.folder / "home", exchange.url, self.folder / "engine.log")
        try:
            return await self._with(exchange, engine)
        finally:
            if engine.process is not None:
                await engine.kill()
            await asyncio.to_thread(exchange.stop)

    async def _with(self, exchange: SimulatedExchange, engine: Engine) -> LaneResult:
        await engine.start()
        await engine.call("PUT", "/risk/config", json={**WIDE_LIMITS, "reason": "load"})
        await engine.kill()
        load = Load(engine, self.seed, self.orders_per_s, await asyncio.to_thread(prices, exchange))
        try:
            await self._kill_often(exchange, engine, load)
            findings = await self._ask_again(load)
            await settled(engine)
            return await self._verdict(exchange, engine, load, findings)
        finally:
            await load.close()

    async def _kill_often(self, exchange: SimulatedExchange, engine: Engine, load: Load) -> None:
        disturbing = [
            asyncio.create_task(load.run()),
            asyncio.create_task(weather.change_for_ever(exchange.url, self.seed)),
        ]
        for kill in self.kills:
            if not await kill.strike(engine):
                self.missed.append(kill.name)
        await engine.start()
        for task in disturbing:
            task.cancel()
        await asyncio.gather(*disturbing, return_exceptions=True)
        await weather.clear(exchange.url)

    async def _ask_again(self, load: Load) -> list[Finding]:
        """Ask under old keys, answered and unanswered ones: the same order must come back."""
        known = {order["tag"]: order["client_order_id"] for order in await load.engine.pages("/orders", "orders")}
        chance = random.Random(self.seed)
        findings = []
        for intent in chance.sample(load.intents, k=min(RETRIED_AT_END, len(load.intents))):
            answer = await load.ask(intent)
            before = known.get(intent.key)
            if before is None:
                continue
            self.replayed += 1
            if answer is None or answer.client_order_id != before:
                findings.append(Finding("another answer", intent.key, f"{answer}, the order was {before}"))
        return findings

    async def _verdict(
        self, exchange: SimulatedExchange, engine: Engine, load: Load, findings: list[Finding]
    ) -> LaneResult:
        await asyncio.to_thread(exchange.market, freeze=True)
        report = await clean_reconciliation(engine)
        evidence = Evidence(
            intents=load.intents,
            cancels=load.cancels,
            orders=await engine.pages("/orders", "orders"),
            fills=await engine.pages("/fills", "fills"),
            portfolio=await engine.call("GET", "/portfolio"),
            reconciliation=report,
            events=await engine.events(),
            ledger=await asyncio.to_thread(exchange.ledger),
        )
        findings += judge(evidence)
        findings += broken_work(engine.log)
        code = await engine.stop()
        if code != 0:
            findings.append(Finding("exit code", "engine", str(code)))
        journal = await verified(engine.home)
        if not journal.startswith("clean"):
            findings.append(Finding("journal", "verify", journal))
        return self._result(evidence, load, findings, journal, engine.starts_s)

    def _result(
        self, evidence: Evidence, load: Load, findings: list[Finding], journal: str, starts_s: list[float]
    ) -> LaneResult:
        answers = [answer for intent in load.intents for answer in intent.answers]
        statuses = Counter(order["status"] for order in evidence.orders)
        doubts = [row["event"] for row in evidence.events if row["kind"] == "OrderInDoubt"]
        return LaneResult(
            kills=len(self.kills),
            missed=self.missed,
            findings=findings,
            orders=len(evidence.orders),
            at_exchange=len(evidence.rows("orders")),
            fills=len(evidence.fills),
            acknowledged=sum(any(a.status in {201, 202} for a in intent.answers) for intent in load.intents),
            unanswered=sum(intent.unanswered for intent in load.intents),
            replayed=self.replayed,
            cut_off=sum(event["reason"] == CUT_OFF for event in doubts),
            doubted=len({event["client_order_id"] for event in doubts}),
            not_placed=statuses["NOT_PLACED"],
            restart_s=starts_s,
            in_doubt_s=times_in_doubt(evidence.events),
            answers=Counter(f"{answer.status} {answer.body.get('code', '')}".strip() for answer in answers),
            equity_error=str(equity_error(evidence.portfolio)),
            journal=journal,
        )


def start_exchange(log: Path, seed: int) -> SimulatedExchange:
    """Start an exchange with money enough for any load."""
    balances = [word for balance in BALANCES for word in ("--balance", balance)]
    listing = ("--symbols", ",".join(SYMBOLS), "--history", "2m")
    return SimulatedExchange.start("--seed", str(seed), *listing, *balances, log=log)


def prices(exchange: SimulatedExchange) -> dict[str, float]:
    """Return the exchange's last price of each symbol."""
    return {symbol: float(exchange.public("/api/v3/ticker/price", symbol=symbol)["price"]) for symbol in SYMBOLS}


async def settled(engine: Engine) -> None:
    """Wait until no order is in doubt; one that stays so is for the judge."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    while time.monotonic() < deadline:
        page = await engine.call("GET", "/orders", params={"open": "true", "limit": "500"})
        if not any(order["status"] in UNSETTLED for order in page["orders"]):
            return
        await asyncio.sleep(0.5)


async def clean_reconciliation(engine: Engine) -> dict[str, Any]:
    """Compare with the exchange; waits while the exchange's request weight is used up or a comparison runs."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    while True:
        report: dict[str, Any] = {"ok": False, "breaks": [], "adopted": []}
        try:
            report = await engine.call("POST", "/reconcile", json={}, headers=_key())
        except httpx.HTTPStatusError as error:
            report["error"] = error.response.text
        if report["ok"] or time.monotonic() > deadline:
            return report
        await asyncio.sleep(1.0)


def _key() -> dict[str, str]:
    return {"Idempotency-Key": f"reconcile-{time.monotonic_ns()}"}


async def verified(home: Path) -> str:
    """Run the journal's own check as a user would; return what it says."""
    command = ("-m", "engine_service.storage.verify", "--home", str(home))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode().strip() if process.returncode == 0 else f"exit {process.returncode}: {output.decode()}"


def broken_work(log: Path) -> list[Finding]:
    """Return what the engine's log calls an error: background work that failed is a defect, whatever it cost."""
    records = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{"))
    return [
        Finding("logged error", str(record.get("event")), json.dumps(record)[:1200])
        for record in records
        if record.get("level") in {"error", "critical"}
    ]


def times_in_doubt(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return how long each doubt lasted, seconds, from the journal's own times."""
    since: dict[str, int] = {}
    lasted = []
    for row in events:
        event = row["event"]
        client_order_id = event.get("client_order_id", "")
        if row["kind"] == "OrderInDoubt":
            since.setdefault(client_order_id, event["at_ms"])
        elif client_order_id in since and row["kind"] not in {"AnswerRecorded", "OrderCancelRequested"}:
            lasted.append((event["at_ms"] - since.pop(client_order_id)) / 1000)
    return lasted


async def campaign(folder: Path, kills: Sequence[Kill], *, seed: int, lanes: int) -> list[LaneResult]:
    """Run lanes side by side, each with its share of the kills."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(Lane(folder / f"lane-{lane}", seed * 100 + lane, kills[lane::lanes]).run())
            for lane in range(lanes)
        ]
    return [task.result() for task in tasks]
