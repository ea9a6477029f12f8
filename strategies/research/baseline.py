"""What regimes must beat: one Gaussian for all bars, judged on the same held-out bars of the same walk."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.research.walk_forward import WalkForwardOptions, folds

Array = NDArray[np.float64]


def single_gaussian_log_likelihood(rows: Array, features: tuple[str, ...], options: WalkForwardOptions) -> float:
    """Return the mean held-out log-likelihood per bar, in nats, of one diagonal Gaussian.

    It is fitted on each fold's training rows of the feature matrix (T, 7) and judged in that fold's standardised
    units, as the regime model is, so that the two can be subtracted.

    Raises:
        ValueError: there are too few rows for one fold.
    """
    columns = [FEATURES.index(name) for name in features]
    found: list[Array] = []
    for fold in folds(len(rows), options):
        train = rows[fold.train_from : fold.train_to]
        test = rows[max(fold.train_from, fold.test_from - options.purge) : fold.test_to]
        known = train[np.isfinite(train).all(axis=1)][:, columns]
        asked = test[np.isfinite(test).all(axis=1)][:, columns]
        spread = known.std(axis=0)
        if len(known) and (spread > 0).all():
            distance = (asked - known.mean(axis=0)) / spread
            found.append(-0.5 * (math.log(2.0 * math.pi) + distance**2).sum(axis=1))
    return float(np.concatenate(found).mean()) if found else float("nan")
