"""From a raw confidence to how often one like it was right, on bars that no fit had seen: one rising step function.

Formula: pool adjacent violators (Ayer et al. 1955) over steps of about equally many outcomes, each step's share with
one right and one wrong outcome added (Laplace), so that no step is ever certain.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Outcomes, counted as if none overlapped, that one step needs; with fewer in all, nothing is fitted.
STEP_OUTCOMES = 50.0
MOST_STEPS = 10
TOO_FEW_OUTCOMES = "TOO_FEW_OUTCOMES"
NO_HELD_OUT_MODEL = "NO_HELD_OUT_MODEL"
FALLBACKS = (TOO_FEW_OUTCOMES, NO_HELD_OUT_MODEL)
_PARTS = ("edges", "values", "outcomes", "from_ms", "to_ms", "fallback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A confidence at or above ``edges[n - 1]`` and below ``edges[n]`` was right in ``values[n]`` of the cases.

    ``outcomes`` is how many stand behind it, counted as if none overlapped; ``from_ms`` and ``to_ms`` are the opens
    between which they were held out. With a ``fallback``, which says why there are no steps, raw confidences stay.

    Raises:
        ValueError: the steps do not rise, a value is not between 0 and 1, or neither steps nor a reason are there.
    """

    edges: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    outcomes: float = 0.0
    from_ms: int = 0
    to_ms: int = 0
    fallback: str = ""

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        ordered = all(a <= b for a, b in zip(self.values, self.values[1:], strict=False))
        bounded = all(0.0 <= value <= 1.0 for value in (*self.edges, *self.values))
        if not (rising and ordered and bounded and math.isfinite(self.outcomes) and self.outcomes >= 0):
            raise ValueError("a calibration has rising edges and values between 0 and 1")
        is_whole = len(self.values) == len(self.edges) + 1 <= MOST_STEPS and not self.fallback
        is_missing = not self.values and not self.edges and self.fallback in FALLBACKS
        if not (is_whole or is_missing) or not 0 <= self.from_ms <= self.to_ms:
            raise ValueError("a calibration has one value more than edges, or the name of what it lacked")

    def of(self, confidence: float) -> float:
        """Return the calibrated confidence."""
        return self.values[bisect_right(self.edges, confidence)] if self.values else confidence

    def of_all(self, confidences: Array) -> Array:
        """Return the same of an array of any shape, bit for bit; NaN stays NaN."""
        if not self.values:
            return confidences
        steps = np.array(self.values)[np.searchsorted(np.array(self.edges), confidences, side="right")]
        return np.where(np.isnan(confidences), math.nan, steps)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; floats survive the round trip bit for bit."""
        return {name: list(part) if isinstance(part := getattr(self, name), tuple) else part for name in _PARTS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Return the calibration that ``to_dict`` wrote.

        Raises:
            KeyError, TypeError, ValueError: a part is missing, unknown or of the wrong type.
        """
        if not isinstance(values, Mapping) or set(values) != set(_PARTS):
            raise ValueError(f"a calibration has exactly these parts: {', '.join(_PARTS)}")
        return cls(
            edges=tuple(float(edge) for edge in values["edges"]),
            values=tuple(float(value) for value in values["values"]),
            outcomes=float(values["outcomes"]),
            from_ms=int(values["from_ms"]),
            to_ms=int(values["to_ms"]),
            fallback=str(values["fallback"]),
        )


def fit_calibration(raw: Array, right: Array, weight: Array, from_ms: int = 0, to_ms: int = 0) -> Calibration:
    """Fit the steps to raw confidences (N,), whether each was right (N,; 0 or 1) and how much each counts (N,).

    Outcomes that overlap in time tell the same thing again; a weight of 1 / h for one over h bars makes up for it.
    """
    outcomes = float(weight.sum())
    if outcomes < STEP_OUTCOMES:
        return Calibration(outcomes=outcomes, from_ms=from_ms, to_ms=to_ms, fallback=TOO_FEW_OUTCOMES)
    edges = _edges(raw, weight)
    step = np.searchsorted(edges, raw, side="right")
    hits = np.bincount(step, weight * right, len(edges) + 1) + 1.0
    counts = np.bincount(step, weight, len(edges) + 1) + 2.0
    pooled: list[tuple[float, float, int]] = []
    for hit, count in zip(hits.tolist(), counts.tolist(), strict=True):
        block = (hit, count, 1)
        # A step that was right less often than the one below is not told from it.
        while pooled and pooled[-1][0] * block[1] >= block[0] * pooled[-1][1]:
            below = pooled.pop()
            block = (below[0] + block[0], below[1] + block[1], below[2] + block[2])
        pooled.append(block)
    last = np.cumsum([steps for *_, steps in pooled])[:-1] - 1
    return Calibration(
        edges=tuple(edges[last].tolist()),
        values=tuple(hit / count for hit, count, _ in pooled),
        outcomes=outcomes,
        from_ms=from_ms,
        to_ms=to_ms,
    )


def _edges(raw: Array, weight: Array) -> Array:
    """Return where steps begin: so many that each holds enough outcomes; equal confidences are never parted."""
    order = np.argsort(raw, kind="stable")
    ordered, so_far = raw[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    steps = min(MOST_STEPS, int(so_far[-1] // STEP_OUTCOMES))
    edges: list[float] = []
    begin = 0.0
    for share in range(1, steps):
        at = int(np.searchsorted(so_far, so_far[-1] * share / steps))
        first = int(np.searchsorted(ordered, ordered[min(at, len(ordered) - 1)]))
        if so_far[first] - begin >= STEP_OUTCOMES / 2:
            edges.append(float(ordered[first]))
            begin = so_far[first]
    return np.array(edges)


def calibration_error(confidences: Array, right: Array, bins: int = 10) -> float:
    """Return the expected calibration error: |confidence - share right| over equal bins, weighted by their counts."""
    place = np.minimum((confidences * bins).astype(np.int64), bins - 1)
    apart = np.bincount(place, confidences, bins) - np.bincount(place, right, bins)
    return float(np.abs(apart).sum() / max(1, len(confidences)))


def brier(confidences: Array, right: Array) -> float:
    """Return the mean squared distance of confidences from what came true (Brier 1950); smaller is better."""
    return float(np.mean((confidences - right) ** 2))
