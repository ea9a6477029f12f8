"""One key, one effect: what is running, what was answered, and what the journal remembers for ever.

Finished answers stay in memory for ``ttl_s`` (at most ``max_entries``); beyond that they are read from the journal's
table, which is written in the same transaction as the effect, so a key survives any crash exactly when its effect does.
Keys of orders are kept for ever, others for seven days.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from engine_service.domain.clock import Clock
from engine_service.domain.errors import InvalidRequest
from engine_service.domain.events import IdempotencyMark
from engine_service.storage.port import StoredAnswer

Key = tuple[str, str]
#: How long a key holds under which no order was placed, changed or cancelled.
KEPT_MS: Final = 7 * 24 * 3_600 * 1_000


class IdempotencyStore:
    """Claims on keys. ``lookup`` reads the journal's table."""

    def __init__(
        self,
        lookup: Callable[[str, str], StoredAnswer | None],
        clock: Clock,
        *,
        ttl_s: float = 600.0,
        max_entries: int = 10_000,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._ttl_s = ttl_s
        self._max_entries = max_entries
        self._running: dict[Key, tuple[IdempotencyMark, Future[StoredAnswer | None]]] = {}
        self._finished: OrderedDict[Key, tuple[float, StoredAnswer]] = OrderedDict()

    def claim(self, mark: IdempotencyMark) -> StoredAnswer | Future[StoredAnswer | None] | None:
        """Ask for a key.

        Returns:
            ``None``: it is yours now, end it with ``finish`` or ``abandon``. A ``StoredAnswer``: the request was
            answered before (``outcome`` empty: it became durable, but this process never answered it). A future:
            the same request is running; ``None`` as its result means that it was abandoned.

        Raises:
            InvalidRequest: the key was used with another body (``IDEMPOTENCY_KEY_REUSED``).
        """
        key = (mark.scope, mark.key)
        running = self._running.get(key)
        if running is not None:
            _same_body(running[0], mark)
            return running[1]
        answer = self._remembered(key) or self._lookup(mark.scope, mark.key)
        if answer is not None and not self._is_over(answer):
            _same_body(answer.mark, mark)
            return answer
        self._running[key] = (mark, get_running_loop().create_future())
        return None

    def is_fresh(self, answer: StoredAnswer) -> bool:
        """Tell whether an answer is to be repeated word for word."""
        return self._clock.now_ms() - answer.at_ms <= self._ttl_s * 1000

    def finish(self, answer: StoredAnswer) -> None:
        """Keep an answer and hand it to everyone who waits for it."""
        key = (answer.mark.scope, answer.mark.key)
        if not answer.body:  # whole pages are read again from the table: memory is for the answers to orders
            self._finished[key] = (self._clock.monotonic_s(), answer)
        while len(self._finished) > self._max_entries:
            self._finished.popitem(last=False)
        self._release(key, answer)

    def abandon(self, mark: IdempotencyMark) -> None:
        """Give a key back: nothing happened under it."""
        self._release((mark.scope, mark.key), None)

    def _release(self, key: Key, answer: StoredAnswer | None) -> None:
        running = self._running.pop(key, None)
        if running is not None and not running[1].done():
            running[1].set_result(answer)

    def _is_over(self, answer: StoredAnswer) -> bool:
        return not answer.client_order_id and self._clock.now_ms() - answer.at_ms > KEPT_MS

    def _remembered(self, key: Key) -> StoredAnswer | None:
        found = self._finished.get(key)
        if found is None:
            return None
        if self._clock.monotonic_s() - found[0] <= self._ttl_s:
            return found[1]
        del self._finished[key]
        return None


def _same_body(first: IdempotencyMark, second: IdempotencyMark) -> None:
    if first.fingerprint != second.fingerprint:
        raise InvalidRequest("IDEMPOTENCY_KEY_REUSED", "this key was used with another request body")
