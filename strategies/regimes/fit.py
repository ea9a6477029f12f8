"""Fit a Gaussian hidden Markov model to one symbol's feature rows, or refuse it by name."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.regimes.filtering import filter_batch
from strategies.regimes.labels import canonical_order, describe, match
from strategies.regimes.model import RegimeModel
from strategies.regimes.options import DEFAULT_FEATURES, FitOptions, FitRefused
from strategies.regimes.selection import Candidate, bic, choose, filtered
from strategies.regimes.starts import Parameters

__all__ = [
    "DEFAULT_FEATURES",
    "FitOptions",
    "FitRefused",
    "FitReport",
    "Sample",
    "dress",
    "fit",
    "sample",
    "tried_rows",
]

Array = NDArray[np.float64]

#: More stretches than this are fitted as one, and the report says so: each costs time.
MOST_STRETCHES = 1_000
DEFAULT_OPTIONS = FitOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """How the chosen model came about.

    Args:
        log_likelihood: of the filtered bars, nats; bic: of the same.
        occupancy: share of the bars by regime; dwell_bars: expected stay by regime.
        tried: one row per number of regimes: ``regimes``, ``bic``, ``stable`` (keeps the floors), ``agreement``.
        refit_agreement: adjusted Rand index of two refits of the chosen number; NaN where it was not asked for.
        dropped_rows: incomplete feature rows; gaps: breaks in time between the rows used.
    """

    log_likelihood: float
    bic: float
    converged: bool
    iterations: int
    occupancy: tuple[float, ...]
    dwell_bars: tuple[float, ...]
    tried: tuple[dict[str, float], ...]
    refit_agreement: float = math.nan
    dropped_rows: int = 0
    gaps: int = 0
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """What a fit sees: complete rows (T, 7), their open times (T,), standardised features (T, D) and the scaler.

    ``gaps`` counts the breaks in time; ``lengths`` are those of the stretches between them, unless those are too many.
    """

    rows: Array
    open_at_ms: NDArray[np.int64]
    standard: Array
    mean: Array
    scale: Array
    lengths: tuple[int, ...]
    dropped: int
    gaps: int = 0

    @property
    def joined(self) -> dict[str, float]:
        """What a report says where there were too many gaps to keep apart; else nothing."""
        return {"gaps_joined": float(self.gaps)} if self.gaps >= len(self.lengths) else {}

    @property
    def returns(self) -> Array:
        """Log returns of the bars, (T,)."""
        found: Array = self.rows[:, FEATURES.index("log_return")]
        return found


def sample(rows: Array, open_at_ms: NDArray[np.int64], bar_ms: int, options: FitOptions) -> Sample:
    """Return the complete rows of a feature matrix (T, 7) in time order, standardised.

    Raises:
        FitRefused: ``UNSORTED_BARS``, ``TOO_FEW_BARS`` or ``CONSTANT_FEATURE``.
    """
    if len(rows) != len(open_at_ms) or (np.diff(open_at_ms) <= 0).any():
        raise FitRefused("UNSORTED_BARS", "bars must stand in time order, each once")
    complete = np.isfinite(rows).all(axis=1)
    used, times = rows[complete], open_at_ms[complete]
    values = used[:, [FEATURES.index(name) for name in options.features]]
    least = options.least_rows(min(options.candidates))
    if len(values) < least:
        raise FitRefused(
            "TOO_FEW_BARS", f"{len(values)} complete bars, {least} are needed: a longer span, or fewer regimes"
        )
    mean, scale = values.mean(axis=0), values.std(axis=0)
    if (scale < 1e-12).any():
        raise FitRefused("CONSTANT_FEATURE", "a feature does not vary; a halted or dead symbol has no regimes")
    breaks = np.flatnonzero(np.diff(times) != bar_ms) + 1
    edges = [0, *(breaks.tolist() if len(breaks) < MOST_STRETCHES else ()), len(times)]
    return Sample(
        rows=used,
        open_at_ms=times,
        standard=(values - mean) / scale,
        mean=mean,
        scale=scale,
        lengths=tuple(np.diff(edges).tolist()),
        dropped=len(rows) - len(used),
        gaps=len(breaks),
    )


def fit(
    rows: Array,
    open_at_ms: NDArray[np.int64],
    bar_ms: int,
    options: FitOptions = DEFAULT_OPTIONS,
    previous: RegimeModel | None = None,
) -> tuple[RegimeModel, FitReport]:
    """Fit feature rows of shape (T, 7), in time order, whose bars opened at ``open_at_ms`` (T,).

    Incomplete rows (warm-up) are left out; across a gap no transition is learned (across one of more than
    ``MOST_STRETCHES`` it is, and ``extra`` says ``gaps_joined``). With ``previous``, regimes keep its
    order as far as they continue its regimes.

    Raises:
        FitRefused: ``UNSORTED_BARS``, ``TOO_FEW_BARS``, ``CONSTANT_FEATURE`` or ``NO_STABLE_REGIMES``.
    """
    seen = sample(rows, open_at_ms, bar_ms, options)
    chosen, tried = choose(seen.standard, seen.lengths, options)
    model = dress(chosen.fitted.parameters, seen, bar_ms, options, previous)
    posteriors, likelihood = filter_batch(model, seen.rows)
    report = FitReport(
        log_likelihood=likelihood,
        bic=bic(likelihood, options.parameters(model.count), len(seen.rows)),
        converged=chosen.fitted.converged,
        iterations=chosen.fitted.iterations,
        occupancy=tuple(posteriors.mean(axis=0).tolist()),
        dwell_bars=dwell(model.transmat),
        tried=tried_rows(tried),
        refit_agreement=chosen.agreement,
        dropped_rows=seen.dropped,
        gaps=seen.gaps,
        extra=seen.joined,
    )
    return model, report


def dress(
    found: Parameters, seen: Sample, bar_ms: int, options: FitOptions, previous: RegimeModel | None
) -> RegimeModel:
    """Return the model of fitted parameters: regimes in order, with what each pays and a name."""
    posteriors = filtered(found, seen.standard)
    expected, volatility = moments(posteriors, seen.returns)
    order = canonical_order(expected, volatility)
    if previous is not None and previous.features == options.features:
        spread = np.outer(seen.scale, seen.scale) if found.covars.ndim == 3 else seen.scale**2
        order = match(previous, found.means * seen.scale + seen.mean, found.covars * spread, order)
    expected, volatility = expected[order], volatility[order]
    return RegimeModel(
        features=options.features,
        startprob=_normalised(found.startprob[order]),
        transmat=_normalised(found.transmat[np.ix_(order, order)]),
        means=found.means[order],
        covars=found.covars[order],
        scaler_mean=seen.mean,
        scaler_scale=seen.scale,
        expected_return=expected,
        volatility=volatility,
        labels=describe(expected, volatility),
        trained_from_ms=int(seen.open_at_ms[0]),
        trained_to_ms=int(seen.open_at_ms[-1]) + bar_ms,
        bars=len(seen.rows),
        data_hash=data_hash(seen),
        seed=options.seed,
    )


def data_hash(seen: Sample) -> str:
    """Return the content hash of what a fit sees."""
    return hash_of(seen.standard, seen.mean, seen.scale, seen.open_at_ms)


def hash_of(standard: Array, mean: Array, scale: Array, open_at_ms: NDArray[np.int64]) -> str:
    """Return the content hash of rows (T, D) in the units of a scaler (D,) that opened at these times (T,)."""
    raw = np.ascontiguousarray(standard * scale + mean)
    return hashlib.sha256(raw.tobytes() + open_at_ms.tobytes()).hexdigest()


def moments(posteriors: Array, returns: Array) -> tuple[Array, Array]:
    """Return each regime's mean and standard deviation of the bar's log return, weighted by the posterior (T, K)."""
    weight = np.maximum(posteriors.sum(axis=0), 1e-12)
    expected: Array = posteriors.T @ returns / weight
    variance = (posteriors * (returns[:, None] - expected[None, :]) ** 2).sum(axis=0) / weight
    return expected, np.sqrt(variance)


def dwell(transmat: Array) -> tuple[float, ...]:
    """Return the expected stay in each regime, in bars: 1 / (1 - a_kk)."""
    return tuple((1.0 / np.maximum(1.0 - np.diag(transmat), 1e-9)).tolist())


def tried_rows(tried: tuple[Candidate, ...]) -> tuple[dict[str, float], ...]:
    """Return one row per number of regimes that was tried."""
    return tuple(
        {
            "regimes": float(candidate.count),
            "bic": candidate.bic,
            "stable": float(candidate.keeps_floors),
            "agreement": candidate.agreement,
        }
        for candidate in tried
    )


def _normalised(probabilities: Array) -> Array:
    result: Array = probabilities / probabilities.sum(axis=-1, keepdims=True)
    return result
