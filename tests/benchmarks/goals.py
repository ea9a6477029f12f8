"""How much a benchmark does: a sample that takes minutes, or everything (``--full``), which takes hours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of the long rows. ``memory_orders`` is (first look, last look); so many orders before each are timed.

    One stall meets the 64 orders that are in flight: of a thousand it is already the 99th percentile.
    """

    memory_orders: tuple[int, int]
    timed_orders: int
    open_loop_s: float


SAMPLE = Scale(memory_orders=(2_000, 20_000), timed_orders=1_500, open_loop_s=15.0)
FULL = Scale(memory_orders=(10_000, 1_000_000), timed_orders=8_000, open_loop_s=600.0)
