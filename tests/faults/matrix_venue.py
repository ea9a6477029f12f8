"""The venue changes what it asks of orders while the engine trades."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.faults.engine_process import SYMBOLS
from tests.faults.load import LIMIT
from tests.faults.scenario import Scenario, books, order, orders, unless
from tests.faults.stage import Stage, stage

TICK = "0.1"
REFUSED = "VENUE_FILTER_FAILURE"
#: So many prices of two decimals are not all multiples of a tenth.
TRIES = 12
LEARNS_WITHIN_S = 20.0


async def rules_change(folder: Path, seed: int) -> list[str]:
    """Ticks become coarser: the first refusal makes the engine read the rules, and it refuses by them."""
    async with stage(folder, seed) as on:
        await orders(on, 4)
        for symbol in SYMBOLS:
            await asyncio.to_thread(on.exchange.market, symbol=symbol, tick_size=TICK)
        refused = False
        for _ in range(TRIES):
            answer = await order(on, path=LIMIT)
            refused = refused or (answer is not None and answer.code == REFUSED)
            if refused:
                break
        wrong = unless(refused, "no order was refused by the new rules")
        wrong += unless(await _learned(on), "the engine did not read the new rules")
        answers = [await order(on, path=LIMIT) for _ in range(TRIES)]
        still = [answer.body for answer in answers if answer is not None and answer.code == REFUSED]
        wrong += unless(not still, f"orders still keep to the old rules: {still[:1]}")
        return wrong + await books(on)


async def _learned(on: Stage) -> bool:
    deadline = time.monotonic() + LEARNS_WITHIN_S
    while time.monotonic() < deadline:
        known = [await on.engine.call("GET", "/symbol_info", params={"symbol": f"{name}.BINANCE"}) for name in SYMBOLS]
        if all(rule["tick"] == TICK for rule in known):
            return True
        await asyncio.sleep(0.2)
    return False


VENUE = (Scenario("trading rules change", (56,), rules_change),)
