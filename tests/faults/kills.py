"""Ways for an engine to die of SIGKILL: at a random moment, at the n-th system call, at a named place of its code."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
from dataclasses import dataclass
from typing import Protocol

from tests.faults.engine_process import Engine, EngineFailed
from tests.faults.failpoints import PLACES

#: From ready to a random kill. The mean keeps a lane's starts within the exchange's request weight.
LIVES_S = (0.2, 5.0)
#: Share of random kills that strike while the engine is still starting, and when.
AT_START, STARTING_S = 0.2, (0.3, 1.4)
#: A place that is not reached by then is left, and the engine killed where it is.
REACHED_WITHIN_S = 8.0

#: System calls that an order passes: the journal's writes, its disk barrier, its locks; sockets in and out; waiting.
SYSCALLS = ("pwrite64", "fdatasync", "write", "read", "fcntl", "epoll_pwait", "futex", "pread64")
#: The first calls of a thread after strace came; under load a few seconds' worth.
SYSCALL_REACH = 100


class Kill(Protocol):
    """One death. ``strike`` starts the engine, lets it live for a while, and returns with it dead."""

    @property
    def name(self) -> str:
        """What a finding calls it."""
        ...

    async def strike(self, engine: Engine) -> bool:
        """Return whether it died where it should (else it was killed somewhere)."""
        ...


@dataclass(frozen=True, slots=True)
class RandomKill:
    """After some time: from ready, or from the start of the process."""

    after_s: float
    while_starting: bool = False

    @property
    def name(self) -> str:
        return f"random {self.after_s:.2f} s{' while starting' if self.while_starting else ''}"

    async def strike(self, engine: Engine) -> bool:
        await (engine.spawn() if self.while_starting else engine.start())
        await asyncio.sleep(self.after_s)
        return await engine.kill() == -9


@dataclass(frozen=True, slots=True)
class SyscallKill:
    """At the n-th call of a thread, injected by strace into the running engine."""

    syscall: str
    nth: int

    @property
    def name(self) -> str:
        return f"{self.syscall} {self.nth}"

    async def strike(self, engine: Engine) -> bool:
        await engine.start()
        inject = f"inject={self.syscall}:signal=SIGKILL:when={self.nth}"
        options = ("-f", "-qq", "-o", "/dev/null", "-e", f"trace={self.syscall}", "-e", inject)
        silent = asyncio.subprocess.DEVNULL
        strace = await asyncio.create_subprocess_exec("strace", *options, "-p", str(engine.pid), stderr=silent)
        reached = await _died(engine)
        if strace.returncode is None and not reached:
            strace.terminate()
        await engine.kill()
        await strace.wait()
        return reached


@dataclass(frozen=True, slots=True)
class FailpointKill:
    """At the n-th pass of a named place; the engine kills itself."""

    place: str
    nth: int

    @property
    def name(self) -> str:
        return f"{self.place} {self.nth}"

    async def strike(self, engine: Engine) -> bool:
        try:
            await engine.start(failpoint=self.name.replace(" ", ":"))
        except EngineFailed:
            return engine.returncode == -9
        reached = await _died(engine)
        await engine.kill()
        return reached


async def _died(engine: Engine) -> bool:
    try:
        return await asyncio.wait_for(engine.ended(), REACHED_WITHIN_S) == -9
    except TimeoutError:
        return False


def has_strace() -> bool:
    """Tell whether system calls can be tampered with here."""
    return shutil.which("strace") is not None


def plan(seed: int, *, randoms: int, syscalls: int, failpoints: int) -> list[Kill]:
    """Return that many kills of each way, mixed; the same seed gives the same list."""
    chance = random.Random(seed)
    kills: list[Kill] = [_random_kill(chance) for _ in range(randoms)]
    if has_strace():
        reach = list(itertools.product(SYSCALLS, range(1, SYSCALL_REACH + 1)))
        kills += [SyscallKill(name, nth) for name, nth in _spread(chance, reach, syscalls)]
    else:
        kills += [_random_kill(chance) for _ in range(syscalls)]
    passes = [(name, nth) for name in PLACES for nth in range(1, PLACES[name].reach + 1)]
    kills += [FailpointKill(name, nth) for name, nth in _spread(chance, passes, failpoints)]
    chance.shuffle(kills)
    return kills


def _random_kill(chance: random.Random) -> RandomKill:
    if chance.random() < AT_START:
        return RandomKill(chance.uniform(*STARTING_S), while_starting=True)
    return RandomKill(chance.uniform(*LIVES_S))


def _spread(chance: random.Random, points: list[tuple[str, int]], number: int) -> list[tuple[str, int]]:
    """Choose points, each once as long as there are enough; every name gets its share."""
    chance.shuffle(points)
    by_name: dict[str, list[tuple[str, int]]] = {}
    for point in points:
        by_name.setdefault(point[0], []).append(point)
    rounds = itertools.zip_longest(*by_name.values())
    mixed = [point for turn in rounds for point in turn if point is not None]
    return list(itertools.islice(itertools.cycle(mixed), number))
