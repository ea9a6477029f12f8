"""What a reader of events has missed, from the journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from engine_service.runtime.engine import Engine
from engine_service.storage.port import JournalReader, Recorded

PAGE: Final = 500
BEYOND_THE_END: Final = "This journal has no such event: it is another one than you read before. Start with 0."


def event_number(text: str) -> int | None:
    """Return the sequence number that a text is, ``None`` where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


async def missed_events(engine: Engine, after: int) -> AsyncIterator[list[Recorded]]:
    """Yield what follows a sequence number, page by page, until there is no more.

    Raises:
        Unavailable: the journal is closed.
    """
    while page := await engine.core.journal.aside(partial(_page, after)):
        yield page
        after = page[-1].seq


def _page(after: int, journal: JournalReader) -> list[Recorded]:
    return journal.events_after(after, PAGE)
