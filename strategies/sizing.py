"""How much: the more volatile, the smaller."""

from __future__ import annotations

import math


def volatility_scale(volatility_per_bar: float, target_per_bar: float, *, floor: float = 0.25) -> float:
    """Return the share of full size, ``floor`` to 1, at which a position's volatility per bar meets its target.

    Both are standard deviations of log returns per bar. Unknown or zero volatility gives the floor, never full size.
    """
    if not math.isfinite(volatility_per_bar) or volatility_per_bar <= 0.0:
        return floor
    return max(floor, min(1.0, target_per_bar / volatility_per_bar))
