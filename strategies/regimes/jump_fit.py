"""Fit a statistical jump model: centres and the cheapest path by turns, the price of a change chosen within the sample.

Model: minimise sum_t ||x_t - mu_{s_t}||^2 / 2 + penalty * #changes (Bemporad et al. 2018; Nystrup et al. 2020; Shu,
Yu and Mulvey 2024). The penalty, and the number of regimes, are those that foretell the last quarter of the training
bars best, one bar ahead, by the filter that runs live. Nothing outside the sample is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.agreement import adjusted_rand
from strategies.regimes.diagnostics import Score, one_step_log_likelihood, score
from strategies.regimes.expectation_maximisation import floored
from strategies.regimes.filtering import filter_batch
from strategies.regimes.fit import FitReport, Sample, data_hash, dwell, moments, sample
from strategies.regimes.jump_path import cheapest_path, cheapest_paths
from strategies.regimes.labels import canonical_order, describe, match
from strategies.regimes.model import JUMP, RegimeModel
from strategies.regimes.options import FitOptions, FitRefused
from strategies.regimes.selection import REFIT_SHARE, bic
from strategies.regimes.starts import begin

Array = NDArray[np.float64]
States = NDArray[np.int64]

#: The penalty is chosen on at most so many of the newest bars: more do not make it better known.
CHOICE_BARS = 6_000
CHOICE_STARTS = 3
CHOICE_ROUNDS = 8
ROUNDS = 40
#: Two refits see at most so many of the newest bars, and are cut off here: where they go shows early.
REFIT_BARS = 12_000
REFIT_ROUNDS = 8
#: One imagined bar for every change that never happened, so that no transition is impossible.
IMAGINED = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Jump:
    """Centres (K, D) in standard units and the path (T,) they came from."""

    centres: Array
    path: States
    penalty: float
    converged: bool
    rounds: int


def fit_jump(
    rows: Array,
    open_at_ms: NDArray[np.int64],
    bar_ms: int,
    options: FitOptions,
    previous: RegimeModel | None = None,
) -> tuple[RegimeModel, FitReport]:
    """Fit feature rows of shape (T, 7), in time order, whose bars opened at ``open_at_ms`` (T,).

    Raises:
        FitRefused: ``UNSORTED_BARS``, ``TOO_FEW_BARS``, ``CONSTANT_FEATURE`` or ``NO_STABLE_REGIMES``.
    """
    seen = sample(rows, open_at_ms, bar_ms, options)
    scored = [each for count in options.candidates for each in _scores(seen, bar_ms, count, options)]
    chosen, agreement, tried = _choose(seen, sorted(scored, key=lambda each: -each.score), options)
    model = _dress(chosen, seen, bar_ms, options, previous)
    posteriors, likelihood = filter_batch(model, seen.rows)
    return model, FitReport(
        log_likelihood=likelihood,
        bic=bic(likelihood, options.parameters(model.count), len(seen.rows)),
        converged=chosen.converged,
        iterations=chosen.rounds,
        occupancy=tuple(posteriors.mean(axis=0).tolist()),
        dwell_bars=dwell(model.transmat),
        tried=tried,
        refit_agreement=agreement,
        dropped_rows=seen.dropped,
        gaps=seen.gaps,
        extra=seen.joined,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """A penalty with the centres (K, D) it led to and its held-out score in nats per bar.

    ``gain`` is what that is above one Gaussian of the bars before.
    """

    score: float
    gain: Score
    penalty: float
    centres: Array


def _choose(
    seen: Sample, scored: Sequence[_Scored], options: FitOptions
) -> tuple[_Jump, float, tuple[dict[str, float], ...]]:
    """Return the best-scored fit to the whole sample that keeps every floor, its refits' agreement, and all tried."""
    tried: list[dict[str, float]] = []
    for each in scored:
        found = _descend(seen.standard, seen.lengths, each.centres, each.penalty)
        # Where the number is to be chosen it must beat one regime beyond the error: in noise there is nothing to find.
        tells = len(options.candidates) == 1 or len(each.centres) == 1 or each.gain.nats_per_bar > 2 * each.gain.error
        stable = tells and _keeps_floors(found, options)
        agreement = _refit_agreement(seen, found) if stable else math.nan
        tried.append(
            {
                "regimes": float(len(each.centres)),
                "penalty": each.penalty,
                "score": each.score,
                "stable": float(stable),
                "agreement": agreement,
            }
        )
        if stable and agreement >= options.min_refit_agreement:
            return found, agreement, tuple(tried)
    raise FitRefused("NO_STABLE_REGIMES", "no number of regimes and no penalty keeps the floors and beats one regime")


