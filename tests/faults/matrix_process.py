"""The process fails: stopped, starved of files, started twice, killed while it recovers; its clock jumps."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import httpx

from tests.faults.blocked_loop import BLOCK_S
from tests.faults.engine_process import Engine, EngineFailed
from tests.faults.scenario import Scenario, at_exchange, books, comes_back, is_open, order, orders, rest, unless
from tests.faults.stage import Stage, stage

BEFORE = 4
STOPPED_S = 12.0
FILES = 40
HOUR_MS = 3_600_000
RECOVERIES = 10
CROWD, FLOOD_S = 400, 60.0
RESUMED_S = 4.0
PRICED, FOLLOWS_S = "BTCUSDT", 1.0
#: What may be journaled within some seconds of a jump: what is due once, and once more in its own time.
AFTER_A_JUMP = {"EquityRecorded": 3, "ReconciliationCompleted": 3}
LARGE, LARGE_BYTES = 24, 4_000_000


async def stopped(folder: Path, seed: int) -> list[str]:
    """SIGSTOP for longer than streams may be silent, then SIGCONT: it looks again before it trades."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        os.kill(on.engine.pid, signal.SIGSTOP)
        await asyncio.sleep(STOPPED_S)
        os.kill(on.engine.pid, signal.SIGCONT)
        await asyncio.sleep(1.0)
        await orders(on, 2)
        return await books(on)


async def second_engine(folder: Path, seed: int) -> list[str]:
    """Another engine on the same home refuses to start, and the first one trades on."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        other = Engine(on.engine.home, on.engine.venue_url, folder / "second.log")
        try:
            code, said = await other.refused()
        except TimeoutError:
            return ["a second engine runs on the same journal"]
        wrong = unless(code == 75, f"exit code {code}: {said[-300:]}")
        wrong += unless("ENGINE_RUNNING" in said, f"it did not say who holds the journal: {said[-300:]}")
        answer = await order(on)
        return wrong + unless(answer is not None, "the first engine does not answer") + await books(on)


async def killed_in_recovery(folder: Path, seed: int) -> list[str]:
    """Killed ten times in a row while it recovers from a kill: the last recovery is as good as the first."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        for at in range(RECOVERIES):
            await on.engine.kill()
            await on.engine.spawn()
            await asyncio.sleep(0.25 + 0.15 * at)
        await on.engine.kill()
        return await comes_back(on)


async def out_of_files(folder: Path, seed: int) -> list[str]:
    """No file or socket more: callers wait or are refused, nothing is half done, and it serves again afterwards."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        before = resource.prlimit(on.engine.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(on.engine.pid, resource.RLIMIT_NOFILE, (FILES, before[1]))
        held = await _crowd(on.engine.port)
        await orders(on, 2)
        for writer in held:
            writer.close()
        resource.prlimit(on.engine.pid, resource.RLIMIT_NOFILE, before)
        await asyncio.sleep(1.0)
        answer = await order(on)
        return unless(answer is not None, "no service after files were to be had again") + await books(on)


def _address_space(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmSize:")))


async def _crowd(port: int) -> list[asyncio.StreamWriter]:
    writers = []
    for _ in range(FILES):
        with contextlib.suppress(OSError, TimeoutError):
            _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 0.5)
            writers.append(writer)
    return writers


async def blocked_loop(folder: Path, seed: int) -> list[str]:
    """The event loop hangs for two seconds: orders come late, none is lost, and the stall is on the gauge."""
    async with stage(folder, seed, launcher=("tests.faults.blocked_loop",)) as on:
        await orders(on, BEFORE)
        os.kill(on.engine.pid, signal.SIGUSR1)
        answers = await asyncio.gather(*(order(on) for _ in range(BEFORE)))
        stall_s = 0.0
        for _ in range(20):
            stall_s = max(stall_s, await on.engine.gauge("nhmm_loop_stall_seconds"))
            await asyncio.sleep(0.1)
        wrong = unless(None not in answers, "an order was left without an answer")
        wrong += unless(stall_s > BLOCK_S / 2, f"the gauge shows a stall of {stall_s:.2f} s")
        return wrong + await books(on)


async def out_of_memory(folder: Path, seed: int) -> list[str]:
    """No memory more: whatever the engine can still say or not, nothing is doubled or lost once it is back."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        size = _address_space(on.engine.pid)
        resource.prlimit(on.engine.pid, resource.RLIMIT_AS, (size, size))
        # The large ones come first: behind a crowd they may find no connection left.
        asked = [*(_large_request(on.engine) for _ in range(LARGE)), *(order(on) for _ in range(CROWD))]
        flood = asyncio.gather(*asked, return_exceptions=True)
        await asyncio.wait({flood}, timeout=FLOOD_S)
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        await on.engine.kill()
        felt = "MemoryError" in await asyncio.to_thread(on.engine.log.read_text, encoding="utf-8")
        return unless(felt, "it never ran out of memory") + await comes_back(on)


