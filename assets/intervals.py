"""Arithmetic on the grid of bars: days, expected opens, and what is missing between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

INTERVAL_MS: Mapping[str, int] = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
}
DAY_MS = 86_400_000
DAY_FORMAT = "%Y-%m-%d"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open [``start_ms``, ``end_ms``), both on the grid of bar opens."""

    start_ms: int
    end_ms: int

    def bars(self, step_ms: int) -> int:
        """Return how many bars open inside."""
        return max(0, (self.end_ms - self.start_ms) // step_ms)


def utc(at_ms: int) -> datetime:
    """Return epoch milliseconds as an aware time, exactly."""
    return _EPOCH + timedelta(milliseconds=at_ms)


def to_ms(at: datetime) -> int:
    """Return an aware time as epoch milliseconds, exactly."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def day_of(at_ms: int) -> str:
    """Return the UTC day of a time, ``YYYY-MM-DD``."""
    return utc(at_ms).strftime(DAY_FORMAT)


def day_span(day: str) -> Span:
    """Return the whole UTC day.

    Raises:
        ValueError: ``day`` is not ``YYYY-MM-DD``.
    """
    start_ms = to_ms(datetime.strptime(day, DAY_FORMAT).replace(tzinfo=UTC))
    return Span(start_ms, start_ms + DAY_MS)


def closed_part(span: Span, step_ms: int, now_ms: int) -> Span:
    """Return the part of a span whose bars have closed by ``now_ms``."""
    return Span(span.start_ms, max(span.start_ms, min(span.end_ms, now_ms // step_ms * step_ms)))


def missing(stored_ms: NDArray[np.int64], span: Span, step_ms: int, absent: Iterable[Span] = ()) -> list[Span]:
    """Return the spans of bars that are not stored, without those known to be absent at the venue.

    Args:
        stored_ms: open times of the stored bars, any order, shape (T,).
        absent: spans that need not be asked for again.
    """
    here = np.zeros(span.bars(step_ms), dtype=np.bool_)
    inside = stored_ms[(stored_ms >= span.start_ms) & (stored_ms < span.end_ms)]
    here[(inside - span.start_ms) // step_ms] = True
    for gap in absent:
        first = max(0, (gap.start_ms - span.start_ms) // step_ms)
        here[first : max(first, (gap.end_ms - span.start_ms) // step_ms)] = True
    return _runs(~here, span.start_ms, step_ms)


def present(stored_ms: NDArray[np.int64], span: Span, step_ms: int) -> list[Span]:
    """Return the spans of bars that are stored."""
    here = np.zeros(span.bars(step_ms), dtype=np.bool_)
    inside = stored_ms[(stored_ms >= span.start_ms) & (stored_ms < span.end_ms)]
    here[(inside - span.start_ms) // step_ms] = True
    return _runs(here, span.start_ms, step_ms)


def joined(spans: Sequence[Span], step_ms: int, nearer_than_bars: int) -> list[Span]:
    """Join spans with fewer than ``nearer_than_bars`` bars between them: one larger request beats many small ones."""
    result: list[Span] = []
    for span in sorted(spans):
        if result and span.start_ms - result[-1].end_ms < nearer_than_bars * step_ms:
            result[-1] = Span(result[-1].start_ms, span.end_ms)
        else:
            result.append(span)
    return result


def _runs(flags: NDArray[np.bool_], start_ms: int, step_ms: int) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [
        Span(start_ms + int(first) * step_ms, start_ms + int(last) * step_ms)
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
