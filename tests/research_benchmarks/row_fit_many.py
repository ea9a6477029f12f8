"""Models of many symbols, ten starts each, against a plain hmmlearn loop over the same number of starts."""

from __future__ import annotations

import os
import time
from itertools import islice

from strategies.regimes.options import FitOptions
from strategies.regimes.selection import FINALISTS, best_of_starts
from strategies.regimes.threads import one_thread
from tests.benchmarks.row import Row
from tests.research_benchmarks.chains import ITERATIONS, REGIMES, Array, draw, known_model, plain_start

SYMBOLS = int(os.environ.get("NHMM_BENCH_FIT_SYMBOLS", "100"))
#: The peer needs most of a second a symbol: it is timed on some of them, spread over all.
PEER_EVERY = 10
BARS = 5_000
STARTS = 10
SEPARATIONS = (1.0, 1.5, 2.0, 3.0)
#: Nats over 5,000 bars: less is where the two stopped climbing, not where they went.
SAME = 0.05


def fit_many() -> Row:
    """Symbols fitted per second, ours in two processes, the peer as a loop in one.

    Raises:
        RuntimeError: a fit of ours is less likely than the peer's best start.
    """
    from joblib import Parallel, delayed  # noqa: PLC0415  # the names of the rows must be cheap to list

    series = [draw(known_model(SEPARATIONS[seed % len(SEPARATIONS)]), BARS, seed)[0] for seed in range(SYMBOLS)]
    with Parallel(n_jobs=2) as pool:
        pool(delayed(_ours)(one[:500]) for one in series[:2])  # the processes are there before the clock starts
        began = time.perf_counter()
        ours = pool(delayed(_ours)(one) for one in series)
        seconds = time.perf_counter() - began
    asked = range(0, SYMBOLS, PEER_EVERY)
    began = time.perf_counter()
    # One thread for the peer: with the default its k-means threads fight over a busy machine's cores.
    with one_thread():
        theirs = [max(_score(series[at], start) for start in range(STARTS)) for at in asked]
    peer_seconds = time.perf_counter() - began
    for at, best in zip(asked, theirs, strict=True):
        if ours[at] < best - SAME:
            raise RuntimeError(f"symbol {at}: our fit reaches {ours[at]:.3f}, hmmlearn's best start {best:.3f}")
    return Row(SYMBOLS / seconds, len(asked) / peer_seconds, "symbols/s")


def _ours(values: Array) -> float:
    options = FitOptions(candidates=(REGIMES,), starts=STARTS, iterations=ITERATIONS, stickiness=0.0)
    fits = islice(best_of_starts(values, [len(values)], REGIMES, options), FINALISTS)
    return max(fitted.log_likelihood for fitted in fits)


def _score(values: Array, start: int) -> float:
    return float(plain_start(values, start).score(values))


ROWS = {"fit_many": fit_many}