async def _large_request(engine: Engine) -> None:
    """Send the largest body that a route takes: models, which need their size in memory several times."""
    body = b'{"model": {"weights": [' + b"[1.25, 2.5]," * (LARGE_BYTES // 12) + b"[0]]}}"
    headers = {"Authorization": f"Bearer {engine.token('admin')}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        with contextlib.suppress(httpx.HTTPError):
            await client.post(f"{engine.url}/league", content=body, headers=headers)


def clock_steps(*steps_ms: int) -> Callable[[Path, int], Awaitable[list[str]]]:
    """Return a scenario in which the wall clock jumps while an order rests and others are asked for."""

    async def play(folder: Path, seed: int) -> list[str]:
        launcher = ("tests.faults.stepped_clock", ",".join(str(step) for step in steps_ms))
        async with stage(folder, seed, launcher=launcher) as on:
            await orders(on, BEFORE)
            await rest(on)
            wrong: list[str] = []
            for _ in steps_ms:
                os.kill(on.engine.pid, signal.SIGUSR1)
                await asyncio.sleep(0.5)
                await orders(on, 2)
                wrong += await _prices_follow(on)
            before = await at_exchange(on)
            wrong += await books(on)
            return wrong + unless(await at_exchange(on) == before, "orders were sent after the last was asked for")

    return play


async def _prices_follow(on: Stage) -> list[str]:
    """The engine values what it holds at the market's price, and not at that of a moment before a jump."""
    before = await _price(on)
    await asyncio.to_thread(on.exchange.market, symbol=PRICED, jump=-0.02)
    await asyncio.sleep(FOLLOWS_S)
    now = await _price(on)
    return unless(now < before * Decimal("0.99"), f"{PRICED} fell by 2 %, the engine has {before} and then {now}")


async def _price(on: Stage) -> Decimal:
    prices = (await on.engine.call("GET", "/prices"))["prices"]
    return next(Decimal(row["mark"]) for row in prices if row["symbol"].startswith(PRICED))


async def resumed(folder: Path, seed: int) -> list[str]:
    """Every clock of the machine is an hour later at once: each timer fires once, not once for every time it missed."""
    launcher = ("tests.faults.stepped_clock", f"both:{HOUR_MS}")
    async with stage(folder, seed, launcher=launcher) as on:
        await orders(on, BEFORE)
        resting = await rest(on)
        before = await on.engine.events()
        os.kill(on.engine.pid, signal.SIGUSR1)
        await asyncio.sleep(RESUMED_S)
        await orders(on, 3)
        since = Counter(event["kind"] for event in (await on.engine.events())[len(before) :])
        wrong = [f"{since[kind]} times {kind}" for kind, most in AFTER_A_JUMP.items() if since[kind] > most]
        wrong += unless(since["EquityRecorded"] > 0, "no timer fired: the clock did not jump")
        wrong += unless(await is_open(on, resting), "the order at rest is gone")
        return wrong + await books(on)


async def kill_switch(folder: Path, seed: int) -> list[str]:
    """Halted while many orders are on their way: after the answer none begins to be sent, also after a restart."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        flood = asyncio.gather(*(order(on) for _ in range(40)))
        await asyncio.sleep(0.05)
        await on.engine.call("POST", "/control/halt", json={"reason": "drill"})
        await flood
        sent = await at_exchange(on)
        answers = await orders(on, 3)
        wrong = unless(all(answer is not None and answer.status != 201 for answer in answers), "an order while halted")
        wrong += unless(await at_exchange(on) == sent, "orders were sent while halted")
        await on.engine.kill()
        with contextlib.suppress(EngineFailed):
            await on.engine.start()
        again = await order(on)
        wrong += unless(again is not None and again.status != 201, "a restart lifted the halt")
        # The halt is in the journal, as it must be; elsewhere that is a finding.
        return wrong + [found for found in await books(on) if "TradingHalted" not in found]


PROCESS = (
    Scenario("stopped and continued", (11,), stopped),
    Scenario("second engine", (15, 70), second_engine),
    Scenario("killed ten times in recovery", (8,), killed_in_recovery),
    Scenario("out of files", (22,), out_of_files),
    Scenario("out of memory", (12,), out_of_memory),
    Scenario("event loop hangs", (13,), blocked_loop),
    Scenario("wall clock steps by an hour", (57,), clock_steps(HOUR_MS, -2 * HOUR_MS, HOUR_MS)),
    Scenario("every clock jumps by an hour", (58,), resumed),
    Scenario("halted with orders on their way", (66,), kill_switch),
)
