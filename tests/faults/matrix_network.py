"""The network fails between engine and exchange: refused, lost one way or both, cut, garbled, slow, silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.faults.proxy import Mode
from tests.faults.scenario import Scenario, at_exchange, books, order, orders, placed, rest, unless
from tests.faults.stage import stage

BEFORE = 4
DURING_S = 4.0
#: Longer than a stream may be silent before the engine takes it for dead.
SILENT_S = 12.0


def during(mode: Mode, seconds: float = DURING_S, *, cut: bool = False) -> Callable[[Path, int], Awaitable[list[str]]]:
    """Return a scenario in which orders are asked for while the network misbehaves, and all must be settled after."""

    async def play(folder: Path, seed: int) -> list[str]:
        async with stage(folder, seed, behind_proxy=True) as on:
            await orders(on, BEFORE)
            on.proxy.mode = mode
            if cut:
                on.proxy.cut()
            asked = asyncio.create_task(orders(on, 3))
            await asyncio.sleep(seconds)
            on.proxy.mode = Mode.PASS
            on.proxy.cut()
            answers = await asked
            wrong = unless(None not in answers, "an order was left without an answer")
            return wrong + await books(on)

    return play


async def refused(folder: Path, seed: int) -> list[str]:
    """Nobody listens at the exchange: what was never sent is known not to be placed, at once."""
    async with stage(folder, seed, behind_proxy=True) as on:
        await orders(on, BEFORE)
        before = await at_exchange(on)
        on.proxy.mode = Mode.REFUSE
        on.proxy.cut()
        answers = await orders(on, 3)
        wrong = unless(placed(answers) == 0, "an order was acknowledged that could not be sent")
        wrong += unless(await at_exchange(on) == before, "an order was sent through a closed door")
        on.proxy.mode = Mode.PASS
        return wrong + await books(on)


async def filled_unseen(folder: Path, seed: int) -> list[str]:
    """The exchange cannot be reached while a resting order fills there: it stays open here, and its fills are found."""
    async with stage(folder, seed, behind_proxy=True) as on:
        await orders(on, BEFORE)
        resting = await rest(on)
        on.proxy.mode = Mode.STALL
        side, symbol = _of(on.load.intents[-1].body)
        await asyncio.to_thread(on.exchange.market, symbol=symbol, jump=-0.03 if side == "BUY" else 0.03)
        await asyncio.sleep(SILENT_S)
        known = await on.engine.call("GET", f"/orders/{resting}")
        wrong = unless(known["order"]["status"] in {"ACCEPTED", "IN_DOUBT"}, f"{known['order']['status']} unseen")
        on.proxy.mode = Mode.PASS
        on.proxy.cut()
        return wrong + await books(on)


def _of(body: dict[str, str]) -> tuple[str, str]:
    return body["side"], body["symbol"].partition(".")[0]


async def torn_streams(folder: Path, seed: int) -> list[str]:
    """Every connection is reset again and again while orders pass."""
    async with stage(folder, seed, behind_proxy=True) as on:
        for _ in range(5):
            await order(on)
            on.proxy.cut()
            await asyncio.sleep(0.3)
        return await books(on)


async def half_closed(folder: Path, seed: int) -> list[str]:
    """The exchange ends its half of every connection and reads on."""
    async with stage(folder, seed, behind_proxy=True) as on:
        await orders(on, BEFORE)
        on.proxy.half_close()
        await orders(on, 2)
        return await books(on)


NETWORK = (
    Scenario("connections refused", (31,), refused),
    Scenario("requests lost", (32,), during(Mode.DEAF)),
    Scenario("answers lost", (33,), during(Mode.MUTE)),
    Scenario("answers garbled", (34,), during(Mode.GARBAGE)),
    Scenario("connections reset", (34,), torn_streams),
    Scenario("connections half closed", (34,), half_closed),
    Scenario("bytes dribble", (36,), during(Mode.SLOW)),
    Scenario("nothing passes, sockets stay open", (44,), during(Mode.STALL, SILENT_S)),
    Scenario("an outage in which an order fills", (54,), filled_unseen, slow=True),
)
