"""Virtual time: one queue of things to come, an event loop that never waits, and the clock the engine is shown.

Nothing here touches a socket, a thread or the machine's clock. When the loop has nothing ready it asks its selector to
wait; the selector moves virtual time to the next thing that happens instead. A schedule that takes minutes for the
engine takes a millisecond for us, and the same seed gives the same turns in the same order.
"""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable, Coroutine, Generator
from heapq import heappop, heappush
from typing import Any

Work = Coroutine[Any, Any, Any] | Generator[Any, None, Any]
EPOCH_MS = 1_700_000_000_000
_RESOLUTION_S = 1e-6


class Stuck(AssertionError):
    """Work is left that nothing will ever wake: a wait without an end."""


class World:
    """The venue's side of time: what happens when. ``now_s`` counts from the start of the schedule."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Let something happen later, on the event loop's own thread; equal times keep their order."""
        self._count += 1
        heappush(self._queue, (self.now_s + max(0.0, delay_s), self._count, action))

    def advance(self, until_s: float | None) -> None:
        """Go to the next thing that happens, or to ``until_s`` where nothing happens before.

        Raises:
            Stuck: nothing will ever happen.
        """
        if self._queue and (until_s is None or self._queue[0][0] <= until_s):
            at_s, _, action = heappop(self._queue)
            self.now_s = max(self.now_s, at_s)
            action()
        elif until_s is None:
            raise Stuck("nothing is left that could wake the engine")
        else:
            self.now_s = max(self.now_s, until_s)

    def pass_until(self, until_s: float) -> None:
        """Let everything happen that is due until then, with no engine to see it."""
        while self._queue and self._queue[0][0] <= until_s:
            self.advance(None)
        self.now_s = max(self.now_s, until_s)


class WallClock:
    """The engine's clock: monotonic time is the world's, wall time may be stepped to and fro."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.step_ms = 0

    def now_ms(self) -> int:
        return EPOCH_MS + int(self._world.now_s * 1000) + self.step_ms

    def monotonic_s(self) -> float:
        return self._world.now_s


class _Selector:
    """Where the loop would wait for sockets, the world moves on."""

    def __init__(self, world: World) -> None:
        self._world = world

    def select(self, timeout_s: float | None) -> list[Any]:
        if timeout_s is None or timeout_s > 0:
            self._world.advance(None if timeout_s is None else self._world.now_s + timeout_s)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time. One per life of the engine: a crash leaves it behind with all its tasks."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._selector = _Selector(world)
        self._clock_resolution = _RESOLUTION_S
        self.mine: list[Task[Any]] = []
        self.set_task_factory(_remembering)

    def time(self) -> float:
        return self._world.now_s

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There are no threads to be woken by."""

    def live(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run until ``work`` ends or ``stop`` is called; tell whether it ended.

        Raises:
            BaseException: whatever ``work`` raised.
        """
        task = self.create_task(work)
        task.add_done_callback(lambda done: self.stop())
        asyncio.set_event_loop(self)
        try:
            self.run_forever()
        finally:
            asyncio.set_event_loop(None)
        if task.done():
            task.result()
            return True
        return False

    def abandon(self, silence: type[BaseException]) -> None:
        """Kill: no task runs on. What a task's clean-up tries must fail with ``silence``, for the process is gone."""
        for task in self.mine:
            coroutine = task.get_coro()
            if task.done() or coroutine is None:
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # or asyncio complains
            try:
                coroutine.close()
            except (silence, RuntimeError):
                continue
        self.mine.clear()
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        self.close()


def _remembering(loop: asyncio.AbstractEventLoop, work: Work, **options: Any) -> Task[Any]:
    task: Task[Any] = Task(work, loop=loop, **options)
    if isinstance(loop, VirtualLoop):
        loop.mine.append(task)
        if len(loop.mine) > 64:
            loop.mine[:] = [each for each in loop.mine if not each.done()]
    return task
