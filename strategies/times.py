"""Moments as people read them and options take them."""

from __future__ import annotations

from datetime import UTC, datetime


def told(at_ms: int) -> str:
    """Return UTC epoch milliseconds as ISO 8601, as short as they can be said: ``2024-03-01T13:00Z``."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None)
    precision = "milliseconds" if at_ms % 1000 else "seconds" if at_ms % 60_000 else "minutes"
    return f"{at.isoformat(timespec=precision)}Z"


def lasting(ms: int) -> str:
    """Return a length of time in the largest unit of which it has two: ``125 days``, ``90 minutes``."""
    for unit, length in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000)):
        if ms >= 2 * length:
            return f"{ms / length:.3g} {unit}s"
    return f"{ms} ms"