def _scores(seen: Sample, bar_ms: int, count: int, options: FitOptions) -> list[_Scored]:
    """Return how well each penalty foretells the last quarter of the newest bars, fitted on those before."""
    newest = slice(max(0, len(seen.standard) - CHOICE_BARS), len(seen.standard))
    standard = seen.standard[newest]
    known = int(len(standard) * REFIT_SHARE)
    grid = [(penalty, number) for penalty in options.jump_penalties for number in range(CHOICE_STARTS)]
    starts = [begin(standard[:known], count, number, options.seed, full=False).means for _, number in grid]
    penalties = np.array([penalty for penalty, _ in grid])
    centres, paths, objective = _descend_many(standard[:known], np.stack(starts), penalties)
    single = _one_gaussian(standard[:known], standard[known:], options.covariance_floor)
    scored: list[_Scored] = []
    for penalty in options.jump_penalties:
        lane = min((at for at, (price, _) in enumerate(grid) if price == penalty), key=lambda at: objective[at])
        found = _Jump(centres[lane], paths[lane], penalty, True, 0)
        model = _dress(found, _part(seen, newest.start, newest.start + known), bar_ms, options, None)
        nats = one_step_log_likelihood(model, seen.rows[newest])[known:]
        scored.append(_Scored(float(nats.mean()), score(nats - single), penalty, centres[lane]))
    return scored


def _one_gaussian(known: Array, unseen: Array, floor: float) -> Array:
    """Return the log density, (T,), of unseen standardised rows (T, D) under one Gaussian of the known ones."""
    variance = np.maximum(known.var(axis=0), floor)
    found: Array = -0.5 * (np.log(2.0 * math.pi * variance) + (unseen - known.mean(axis=0)) ** 2 / variance).sum(axis=1)
    return found


def _part(seen: Sample, first: int, last: int) -> Sample:
    return Sample(
        rows=seen.rows[first:last],
        open_at_ms=seen.open_at_ms[first:last],
        standard=seen.standard[first:last],
        mean=seen.mean,
        scale=seen.scale,
        lengths=(last - first,),
        dropped=0,
    )


def _descend_many(standard: Array, starts: Array, penalties: Array) -> tuple[Array, States, Array]:
    """Return centres (B, K, D), paths (B, T) and objectives (B,) of B descents side by side."""
    centres = starts
    paths = np.zeros((len(starts), len(standard)), dtype=np.int64)
    objective = np.full(len(starts), math.inf)
    for _ in range(CHOICE_ROUNDS):
        costs = 0.5 * ((standard[:, None, None, :] - centres) ** 2).sum(axis=3)
        paths = cheapest_paths(costs, penalties, [len(standard)])
        paid = np.take_along_axis(costs, paths.T[:, :, None], axis=2)[:, :, 0].sum(axis=0)
        now = paid + penalties * (np.diff(paths, axis=1) != 0).sum(axis=1)
        centres = np.stack([_centres(standard, path, before) for path, before in zip(paths, centres, strict=True)])
        if (objective - now < 1e-9 * np.abs(now)).all():
            break
        objective = now
    return centres, paths, objective


