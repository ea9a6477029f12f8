"""Ways for an engine to die of SIGKILL: at a random moment, at the n-th system call, at one aimed at a file, at a named
place of its code."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import shutil
from asyncio.subprocess import Process
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from tests.faults.engine_process import READY_WITHIN_S, Engine, EngineFailed
from tests.faults.failpoints import PLACES

DATABASE, LOG = "journal.sqlite3", "journal.sqlite3-wal"
#: From ready to a random kill. The mean keeps a lane's starts within the exchange's request weight.
LIVES_S = (0.2, 5.0)
#: Share of random kills that strike while the engine is still starting, and when.
AT_START, STARTING_S = 0.2, (0.3, 1.4)
#: A place that is not reached by then is left, and the engine killed where it is.
REACHED_WITHIN_S = 8.0

#: System calls that an order passes: the journal's writes, its disk barrier, its locks; sockets in and out; waiting.
SYSCALLS = ("pwrite64", "fdatasync", "write", "read", "fcntl", "epoll_pwait", "futex", "pread64")
#: A stop is aimed at once there is something to copy.
LOADED_S = 1.5
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
        strace = await _aim(engine, self.syscall, self.nth)
        return await _struck(engine, strace)


class Moment(StrEnum):
    """Where in an engine's life a kill is aimed."""

    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class AimedKill:
    """At the n-th call that touches one file, while the engine starts or while it stops.

    A start saves a snapshot as soon as it is ready. A stop saves another one and then copies the log into the database
    and cuts it. ``file`` is a file of the journal, empty for any: what is renamed and synced then is a snapshot alone.
    """

    moment: Moment
    syscall: str
    nth: int
    file: str = ""

    @property
    def name(self) -> str:
        return f"{self.syscall} {self.nth} of {self.file or 'a snapshot'} at the {self.moment.value}"

    async def strike(self, engine: Engine) -> bool:
        starting = self.moment is Moment.START
        await (engine.spawn() if starting else engine.start())
        if not starting:
            await asyncio.sleep(LOADED_S)
        path = str(engine.home / "engine" / self.file) if self.file else ""
        strace = await _aim(engine, self.syscall, self.nth, path)
        if not starting:
            await _held(engine, strace)
            with contextlib.suppress(ProcessLookupError):  # a late snapshot of the start was met instead
                engine.terminate()
        # Started or stopped, it comes there by itself, however busy the machine is.
        return await _struck(engine, strace, READY_WITHIN_S)


async def _aim(engine: Engine, syscall: str, nth: int, path: str = "") -> Process:
    """Have strace kill a running engine at a thread's n-th call, of those that touch ``path`` where one is given."""
    inject = f"inject={syscall}:signal=SIGKILL:when={nth}"
    options = ["-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}", "-e", inject, "-p", str(engine.pid)]
    options += ["-P", path] if path else []
    return await asyncio.create_subprocess_exec("strace", *options, stderr=asyncio.subprocess.DEVNULL)


async def _held(engine: Engine, strace: Process) -> None:
    """Wait until strace holds every thread, or has ended."""
    while strace.returncode is None and not _is_traced(engine.pid):  # noqa: ASYNC110  # the kernel has no event for it
        await asyncio.sleep(0.05)


def _is_traced(pid: int) -> bool:
    try:
        threads = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/status")]
    except FileNotFoundError:  # a thread ended meanwhile
        return False
    return bool(threads) and all("TracerPid:\t0\n" not in text for text in threads)


async def _struck(engine: Engine, strace: Process, within_s: float = REACHED_WITHIN_S) -> bool:
    reached = await _died(engine, within_s)
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


async def _died(engine: Engine, within_s: float = REACHED_WITHIN_S) -> bool:
    try:
        return await asyncio.wait_for(engine.ended(), within_s) == -9
    except TimeoutError:
        return False


def has_strace() -> bool:
    """Tell whether system calls can be tampered with here."""
    return shutil.which("strace") is not None


#: A snapshot: written and not synced, synced and not renamed, renamed and its folder not synced. The log's copy into
#: the database: before some of its first pages, before its barrier, and copied but not cut.
AIMED: Final[tuple[AimedKill, ...]] = (
    *(AimedKill(moment, "fsync", nth) for moment in Moment for nth in (1, 2)),
    *(AimedKill(moment, "rename", 1) for moment in Moment),
    *(AimedKill(Moment.STOP, "pwrite64", nth, DATABASE) for nth in (1, 2, 5, 9)),
    AimedKill(Moment.STOP, "fdatasync", 1, DATABASE),
    AimedKill(Moment.STOP, "ftruncate", 1, LOG),
)


def plan(seed: int, *, randoms: int, syscalls: int, failpoints: int, aimed: int = 0) -> list[Kill]:
    """Return that many kills of each way, mixed; the same seed gives the same list."""
    chance = random.Random(seed)
    kills: list[Kill] = [_random_kill(chance) for _ in range(randoms)]
    if has_strace():
        kills += itertools.islice(itertools.cycle(AIMED), aimed)
        reach = list(itertools.product(SYSCALLS, range(1, SYSCALL_REACH + 1)))
        kills += [SyscallKill(name, nth) for name, nth in _spread(chance, reach, syscalls)]
    else:
        kills += [_random_kill(chance) for _ in range(syscalls + aimed)]
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
