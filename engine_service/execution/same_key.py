"""A key that was used before: whoever asks again waits a little for whoever asked first."""

from __future__ import annotations

import asyncio
from asyncio import Future
from typing import Final

from engine_service.domain.errors import Conflict
from engine_service.domain.events import IdempotencyMark
from engine_service.execution.core import EngineCore
from engine_service.storage.port import StoredAnswer

SAME_REQUEST_WAIT_S: Final = 2.0


async def claim(core: EngineCore, mark: IdempotencyMark) -> StoredAnswer | None:
    """Claim a key as ``IdempotencyStore.claim``; of two at once the second waits for the first.

    Raises:
        InvalidRequest: the key was used for something else (``IDEMPOTENCY_KEY_REUSED``).
        Conflict: the same request is still running (``IDEMPOTENCY_IN_PROGRESS``).
    """
    while isinstance(claimed := core.idempotency.claim(mark), Future):
        answer = await answer_of_first(core, mark, claimed)
        if answer is not None:
            return answer
    return claimed


async def answer_of_first(
    core: EngineCore, mark: IdempotencyMark, running: Future[StoredAnswer | None]
) -> StoredAnswer | None:
    """Wait for the answer to the same request; ``None``: it was given up.

    Raises:
        Conflict: it is still running (``IDEMPOTENCY_IN_PROGRESS``).
    """
    try:
        async with asyncio.timeout(SAME_REQUEST_WAIT_S):
            return await asyncio.shield(running)
    except TimeoutError as error:
        begun = core.journal.answer(mark.scope, mark.key)
        where = f"/orders/{begun.client_order_id}" if begun is not None and begun.client_order_id else ""
        why = "the same request is still running"
        raise Conflict("IDEMPOTENCY_IN_PROGRESS", why, retry_after_s=1, location=where) from error