def _descend(standard: Array, lengths: Sequence[int], centres: Array, penalty: float, rounds: int = ROUNDS) -> _Jump:
    """Return where centres and path no longer change one another; each round lowers the objective or ends it."""
    path: States | None = None
    for number in range(1, rounds + 1):
        costs = 0.5 * ((standard[:, None, :] - centres) ** 2).sum(axis=2)
        found = cheapest_path(costs, penalty, lengths)
        if path is not None and (found == path).all():
            return _Jump(centres, path, penalty, True, number)
        path, centres = found, _centres(standard, found, centres)
    return _Jump(centres, found, penalty, False, rounds)


def _centres(standard: Array, path: States, before: Array) -> Array:
    """Return the mean of each regime's bars; a regime without bars stays where it was."""
    counts = np.bincount(path, minlength=len(before))
    sums = np.stack([np.bincount(path, weights=column, minlength=len(before)) for column in standard.T], axis=1)
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], before)


def _transitions(path: States, count: int) -> Array:
    changes = np.full((count, count), IMAGINED if count > 1 else 0.0)
    np.add.at(changes, (path[:-1], path[1:]), 1.0)
    result: Array = changes / changes.sum(axis=1, keepdims=True)
    return result


def _keeps_floors(found: _Jump, options: FitOptions) -> bool:
    count = len(found.centres)
    occupancy = np.bincount(found.path, minlength=count) / len(found.path)
    return bool(
        occupancy.min() >= options.min_occupancy_frac
        and min(dwell(_transitions(found.path, count))) >= options.min_dwell_bars
    )


def _refit_agreement(seen: Sample, chosen: _Jump) -> float:
    """Return how far two fits, of the first and of the last three quarters, agree on the bars that both saw."""
    count, whole = len(chosen.centres), seen.standard[-REFIT_BARS:]
    rows = len(whole)
    if count == 1:
        return 1.0
    first, last = int(rows * REFIT_SHARE), rows - int(rows * REFIT_SHARE)
    named = []
    for part, shared in ((slice(0, first), slice(last, first)), (slice(last, rows), slice(0, first - last))):
        standard = whole[part]
        fits = [
            _descend(standard, [len(standard)], start, chosen.penalty, REFIT_ROUNDS)
            for start in (begin(standard, count, number, 0, full=False).means for number in range(CHOICE_STARTS))
        ]
        named.append(min(fits, key=lambda fit: _objective(standard, fit)).path[shared])
    return adjusted_rand(named[0], named[1])


def _objective(standard: Array, found: _Jump) -> float:
    distance = ((standard - found.centres[found.path]) ** 2).sum()
    return float(0.5 * distance + found.penalty * (np.diff(found.path) != 0).sum())


def _dress(found: _Jump, seen: Sample, bar_ms: int, options: FitOptions, previous: RegimeModel | None) -> RegimeModel:
    """Return the model: regimes in order, the spread within them, and the temperature that this spread implies."""
    count = len(found.centres)
    hard = np.eye(count)[found.path]
    expected, volatility = moments(hard, seen.returns)
    apart = (seen.standard - found.centres[found.path]) ** 2
    weight = np.maximum(hard.sum(axis=0), 1.0)
    covars = floored(hard.T @ apart / weight[:, None], options.covariance_floor)
    order = canonical_order(expected, volatility)
    if previous is not None and previous.features == options.features:
        order = match(previous, found.centres * seen.scale + seen.mean, covars * seen.scale**2, order)
    return RegimeModel(
        features=options.features,
        startprob=(weight / weight.sum())[order],
        transmat=_transitions(found.path, count)[np.ix_(order, order)],
        means=found.centres[order],
        covars=covars[order],
        scaler_mean=seen.mean,
        scaler_scale=seen.scale,
        expected_return=expected[order],
        volatility=volatility[order],
        labels=describe(expected[order], volatility[order]),
        trained_from_ms=int(seen.open_at_ms[0]),
        trained_to_ms=int(seen.open_at_ms[-1]) + bar_ms,
        bars=len(seen.rows),
        data_hash=data_hash(seen),
        seed=options.seed,
        kind=JUMP,
        jump_penalty=found.penalty,
        # Half a squared distance over the variance within regimes is a log density: at this temperature costs are nats.
        jump_temperature=max(float(apart.mean()), options.covariance_floor),
    )
