"""One run of Baum-Welch by hmmlearn, with our own verdict on whether it converged.

hmmlearn's ``converged`` is true at the iteration cap and when the likelihood fell; the verdict here looks at the path
of the likelihood. Its quicker scaled recursion is used first, the logarithmic one where that one underflows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.starts import Parameters
from strategies.regimes.threads import one_thread

Array = NDArray[np.float64]

#: Nats, over all bars: less than this between two iterations is no progress.
TOLERANCE = 1e-2
#: The same per bar, for long series.
TOLERANCE_PER_BAR = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Where a run ended. ``log_likelihood`` in nats over all bars; ``-inf`` where the run broke down."""

    parameters: Parameters
    log_likelihood: float
    converged: bool
    iterations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """``stickiness`` is the Dirichlet weight on staying, ``covariance_floor`` the least variance, standard units."""

    stickiness: float = 0.0
    covariance_floor: float = 1e-3


def run(
    standard: Array, lengths: Sequence[int], start: Parameters, prior: Prior, iterations: int, *, before: int = 0
) -> Fitted:
    """Run at most ``iterations`` from a start on standardised rows (T, D) made of stretches of the given lengths.

    ``before`` counts the iterations behind the start already.
    """
    with one_thread(), np.errstate(all="ignore"):
        for implementation in ("scaling", "log"):
            try:
                fitted = _attempt(standard, lengths, start, prior, iterations, implementation)
            except ValueError:  # hmmlearn's name for an underflow and for parameters that are not finite any more
                continue
            if fitted is not None:
                path, parameters, likelihood = fitted
                return Fitted(
                    parameters=parameters,
                    log_likelihood=likelihood,
                    converged=_converged(path, len(standard)),
                    iterations=before + len(path),
                )
    return Fitted(parameters=start, log_likelihood=-math.inf, converged=False, iterations=before)


def _attempt(
    standard: Array, lengths: Sequence[int], start: Parameters, prior: Prior, iterations: int, implementation: str
) -> tuple[list[float], Parameters, float] | None:
    hmm = _hmm(start, prior, iterations, implementation)
    hmm.fit(standard, list(lengths))
    covars = floored(_covars(hmm, full=start.covars.ndim == 3), prior.covariance_floor)
    found = Parameters(
        startprob=np.asarray(hmm.startprob_), transmat=np.asarray(hmm.transmat_), means=hmm.means_, covars=covars
    )
    if not all(np.isfinite(part).all() for part in (found.startprob, found.transmat, found.means, found.covars)):
        return None
    hmm.covars_ = covars
    likelihood = float(hmm.score(standard, list(lengths)))
    return (list(hmm.monitor_.history), found, likelihood) if math.isfinite(likelihood) else None


def _hmm(start: Parameters, prior: Prior, iterations: int, implementation: str) -> Any:
    from hmmlearn.hmm import GaussianHMM  # noqa: PLC0415  # scipy and sklearn load only where models are fitted

    count = len(start.startprob)
    hmm = GaussianHMM(
        n_components=count,
        covariance_type="full" if start.covars.ndim == 3 else "diag",
        n_iter=iterations,
        transmat_prior=1.0 + prior.stickiness * np.eye(count),
        min_covar=prior.covariance_floor,
        implementation=implementation,
        init_params="",
    )
    hmm.startprob_, hmm.transmat_ = start.startprob, start.transmat
    hmm.means_, hmm.covars_ = start.means, start.covars
    hmm.monitor_ = _monitor(iterations)
    return hmm


def _monitor(iterations: int) -> Any:
    """Return a monitor that keeps the likelihood's path, says nothing and stops where the path is level."""
    from hmmlearn.base import ConvergenceMonitor  # noqa: PLC0415  # as above

    class Monitor(ConvergenceMonitor):  # type: ignore[misc]  # untyped library
        def report(self, log_prob: float) -> None:
            self.history.append(log_prob)
            self.iter += 1

        @property
        def converged(self) -> bool:
            # With a prior the likelihood alone may fall a little on the way to the optimum of the whole.
            level = len(self.history) > 1 and abs(self.history[-1] - self.history[-2]) < TOLERANCE
            return bool(level or self.iter == self.n_iter)

    return Monitor(TOLERANCE, iterations, False)


def _converged(path: Sequence[float], rows: int) -> bool:
    """True where the likelihood stood still at the end; at the cap it may still be on its way."""
    if len(path) < 2:
        return False
    return abs(path[-1] - path[-2]) <= max(TOLERANCE, TOLERANCE_PER_BAR * rows)


def _covars(hmm: Any, *, full: bool) -> Array:
    covars = np.asarray(hmm.covars_)
    # The public getter of a diagonal model returns full matrices.
    return covars if full or covars.ndim == 2 else np.diagonal(covars, axis1=1, axis2=2).copy()


def floored(covars: Array, floor: float) -> Array:
    """Return covariances, (K, D) or (K, D, D), no direction of which varies less than ``floor``."""
    if covars.ndim == 2:
        return np.maximum(covars, floor)
    values, vectors = np.linalg.eigh(0.5 * (covars + covars.transpose(0, 2, 1)))
    lifted: Array = np.einsum("kde,ke,kfe->kdf", vectors, np.maximum(values, floor), vectors)
    return 0.5 * (lifted + lifted.transpose(0, 2, 1))
