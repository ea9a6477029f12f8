"""What became of situations: each rule's mean outcome, how sure it is, and how promising the rule still is.

The confidence interval of the mean is Student's, the upper bound UCB1's, scaled by the spread of outcomes (Auer,
Cesa-Bianchi and Fischer 2002).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A rule's record in basis points; bounds are ``None`` where there are too few outcomes to tell."""

    rule: str
    count: int
    mean_bps: float | None
    low_bps: float | None
    high_bps: float | None
    ucb_bps: float | None


def feedback(outcomes: Mapping[str, Sequence[float]], *, level: float = 0.95, courage: float = 1.0) -> list[Feedback]:
    """Return every rule's record, the most promising first; a rule without one stands before all others.

    Args:
        level: of the two-sided confidence interval of the mean.
        courage: how much the upper bound leans to what was tried little; 1 is UCB1's own.
    """
    total = sum(len(values) for values in outcomes.values())
    records = [_record(rule, np.array(values), total, level, courage) for rule, values in outcomes.items()]
    return sorted(records, key=lambda one: (-math.inf if one.ucb_bps is None else -one.ucb_bps, one.rule))


def t_quantile(probability: float, freedom: int) -> float:
    """Return Student's quantile for at least 4 degrees of freedom (Abramowitz and Stegun 26.7.5; 0.01 off at most)."""
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160
    return z + first / freedom + second / freedom**2 + third / freedom**3 + fourth / freedom**4


_FEWEST = 5


def _record(rule: str, values: Array, total: int, level: float, courage: float) -> Feedback:
    count = len(values)
    if count < _FEWEST:
        mean = float(values.mean()) if count else None
        return Feedback(rule=rule, count=count, mean_bps=mean, low_bps=None, high_bps=None, ucb_bps=None)
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    half = t_quantile(0.5 + level / 2, count - 1) * spread / math.sqrt(count)
    return Feedback(
        rule=rule,
        count=count,
        mean_bps=mean,
        low_bps=mean - half,
        high_bps=mean + half,
        ucb_bps=mean + courage * spread * math.sqrt(2 * math.log(total) / count),
    )
