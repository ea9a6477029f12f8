"""How much two namings of the same bars agree, whatever the names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def adjusted_rand(ours: Labels, theirs: Labels) -> float:
    """Return the adjusted Rand index of two labellings, (T,): 1 the same, about 0 by chance (Hubert and Arabie 1985).

    Raises:
        ValueError: the lengths differ or there are fewer than two bars.
    """
    if ours.shape != theirs.shape or len(ours) < 2:
        raise ValueError("two labellings of the same two or more bars are needed")
    table = np.zeros((int(ours.max()) + 1, int(theirs.max()) + 1))
    np.add.at(table, (ours, theirs), 1.0)
    together = _pairs(table).sum()
    rows, columns = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum()
    by_chance = rows * columns / _pairs(np.array(float(len(ours))))
    most = 0.5 * (rows + columns)
    # Both put every bar into one regime, or each into its own: they agree, and chance could do no other.
    return 1.0 if most == by_chance else float((together - by_chance) / (most - by_chance))


def _pairs(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts * (counts - 1.0) / 2.0)
