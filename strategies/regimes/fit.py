"""Fit a regime model: several starts, our own convergence verdict, K by BIC within floors a person can defend.

hmmlearn does the expectation-maximisation (Baum-Welch). Its ``converged`` flag is true at the iteration cap and when
the likelihood fell, so the verdict here looks at the likelihood's own path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.regimes.filtering import filter_batch
from strategies.regimes.labels import canonical_order, describe, match
from strategies.regimes.model import RegimeModel

Array = NDArray[np.float64]

DEFAULT_FEATURES = ("log_return", "log_range")
TOLERANCE = 1e-2
#: With a sticky prior the likelihood alone may fall a little at the optimum of the whole.
SETTLED_SHARE = 1e-4
MIN_ROWS_PER_PARAMETER = 10


class FitRefused(ValueError):
    """No model can be fitted to this; ``code`` says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How to fit. ``stickiness`` is the Dirichlet weight on staying; ``covariance_floor`` in standardised units."""

    candidates: tuple[int, ...] = (2, 3)
    features: tuple[str, ...] = DEFAULT_FEATURES
    starts: int = 3
    iterations: int = 60
    stickiness: float = 50.0
    covariance_floor: float = 1e-3
    min_occupancy_frac: float = 0.05
    min_dwell_bars: float = 3.0
    seed: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """How the chosen model came about. ``tried`` holds one row per number of regimes."""

    log_likelihood: float
    bic: float
    converged: bool
    iterations: int
    occupancy: tuple[float, ...]
    dwell_bars: tuple[float, ...]
    tried: tuple[dict[str, float], ...]


@dataclass(frozen=True, slots=True)
class _Fitted:
    hmm: Any
    log_likelihood: float
    converged: bool
    iterations: int


def fit(
    rows: Array,
    open_at_ms: NDArray[np.int64],
    bar_ms: int,
    options: FitOptions = FitOptions(),
    previous: RegimeModel | None = None,
) -> tuple[RegimeModel, FitReport]:
    """Fit feature rows of shape (T, 7), in time order, whose bars opened at ``open_at_ms`` (T,).

    Incomplete rows (warm-up) are left out. With ``previous``, regimes keep its order where the number agrees.

    Raises:
        FitRefused: ``TOO_FEW_BARS``, ``CONSTANT_FEATURE`` or ``NO_STABLE_REGIMES``.
    """
    columns = [FEATURES.index(name) for name in options.features]
    complete = np.isfinite(rows).all(axis=1)
    used = rows[complete][:, columns]
    times = open_at_ms[complete]
    _refuse_thin(used, options)
    mean, scale = used.mean(axis=0), used.std(axis=0)
    if (scale < 1e-12).any():
        raise FitRefused("CONSTANT_FEATURE", "a feature does not vary; a halted or dead symbol has no regimes")
    standard = (used - mean) / scale
    chosen, tried = _choose(standard, options)
    returns = rows[complete][:, FEATURES.index("log_return")]
    posteriors = chosen.hmm.predict_proba(standard)
    expected, volatility = _moments(posteriors, returns)
    order = canonical_order(expected, volatility)
    if previous is not None and previous.count == len(order) and previous.features == options.features:
        order = match(previous, chosen.hmm.means_ * scale + mean)
    covars = np.maximum(_diagonal(chosen.hmm), options.covariance_floor)
    expected, volatility = expected[order], volatility[order]
    model = RegimeModel(
        features=options.features,
        startprob=_normalised(chosen.hmm.startprob_[order]),
        transmat=_normalised(chosen.hmm.transmat_[np.ix_(order, order)]),
        means=chosen.hmm.means_[order],
        covars=covars[order],
        scaler_mean=mean,
        scaler_scale=scale,
        expected_return=expected,
        volatility=volatility,
        labels=describe(expected, volatility),
        trained_from_ms=int(times[0]),
        trained_to_ms=int(times[-1]) + bar_ms,
        bars=len(used),
        data_hash=hashlib.sha256(np.ascontiguousarray(used).tobytes() + times.tobytes()).hexdigest(),
        seed=options.seed,
    )
    return model, _report(model, rows[complete], chosen, tried, standard.shape)


def _refuse_thin(used: Array, options: FitOptions) -> None:
    least = MIN_ROWS_PER_PARAMETER * _parameters(min(options.candidates), used.shape[1])
    if len(used) < least:
        raise FitRefused("TOO_FEW_BARS", f"{len(used)} complete bars; at least {least} are needed")


def _choose(standard: Array, options: FitOptions) -> tuple[_Fitted, tuple[dict[str, float], ...]]:
    """Return the best fit of the number of regimes with the lowest BIC that keeps the floors."""
    tried: list[dict[str, float]] = []
    best: tuple[float, _Fitted] | None = None
    for count in options.candidates:
        if len(standard) < MIN_ROWS_PER_PARAMETER * _parameters(count, standard.shape[1]):
            continue
        fitted, stable = _best_start(standard, count, options)
        bic = _bic(fitted.log_likelihood, count, standard.shape)
        tried.append({"regimes": float(count), "bic": bic, "stable": float(stable)})
        if stable and (best is None or bic < best[0]):
            best = (bic, fitted)
    if best is None:
        raise FitRefused("NO_STABLE_REGIMES", "no number of regimes keeps the occupancy and dwell floors")
    return best[1], tuple(tried)


def _best_start(standard: Array, count: int, options: FitOptions) -> tuple[_Fitted, bool]:
    """Return the likeliest start and whether it keeps the floors; one that keeps them and converged goes first.

    A start can win on likelihood by giving a regime to a handful of odd bars, which no one could trade.
    """
    fits = [_one_start(standard, count, options, start) for start in range(options.starts)]
    ranked = [(_keeps_floors(fitted, standard, options), fitted) for fitted in fits]
    stable, best = max(ranked, key=lambda found: (found[0], found[1].converged, found[1].log_likelihood))
    return best, stable


def _one_start(standard: Array, count: int, options: FitOptions, start: int) -> _Fitted:
    """Run one expectation-maximisation; even starts begin from k-means, odd ones from random rows."""
    from hmmlearn.hmm import GaussianHMM  # noqa: PLC0415  # scipy and sklearn load only where models are fitted
    from threadpoolctl import (  # type: ignore[import-untyped]  # noqa: PLC0415  # comes with sklearn, without types
        threadpool_limits,
    )

    hmm = GaussianHMM(
        n_components=count,
        covariance_type="diag",
        n_iter=options.iterations,
        tol=TOLERANCE,
        transmat_prior=1.0 + options.stickiness * np.eye(count),
        min_covar=options.covariance_floor,
        random_state=options.seed + start,
        implementation="scaling",
        init_params="stmc" if start % 2 == 0 else "stc",
    )
    if start % 2:
        chance = np.random.default_rng(options.seed + start)
        hmm.means_ = standard[chance.choice(len(standard), count, replace=False)]
    hmm.monitor_ = _quiet_monitor(options.iterations)
    # The arrays are small: threads of k-means and BLAS only fight over the cores (25 times slower on a busy machine).
    with threadpool_limits(limits=1):
        hmm.fit(standard)
    path: Sequence[float] = list(hmm.monitor_.history)
    return _Fitted(hmm, float(hmm.score(standard)), _converged(path, options.iterations), len(path))


def _quiet_monitor(iterations: int) -> Any:
    """Return a monitor that keeps the likelihood's path and says nothing: the verdict is ours."""
    from hmmlearn.base import ConvergenceMonitor  # noqa: PLC0415  # as above

    class Monitor(ConvergenceMonitor):  # type: ignore[misc]  # untyped library
        def report(self, log_prob: float) -> None:
            self.history.append(log_prob)
            self.iter += 1

    return Monitor(TOLERANCE, iterations, False)


