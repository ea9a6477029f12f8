"""What a row of the fault matrix is made of: a fault, what must come of it, and the words for what did not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.load import LIMIT, Answer
from tests.faults.stage import Stage
from tests.faults.verdict import verdict

ENDS_WITHIN_S = 12.0
OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})
#: What callers may be told while a fault lasts, beside the usual "ask again".
WHILE_BROKEN = frozenset({"JOURNAL_UNAVAILABLE", "OVERLOADED"})


@dataclass(frozen=True, slots=True)
class Scenario:
    """``play`` takes a folder and a seed, and returns what went wrong. ``slow`` ones are left out of the quick run.

    ``rows``: the numbers of the fault matrix in docs/reliability.md that it covers.
    """

    name: str
    rows: tuple[int, ...]
    play: Callable[[Path, int], Awaitable[list[str]]]
    needs_strace: bool = False
    slow: bool = False


async def orders(on: Stage, number: int) -> list[Answer | None]:
    """Ask for so many orders, one after the other."""
    return [await order(on) for _ in range(number)]


async def order(on: Stage, *, path: str = "") -> Answer | None:
    """Ask for one order, of one kind of route where that is given."""
    intent = on.load.new_intent()
    while path and intent.path != path:
        intent = on.load.new_intent()
    on.load.intents.append(intent)
    return await on.load.ask(intent)


def under_load(on: Stage) -> asyncio.Task[None]:
    """Begin to ask for orders; cancel and await the task to end."""
    return asyncio.create_task(on.load.run())


async def ended(task: asyncio.Task[None]) -> None:
    """End a load and see through what it asked."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def placed(answers: list[Answer | None]) -> int:
    """Count the answers that tell of an order at the exchange."""
    return sum(answer is not None and answer.status == 201 for answer in answers)


async def at_exchange(on: Stage) -> int:
    """Count the orders that the exchange ever took."""
    return len((await asyncio.to_thread(on.exchange.ledger))["orders"])


async def rest(on: Stage) -> str:
    """Place a limit order that stays in the book; return its client order id.

    Raises:
        RuntimeError: none of many rested.
    """
    for _ in range(20):
        answer = await order(on, path=LIMIT)
        if answer is not None and answer.status == 201 and await is_open(on, answer.client_order_id):
            return answer.client_order_id
    raise RuntimeError("no order rests")


async def is_open(on: Stage, client_order_id: str) -> bool:
    """Tell whether the exchange has the order in its book."""
    rows = (await asyncio.to_thread(on.exchange.ledger))["orders"]
    return any(row["client_order_id"] == client_order_id and row["status"] in OPEN for row in rows)


async def books(on: Stage, *, quiet_log: bool = False) -> list[str]:
    """Settle, compare with the exchange's ledger, stop and verify; return every finding."""
    refusals = frozenset[str]() if quiet_log else WHILE_BROKEN
    _, findings = await verdict(on.exchange, on.engine, on.load, quiet_log=quiet_log, refusals=refusals)
    return [f"{finding.kind}: {finding.subject} {finding.detail}" for finding in findings]


async def ends_by_itself(on: Stage) -> list[str]:
    """Wait for the engine to give up; a failure to write must end it, with an error."""
    try:
        code = await asyncio.wait_for(on.engine.ended(), ENDS_WITHIN_S)
    except TimeoutError:
        await on.engine.kill()
        return ["the engine went on without its journal"]
    return [] if code not in {0, -9} else [f"exit code {code} after a failed write"]


async def comes_back(on: Stage) -> list[str]:
    """Start again, ask every answered key again, and settle everything."""
    await on.engine.start()
    for intent in list(on.load.intents):
        if not intent.unanswered:
            await on.load.ask(intent)
    return await books(on)


def unless(condition: bool, wrong: str) -> list[str]:
    """Return the words where the condition does not hold."""
    return [] if condition else [wrong]
