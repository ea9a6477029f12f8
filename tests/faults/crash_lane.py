"""Engines killed with SIGKILL again and again under load, the exchange's ledger as the judge.

A lane is one exchange, one engine and its callers, on one home for all its lives. Lanes run side by side, because the
exchange allows an address only so much request weight a minute and every start of an engine needs some of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine_service.domain.ids import Market
from tests.faults import weather
from tests.faults.judge import Evidence, Finding, equity_error
from tests.faults.kills import Kill
from tests.faults.load import Load
from tests.faults.stage import Stage, stage
from tests.faults.verdict import verdict

RETRIED_AT_END = 60
#: The engine's own words for an order that a kill caught between its intent and its outcome.
CUT_OFF = "the engine stopped before it knew"


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


@dataclass
class Lane:
    """One exchange, one engine, their callers. ``folder`` takes the home and the logs."""

    folder: Path
    seed: int
    kills: Sequence[Kill]
    missed: list[str] = field(default_factory=list)
    replayed: int = 0
    market: Market = Market.SPOT

    async def run(self) -> LaneResult:
        """Kill, restart, settle and judge.

        Raises:
            EngineFailed: the engine did not come back.
        """
        async with stage(self.folder, self.seed, market=self.market) as on:
            await on.engine.kill()
            await self._kill_often(on)
            replays = await self._ask_again(on.load)
            evidence, findings = await verdict(on.exchange, on.engine, on.load)
            return self._result(evidence, on.load, [*replays, *findings], on.engine.starts_s)

    async def _kill_often(self, on: Stage) -> None:
        disturbing = [
            asyncio.create_task(on.load.run()),
            asyncio.create_task(weather.change_for_ever(on.exchange.url, self.seed, market=self.market)),
        ]
        for kill in self.kills:
            if not await kill.strike(on.engine):
                self.missed.append(kill.name)
        await on.engine.start()
        for task in disturbing:
            task.cancel()
        await asyncio.gather(*disturbing, return_exceptions=True)
        await weather.clear(on.exchange.url)

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

    def _result(self, evidence: Evidence, load: Load, findings: list[Finding], starts_s: list[float]) -> LaneResult:
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
        )


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


async def campaign(
    folder: Path, kills: Sequence[Kill], *, seed: int, lanes: int, on_futures: int = 0
) -> list[LaneResult]:
    """Run lanes side by side, each with its share of the kills; the last ``on_futures`` of them on USD-M."""
    markets = [Market.SPOT] * (lanes - on_futures) + [Market.FUTURES] * on_futures
    plays = [
        Lane(folder / f"lane-{lane}", seed * 100 + lane, kills[lane::lanes], market=market)
        for lane, market in enumerate(markets)
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(play.run()) for play in plays]
    return [task.result() for task in tasks]