def _converged(path: Sequence[float], cap: int) -> bool:
    """True where the likelihood settled before the cap; a tiny fall is rounding (and the prior's pull)."""
    if len(path) < 2 or len(path) >= cap:
        return False
    return abs(path[-1] - path[-2]) <= max(TOLERANCE, SETTLED_SHARE * abs(path[-1]))


def _keeps_floors(fitted: _Fitted, standard: Array, options: FitOptions) -> bool:
    occupancy = fitted.hmm.predict_proba(standard).mean(axis=0)
    dwell = 1.0 / np.maximum(1.0 - np.diag(fitted.hmm.transmat_), 1e-9)
    return bool(occupancy.min() >= options.min_occupancy_frac and dwell.min() >= options.min_dwell_bars)


def _moments(posteriors: Array, returns: Array) -> tuple[Array, Array]:
    """Return each regime's mean and standard deviation of the bar's log return, weighted by the posterior."""
    weight = posteriors.sum(axis=0)
    expected: Array = posteriors.T @ returns / weight
    variance = (posteriors * (returns[:, None] - expected[None, :]) ** 2).sum(axis=0) / weight
    return expected, np.sqrt(variance)


def _report(
    model: RegimeModel, rows: Array, chosen: _Fitted, tried: tuple[dict[str, float], ...], shape: tuple[int, ...]
) -> FitReport:
    posteriors, likelihood = filter_batch(model, rows)
    return FitReport(
        log_likelihood=likelihood,
        bic=_bic(likelihood, model.count, shape),
        converged=chosen.converged,
        iterations=chosen.iterations,
        occupancy=tuple(posteriors.mean(axis=0).tolist()),
        dwell_bars=tuple((1.0 / np.maximum(1.0 - np.diag(model.transmat), 1e-9)).tolist()),
        tried=tried,
    )


def _parameters(count: int, width: int) -> int:
    """Free parameters of a diagonal Gaussian HMM: start, transitions, means, variances."""
    return count * count - 1 + 2 * count * width


def _bic(log_likelihood: float, count: int, shape: tuple[int, ...]) -> float:
    """Bayesian information criterion (Schwarz 1978): -2 log L + p log T."""
    return -2.0 * log_likelihood + _parameters(count, shape[1]) * float(np.log(shape[0]))


def _diagonal(hmm: Any) -> Array:
    # The public getter of a diagonal model returns full matrices.
    covars = np.asarray(hmm.covars_)
    return covars if covars.ndim == 2 else np.stack([np.diag(matrix) for matrix in covars])


def _normalised(probabilities: Array) -> Array:
    result: Array = probabilities / probabilities.sum(axis=-1, keepdims=True)
    return result
