"""What every fact has."""

from __future__ import annotations

from msgspec import Struct


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """Base of all facts."""

    at_ms: int
