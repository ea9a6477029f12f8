"""Letting callers go with an answer: between the signal to stop and the stop itself."""

from __future__ import annotations

import asyncio
from typing import Final

from engine_service.runtime.engine import Engine
from engine_service.runtime.lifecycle import STOP_WITHIN_S

#: Work of the core that a caller waits for.
ASKED_FOR: Final = ("submit:", "answer:", "cancel:", "amend:")
#: From a caller's deadline to the answer "in doubt" on the disk.
MARGIN_S: Final = 0.3


async def drain(engine: Engine) -> None:
    """Refuse new work and wait for what callers wait for, until the last of them has met the deadline of an answer.

    The stop itself lets work end for ``STOP_WITHIN_S / 2`` more, so that much less is waited here.
    """
    engine.stopping = True
    engine.loop.running = False
    deadline = engine.core.clock.monotonic_s() + engine.core.answer_deadline_s + MARGIN_S - STOP_WITHIN_S / 2
    while (left_s := deadline - engine.core.clock.monotonic_s()) > 0:
        tasks = [task for name, task in engine.core.tasks.items() if name.startswith(ASKED_FOR)]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=left_s)
