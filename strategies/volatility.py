"""How volatile one symbol is among others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def volatility_rank(volatility: Array) -> Array:
    """Return the share of all values that lie below each, itself counted half, (S,); equal values share theirs.

    Among few values nobody is called extreme: of two they are 0.25 and 0.75 (Hazen 1914).
    """
    ordered = np.sort(volatility)
    first = np.searchsorted(ordered, volatility, side="left")
    last = np.searchsorted(ordered, volatility, side="right") - 1
    rank: Array = ((first + last) / 2.0 + 0.5) / max(1, len(volatility))
    return rank
