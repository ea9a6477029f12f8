"""How much a benchmark does: a sample that takes minutes, or everything (``--full``), which takes hours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of the long rows. ``memory_orders`` is (first look, last look)."""

    memory_orders: tuple[int, int]
    open_loop_s: float


SAMPLE = Scale(memory_orders=(2_000, 20_000), open_loop_s=15.0)
FULL = Scale(memory_orders=(10_000, 1_000_000), open_loop_s=600.0)
