"""Which fit to keep: the best of many starts, and the number of regimes by BIC within floors a person can defend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.agreement import adjusted_rand
from strategies.regimes.emission import standard_log_density
from strategies.regimes.expectation_maximisation import Fitted, Prior, run
from strategies.regimes.filtering import filter_densities
from strategies.regimes.options import FitOptions, FitRefused
from strategies.regimes.starts import Parameters, begin

Array = NDArray[np.float64]

#: Every start runs so long; then only the best go on.
SCREEN_ITERATIONS = 8
#: Of the screened starts so many go on, and so many more at most while none keeps the floors.
FINALISTS = 2
MOST_FINALISTS = 5
#: Two starts that end this close, in nats over all bars, went to the same place.
SAME_END = 1e-3
#: The shares of the bars that the two refits see, first and last, and their starts.
REFIT_SHARE = 0.75
REFIT_STARTS = 4
REFIT_ITERATIONS = 30


@dataclass(frozen=True, slots=True)
class Candidate:
    """One number of regimes: its best fit, whether that keeps the floors, and how well two refits agree (or NaN)."""

    count: int
    fitted: Fitted
    bic: float
    keeps_floors: bool
    agreement: float = math.nan


def best_of_starts(
    standard: Array, lengths: Sequence[int], count: int, options: FitOptions, starts: int | None = None
) -> Iterator[Fitted]:
    """Yield the fits of ``count`` regimes to standardised rows (T, D), most promising first, each run to its end.

    Every start runs a few iterations; only the likeliest go on, one for each place they went to. The sum of all work
    is a fraction of running every start to its end, and the winner is hardly ever another.
    """
    prior = Prior(stickiness=options.stickiness, covariance_floor=options.covariance_floor)
    full = options.covariance == "full"
    screened = [
        run(standard, lengths, begin(standard, count, number, options.seed, full=full), prior, SCREEN_ITERATIONS)
        for number in range(starts or options.starts)
    ]
    ended: list[float] = []
    for early in sorted(screened, key=lambda fitted: -fitted.log_likelihood):
        if not math.isfinite(early.log_likelihood) or any(abs(early.log_likelihood - end) < SAME_END for end in ended):
            continue
        ended.append(early.log_likelihood)
        rest = max(2, options.iterations - SCREEN_ITERATIONS)
        yield run(standard, lengths, early.parameters, prior, rest, before=early.iterations)


def choose(standard: Array, lengths: Sequence[int], options: FitOptions) -> tuple[Candidate, tuple[Candidate, ...]]:
    """Return the candidate with the lowest BIC that keeps every floor, and all candidates.

    Where the number is to be chosen, it must also beat one regime, asked for or not: in noise there is nothing to find.

    Raises:
        FitRefused: ``NO_STABLE_REGIMES``.
    """
    one = one_regime_bic(standard, options) if len(options.candidates) > 1 else math.inf
    candidates = [
        _candidate(standard, lengths, count, options)
        for count in options.candidates
        if len(standard) >= options.least_rows(count)
    ]
    judged: dict[int, Candidate] = {candidate.count: candidate for candidate in candidates}
    for candidate in sorted(candidates, key=lambda candidate: candidate.bic):
        if not candidate.keeps_floors or (candidate.count > 1 and candidate.bic >= one):
            continue
        asked = options.min_refit_agreement > 0
        agreement = refit_agreement(standard, lengths, candidate.count, options) if asked else math.nan
        checked = Candidate(candidate.count, candidate.fitted, candidate.bic, True, agreement)
        judged[candidate.count] = checked
        if not asked or agreement >= options.min_refit_agreement:
            return checked, tuple(judged.values())
    shown = "; ".join(_reason(candidate, one) for candidate in judged.values())
    raise FitRefused("NO_STABLE_REGIMES", f"no number of regimes keeps the floors ({shown})")


def _reason(candidate: Candidate, one: float) -> str:
    if not candidate.keeps_floors:
        return f"{candidate.count}: occupancy or dwell"
    if candidate.count > 1 and candidate.bic >= one:
        return f"{candidate.count}: one regime explains the bars as well"
    return f"{candidate.count}: two refits agree by {candidate.agreement:.2f}"


def _candidate(standard: Array, lengths: Sequence[int], count: int, options: FitOptions) -> Candidate:
    """Return the likeliest fit; one that keeps the floors and converged goes first.

    A start can win on likelihood by giving a regime to a handful of odd bars, which no one could trade.
    """
    found: list[tuple[bool, bool, float, Fitted]] = []
    for fitted in best_of_starts(standard, lengths, count, options):
        found.append(
            (_keeps_floors(fitted.parameters, standard, options), fitted.converged, fitted.log_likelihood, fitted)
        )
        enough = len(found) >= FINALISTS and any(keeps for keeps, *_ in found)
        if enough or len(found) >= MOST_FINALISTS:
            break
    if not found:
        raise FitRefused("NO_STABLE_REGIMES", "every start broke down; the features hardly vary")
    keeps, _, likelihood, fitted = max(found, key=lambda each: each[:3])
    return Candidate(count, fitted, bic(likelihood, options.parameters(count), len(standard)), keeps)


def bic(log_likelihood: float, parameters: int, rows: int) -> float:
    """Bayesian information criterion (Schwarz 1978): -2 log L + p log T."""
    return -2.0 * log_likelihood + parameters * math.log(rows)


def one_regime_bic(standard: Array, options: FitOptions) -> float:
    """Return the criterion of one Gaussian, at its likeliest, for standardised rows (T, D)."""
    rows, width = standard.shape
    spread = np.cov(standard, rowvar=False, bias=True).reshape(width, width)
    volume = float(np.linalg.slogdet(spread)[1] if options.covariance == "full" else np.log(np.diag(spread)).sum())
    likelihood = -0.5 * rows * (width * (math.log(2.0 * math.pi) + 1.0) + volume)
    return bic(likelihood, options.parameters(1), rows)


def _keeps_floors(parameters: Parameters, standard: Array, options: FitOptions) -> bool:
    occupancy = filtered(parameters, standard).mean(axis=0)
    dwell = 1.0 / np.maximum(1.0 - np.diag(parameters.transmat), 1e-9)
    return bool(occupancy.min() >= options.min_occupancy_frac and dwell.min() >= options.min_dwell_bars)


def refit_agreement(standard: Array, lengths: Sequence[int], count: int, options: FitOptions) -> float:
    """Return how far two fits, of the first and of the last three quarters, agree on the bars that both saw.

    It is the adjusted Rand index of the likeliest filtered regimes: 1 the same, about 0 by chance.
    """
    if count == 1:
        return 1.0
    rows = len(standard)
    first, last = int(rows * REFIT_SHARE), rows - int(rows * REFIT_SHARE)
    named = []
    for part in (slice(0, first), slice(last, rows)):
        quick = options.quick(REFIT_ITERATIONS)
        fitted = next(best_of_starts(standard[part], _cut(lengths, part), count, quick, REFIT_STARTS), None)
        if fitted is None:
            return 0.0
        named.append(filtered(fitted.parameters, standard[last:first]).argmax(axis=1))
    return adjusted_rand(named[0], named[1])


def filtered(parameters: Parameters, standard: Array) -> Array:
    """Return the filtered posteriors, (T, K), of standardised rows (T, D)."""
    logs = standard_log_density(parameters.means, parameters.covars, standard)
    return filter_densities(logs, parameters.startprob, parameters.transmat)[0]


def _cut(lengths: Sequence[int], part: slice) -> list[int]:
    """Return the lengths of the stretches that are left within a part of the rows."""
    ends = np.cumsum(lengths)
    starts = ends - np.asarray(lengths)
    kept = np.minimum(ends, part.stop) - np.maximum(starts, part.start)
    return [int(length) for length in kept if length > 0]
