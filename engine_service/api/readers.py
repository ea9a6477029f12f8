"""Who reads a stream now: of one caller so many at most, each for as long as its token counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from engine_service.api.callers import LOOK_EVERY_S
from engine_service.api.grants import Principal

#: Of one caller on one route: each holds a connection for as long as it likes.
PER_PRINCIPAL: Final = 50


class Readers:
    """``still_holds`` tells whether who was let in would be let in now."""

    def __init__(self, still_holds: Callable[[Principal], bool]) -> None:
        self._still_holds = still_holds
        self._open: Counter[str] = Counter()

    def may_enter(self, principal: Principal) -> bool:
        """Tell whether a caller may have one more."""
        return self._open[principal.name] < PER_PRINCIPAL

    @contextmanager
    def inside(self, principal: Principal) -> Iterator[None]:
        """Count a caller in for as long as it reads."""
        self._open[principal.name] += 1
        try:
            yield
        finally:
            self._open[principal.name] -= 1

    async def until_revoked(self, principal: Principal) -> None:
        """Wait until a caller's token has expired or was revoked."""
        while self._still_holds(principal):  # noqa: ASYNC110  # a file and a clock, no event
            await asyncio.sleep(LOOK_EVERY_S)
