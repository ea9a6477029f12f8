"""The cheapest path through regimes: dynamic programming with a price on every change.

Minimises sum_t c_t(s_t) + penalty * #changes exactly (Bellman; Bemporad et al. 2018). Many problems of the same length
run side by side; a single one runs in plain floats, which is quicker than arrays of a few numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
States = NDArray[np.int64]


def cheapest_paths(costs: Array, penalties: Array, lengths: Sequence[int]) -> States:
    """Return the cheapest paths, (B, T), of B problems with costs (T, B, K) and penalties (B,).

    Between stretches (``lengths`` adds up to T) a change is free.
    """
    bars, problems, _ = costs.shape
    if problems == 1:
        return cheapest_path(costs[:, 0], float(penalties[0]), lengths)[None]
    prices = np.broadcast_to(penalties, (bars, problems)).copy()
    prices[_firsts(lengths)] = 0.0
    values = np.empty_like(costs)
    least, now = np.empty((problems, 1)), np.zeros(costs.shape[1:])
    for at in range(bars):
        np.minimum.reduce(now, axis=1, out=least, keepdims=True)
        np.add(least, prices[at][:, None], out=least)
        np.minimum(now, least, out=now)
        np.add(now, costs[at], out=now)
        values[at] = now
    best = values.argmin(axis=2)
    stays = values[:-1] <= values[:-1].min(axis=2, keepdims=True) + prices[1:, :, None]
    paths = np.empty((bars, problems), dtype=np.int64)
    paths[-1] = best[-1]
    lanes = np.arange(problems)
    for at in range(bars - 2, -1, -1):
        later = paths[at + 1]
        paths[at] = np.where(stays[at, lanes, later], later, best[at])
    return paths.T


def cheapest_path(costs: Array, penalty: float, lengths: Sequence[int]) -> States:
    """Return the cheapest path, (T,), for costs (T, K)."""
    frees = set(_firsts(lengths))
    now = [0.0] * costs.shape[1]
    best: list[int] = []
    stays: list[list[bool]] = []
    for at, row in enumerate(costs.tolist()):
        least = min(now)
        changed = least + (0.0 if at in frees else penalty)
        best.append(now.index(least))
        stays.append([value <= changed for value in now])
        now = [cost + min(value, changed) for value, cost in zip(now, row, strict=True)]
    state = now.index(min(now))
    path = np.empty(len(costs), dtype=np.int64)
    for at in range(len(costs) - 1, -1, -1):
        path[at] = state
        state = state if stays[at][state] else best[at]
    return path


def _firsts(lengths: Sequence[int]) -> list[int]:
    return np.cumsum([0, *lengths[:-1]]).tolist() if lengths else []
