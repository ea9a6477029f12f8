"""Which situation or strategy deserves attention in which context, from recorded outcomes alone.

A contextual bandit with a small number of contexts. The mean of an arm in a context is drawn to the arm's mean over
all contexts, and that to zero, each with the weight of ``shrinkage`` outcomes (James and Stein 1961; a normal
posterior with the pooled spread). From it follow

- the upper confidence bound of UCB1, scaled by the spread (Auer, Cesa-Bianchi and Fischer 2002);
- the share of attention among the arms of a context: a softmax of the bounds over a floor, so that every arm goes on
  being tried and every propensity is above zero;
- the propensity of taking an arm when it comes: the posterior probability that its mean is above zero (Thompson 1933),
  kept away from 0 and 1 for the same reason.

Propensities are returned and logged, because off-policy evaluation (``reinforcement.py``) lives on them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_NORMAL = NormalDist()

#: Size moves between these shares of full size; attention never makes it larger than full.
LEAST_SIZE, FULL_SIZE = 0.25, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditOptions:
    """``temperature_bps``: the difference of two bounds that makes one arm e times as likely as the other.

    ``floor`` is the least propensity of an arm in its context, and of taking and of leaving an arm;
    ``prior_spread_bps`` stands in for the spread of outcomes while there are too few to measure it.
    """

    shrinkage: float = 20.0
    courage: float = 1.0
    temperature_bps: float = 5.0
    floor: float = 0.05
    prior_spread_bps: float = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an arm earned in a context, in basis points after costs."""

    context: str
    arm: str
    reward_bps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Priority:
    """What is known of one arm in one context, and what follows from it.

    ``mean_bps`` and ``error_bps`` are those of the posterior, ``propensity`` the arm's share of its context (they sum
    to 1), ``weight`` the same beside an equal share (1 is average), ``take`` the probability of taking the arm when
    it comes, ``size_scale`` the share of full size that its weight allows.
    """

    context: str
    arm: str
    count: int
    mean_bps: float
    error_bps: float
    ucb_bps: float
    propensity: float
    weight: float
    take: float
    size_scale: float


def priorities(
    contexts: Sequence[str], arms: Sequence[str], outcomes: Sequence[Outcome], options: BanditOptions
) -> list[Priority]:
    """Return every arm's standing in every context, by context and falling propensity.

    Raises:
        ValueError: the floor leaves no room for so many arms, or an outcome is of an unknown context or arm, or is not
            finite.
    """
    if not 0 < options.floor * max(1, len(arms)) <= 1 or options.floor > 0.5:
        raise ValueError(f"a floor of {options.floor:g} does not fit {len(arms)} arms")
    counts, sums, spread = _collect(contexts, arms, outcomes, options)
    kappa = options.shrinkage
    of_arm = sums.sum(axis=0) / (counts.sum(axis=0) + kappa)
    means = (sums + kappa * of_arm) / (counts + kappa)
    errors = spread / np.sqrt(counts + kappa)
    tried = np.log(np.maximum(counts.sum(axis=1, keepdims=True) + kappa, math.e))
    bounds = means + options.courage * errors * np.sqrt(2.0 * tried)
    shares = _softmax(bounds / options.temperature_bps)
    shares = options.floor + (1.0 - options.floor * len(arms)) * shares
    found = [
        _priority(context, arm, int(counts[row, column]), float(means[row, column]), float(errors[row, column]),
                  float(bounds[row, column]), float(shares[row, column]), len(arms), options)
        for row, context in enumerate(contexts)
        for column, arm in enumerate(arms)
    ]  # fmt: skip
    return sorted(found, key=lambda one: (contexts.index(one.context), -one.propensity, one.arm))


def take_propensity(mean_bps: float, error_bps: float, floor: float) -> float:
    """Return the posterior probability that the mean is above zero, kept ``floor`` away from 0 and from 1."""
    return min(1.0 - floor, max(floor, _NORMAL.cdf(mean_bps / error_bps)))


def draw(propensity: float, key: str) -> bool:
    """Return ``True`` with probability ``propensity``: the same key gives the same answer, so that a run can repeat."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return number / 2**64 < propensity


def size_scale(weight: float) -> float:
    """Return the share of full size for an arm's weight (1 is average): attention withdraws size and never adds any."""
    return min(FULL_SIZE, max(LEAST_SIZE, weight))


def _collect(
    contexts: Sequence[str], arms: Sequence[str], outcomes: Sequence[Outcome], options: BanditOptions
) -> tuple[Array, Array, float]:
    """Return counts and sums by context and arm, and the spread of outcomes within them."""
    rows = {name: at for at, name in enumerate(contexts)}
    columns = {name: at for at, name in enumerate(arms)}
    counts, sums, squares = (np.zeros((len(contexts), len(arms))) for _ in range(3))
    for one in outcomes:
        if one.context not in rows or one.arm not in columns or not math.isfinite(one.reward_bps):
            raise ValueError(f"an outcome of {one.reward_bps} bps for {one.arm} in {one.context} is not known here")
        at = rows[one.context], columns[one.arm]
        counts[at] += 1
        sums[at] += one.reward_bps
        squares[at] += one.reward_bps**2
    means = sums / np.maximum(counts, 1)
    within = float((squares - counts * means * means).sum())
    freedom = float(np.maximum(counts - 1, 0).sum())
    # Until there are outcomes enough, the prior spread counts like ten of them.
    variance = (within + 10.0 * options.prior_spread_bps**2) / (freedom + 10.0)
    return counts, sums, math.sqrt(variance)


def _softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _priority(
    context: str,
    arm: str,
    count: int,
    mean: float,
    error: float,
    bound: float,
    share: float,
    arms: int,
    options: BanditOptions,
) -> Priority:
    return Priority(
        context=context,
        arm=arm,
        count=count,
        mean_bps=mean,
        error_bps=error,
        ucb_bps=bound,
        propensity=share,
        weight=share * arms,
        take=take_propensity(mean, error, options.floor),
        size_scale=size_scale(share * arms),
    )
