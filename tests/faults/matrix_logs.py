"""The log fails: full, or read by nobody. Trading goes on, and the lines that are lost are counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults.engine_process import WIDE_LIMITS, Engine
from tests.faults.load import Load
from tests.faults.proxy import proxied
from tests.faults.scenario import Scenario, books, orders, placed, unless
from tests.faults.stage import Stage, prices, start_exchange

ORDERS = 10


@asynccontextmanager
async def _logging_to(folder: Path, seed: int, log: Path) -> AsyncIterator[Stage]:
    """Start a stage whose engine logs every detail to ``log``; the judge later finds an empty log."""
    exchange = await asyncio.to_thread(start_exchange, folder / "exchange.log", seed)
    engine = Engine(folder / "home", exchange.url, log, variables={"NHMM_LOG_LEVEL": "DEBUG"})
    async with proxied(int(exchange.url.rpartition(":")[2])) as proxy:
        try:
            await engine.start()
            engine.log = folder / "engine.log"
            engine.log.touch()
            await engine.call("PUT", "/risk/config", json={**WIDE_LIMITS, "reason": "load"})
            load = Load(engine, seed, 40.0, await asyncio.to_thread(prices, exchange))
            try:
                yield Stage(exchange, engine, load, proxy)
            finally:
                await load.close()
        finally:
            if engine.process is not None:
                await engine.kill()
            await asyncio.to_thread(exchange.stop)


async def _trades(on: Stage) -> list[str]:
    answers = await orders(on, ORDERS)
    return unless(placed(answers) >= ORDERS // 2, f"{placed(answers)} of {ORDERS} orders went through")


async def no_room_for_logs(folder: Path, seed: int) -> list[str]:
    """Every line of the log finds a full disk."""
    async with _logging_to(folder, seed, Path("/dev/full")) as on:
        wrong = await _trades(on)
        await asyncio.sleep(1.5)
        wrong += unless(await on.engine.gauge("nhmm_log_dropped") > 0, "no lost line was counted")
        return wrong + await books(on)


async def nobody_reads_the_log(folder: Path, seed: int) -> list[str]:
    """The log is a pipe whose reader has stopped: every write to it would wait for ever."""
    log = folder / "log"
    os.mkfifo(log)
    # Held at both ends, and full: the engine's own end waits from its first line on.
    both = os.open(log, os.O_RDWR | os.O_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(both, bytes(4096))
        async with _logging_to(folder, seed, log) as on:
            return await _trades(on) + await books(on)
    finally:
        os.close(both)


LOGS: tuple[Scenario, ...] = (
    Scenario("no room for logs", (18,), no_room_for_logs),
    Scenario("nobody reads the log", (69,), nobody_reads_the_log),
)
