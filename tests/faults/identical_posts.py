"""Row ``identical_posts``: one wish, asked 64 times at once over 64 connections, is one order."""

from __future__ import annotations

import asyncio
import random

from tests.faults.judge import Finding
from tests.faults.load import Intent, Load
from tests.faults.rows import Failure, Options, Outcome, Row
from tests.faults.stage import stage
from tests.faults.verdict import verdict

COPIES = 64
#: In every third round half of the callers hang up at a random moment.
HANG_UP_EVERY, HANG_UP_WITHIN_S = 3, 0.05
#: The exchange takes a hundred orders in ten seconds from an account.
PAUSE_S = 0.11


def run(options: Options) -> Outcome:
    """Ask, count the orders, compare every answer."""
    return asyncio.run(rounds(options, options.pick(50, 1000)))


async def rounds(options: Options, number: int) -> Outcome:
    """Run that many rounds on one engine; the judge also compares the books with the ledger at the end."""
    chance = random.Random(options.seed)
    failures = []
    async with stage(options.folder, options.seed, connections=COPIES) as on:
        for count in range(number):
            intent = on.load.new_intent()
            on.load.intents.append(intent)
            hang_up = chance.uniform(0, HANG_UP_WITHIN_S) if count % HANG_UP_EVERY == 0 else None
            await _ask_at_once(on.load, intent, hang_up)
            failures += _one_order(intent)
            await asyncio.sleep(PAUSE_S)
        _, findings = await verdict(on.exchange, on.engine, on.load)
    failures += findings
    answers = sum(len(intent.answers) for intent in on.load.intents)
    return Outcome(
        tried=number,
        failures=[Failure(f"{finding.kind}: {finding.subject}", finding.detail) for finding in failures],
        notes=f"{answers} answers from {COPIES} connections",
    )


async def _ask_at_once(load: Load, intent: Intent, hang_up_after_s: float | None) -> None:
    tasks = [asyncio.create_task(load.ask(intent)) for _ in range(COPIES)]
    if hang_up_after_s is not None:
        await asyncio.sleep(hang_up_after_s)
        for task in tasks[::2]:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if hang_up_after_s is not None:
        await load.reconnect()
    if intent.unanswered:
        await load.ask(intent)


def _one_order(intent: Intent) -> list[Finding]:
    """Every answer names the one order; who was told to ask again may do so."""
    named = {answer.client_order_id for answer in intent.answers if answer.code != "IDEMPOTENCY_IN_PROGRESS"}
    if len(named) == 1 and "" not in named:
        return []
    return [Finding("not one order", intent.key, f"{sorted(named)} in {len(intent.answers)} answers")]


ROW = Row("identical_posts", f"{COPIES} identical POSTs at once: one order at the exchange, named in every answer", run)
