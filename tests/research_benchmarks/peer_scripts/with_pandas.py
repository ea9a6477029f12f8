"""pandas on the benchmark's panel: ``with_pandas.py BARS.npz OUT.npy ROUNDS``. Runs in its own environment.

Seven columns from eight rolling measures: return, spread of returns, distance from the volume-weighted price (two
sums), z-score (mean and spread), volume ratio, range, slope.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd


def features(frames: dict[str, Any]) -> Any:
    """Return (T, S, 7) of frames with a column per symbol."""
    high, low, close, volume = (frames[name] for name in ("high", "low", "close", "volume"))
    log_close = np.log(close)
    returns = log_close.diff()
    typical = (high + low + close) / 3.0
    vwap = (typical * volume).rolling(20).sum() / volume.rolling(20).sum()
    mean, spread = close.rolling(30).mean(), close.rolling(30).std()
    # The slope from two running sums: of the value, and of the value times its place.
    place = pd.Series(np.arange(len(close)), index=close.index)
    moment = log_close.mul(place, axis=0).rolling(20).sum() - log_close.rolling(20).sum().mul(place - 9.5, axis=0)
    columns = [
        returns,
        returns.rolling(20).std(),
        close / vwap - 1.0,
        (close - mean) / spread,
        volume / volume.rolling(20).mean(),
        np.log(np.log(high / low).clip(lower=1e-6)),
        moment / 665.0,
    ]
    return np.stack([column.to_numpy() for column in columns], axis=-1)


def main() -> None:
    """Print the seconds of every round as JSON, and leave the features of the last one in a file."""
    data = np.load(sys.argv[1])
    frames = {name: pd.DataFrame(data[name].T) for name in ("high", "low", "close", "volume")}
    rounds = []
    for _ in range(int(sys.argv[3])):
        began = time.perf_counter()
        found = features(frames)
        rounds.append(time.perf_counter() - began)
    np.save(sys.argv[2], found)
    print(json.dumps({"rounds": rounds}))


main()
