"""Proof against hindsight: cut the future away, compute again, and nothing of the past may change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A value of the past that moved when the future was cut at row ``cut``."""

    column: str
    at: int
    cut: int
    difference: float


def find_leaks(
    compute: Callable[[int], Array], columns: Sequence[str], cuts: Sequence[int], *, tolerance: float = 1e-12
) -> list[Leak]:
    """Return every column whose past changes with the future; one leak per column and cut.

    ``compute(n)`` returns the values, shape (n, C), that are derived from the first n bars alone. The longest cut is
    the reference. NaN equals NaN.

    Raises:
        ValueError: fewer than two cuts, or ``compute`` answers with another shape.
    """
    ordered = sorted(set(cuts))
    if len(ordered) < 2:
        raise ValueError("at least two different cuts are needed")
    whole = _checked(compute, ordered[-1], len(columns))
    leaks: list[Leak] = []
    for cut in ordered[:-1]:
        part = _checked(compute, cut, len(columns))
        past = whole[:cut]
        moved = np.abs(part - past)
        moved[np.isnan(part) & np.isnan(past)] = 0.0
        moved[np.isnan(part) ^ np.isnan(past)] = np.inf
        leaks += [
            Leak(column=columns[column], at=int(rows[0]), cut=cut, difference=float(moved[rows[0], column]))
            for column in range(len(columns))
            if len(rows := np.flatnonzero(moved[:, column] > tolerance))
        ]
    return leaks


def _checked(compute: Callable[[int], Array], rows: int, width: int) -> Array:
    values = compute(rows)
    if values.shape != (rows, width):
        raise ValueError(f"compute({rows}) must answer with shape ({rows}, {width})")
    return values
