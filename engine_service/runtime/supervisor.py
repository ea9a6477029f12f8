"""Background tasks that may not end: one that does is logged, counted and started again, or it stops trading."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import structlog

Policy = Literal["restart", "halt"]

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A task that runs for ever. ``halt``: its death stops trading as well as being repaired."""

    name: str
    run: Callable[[], Awaitable[None]]
    policy: Policy = "restart"


class Supervisor:
    """Keeps jobs running. ``on_failure(name)`` counts; ``on_halt(name)`` stops trading."""

    def __init__(self, on_failure: Callable[[str], None], on_halt: Callable[[str], None]) -> None:
        self._on_failure = on_failure
        self._on_halt = on_halt
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, job: Job) -> None:
        """Run a job from now on."""
        self._tasks.append(asyncio.get_running_loop().create_task(self._keep(job), name=f"job:{job.name}"))

    async def stop(self) -> None:
        """Cancel every job and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, job: Job) -> None:
        pause = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await job.run()
                _log.error("a background task returned", task=job.name)
            except Exception:  # noqa: BLE001  # the outermost loop of a task: it must be seen, counted and repaired
                _log.exception("a background task failed", task=job.name)
            self._on_failure(job.name)
            if job.policy == "halt":
                self._on_halt(job.name)
            if loop.time() - began > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)
