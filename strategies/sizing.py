"""How much: the more volatile, the smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

#: How many closes ``size_share`` looks at, and how many of their steps are the present.
RISK_BARS = 60
RECENT_STEPS = 10
#: Full size up to this multiple of the usual step.
TARGET_SHARE = 1.5


def volatility_scale(volatility_per_bar: float, target_per_bar: float, *, floor: float = 0.25) -> float:
    """Return the share of full size, ``floor`` to 1, at which a position's volatility per bar meets its target.

    Both are standard deviations of log returns per bar. Unknown or zero volatility gives the floor, never full size.
    """
    if not math.isfinite(volatility_per_bar) or volatility_per_bar <= 0.0:
        return floor
    return max(floor, min(1.0, target_per_bar / volatility_per_bar))


def size_share(closes: Sequence[float]) -> float:
    """Return the share of full size after the newest of at most ``RISK_BARS`` closes: smaller after large steps.

    The usual step is the median absolute return; full size where the last ten average at most 1.5 of it, and where
    there are too few closes to tell.
    """
    steps = [abs(after / before - 1.0) for before, after in pairwise(closes)]
    if len(steps) < RECENT_STEPS:
        return 1.0
    usual = sorted(steps)[len(steps) // 2]
    recent = sum(steps[-RECENT_STEPS:]) / RECENT_STEPS
    return volatility_scale(recent, TARGET_SHARE * usual)
