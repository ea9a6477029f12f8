"""A better policy from what was logged, and how sure it is that it is better, without trying it.

The log holds contexts, actions, the propensity with which each action was drawn, and rewards. A policy is a matrix of
probabilities, contexts by actions. Values of a policy that did not act are estimated by

- IPS, inverse propensity scores (Horvitz and Thompson 1952): unbiased, noisy;
- SNIPS, the same self-normalised (Swaminathan and Joachims 2015);
- DR, doubly robust (Dudik, Langford and Li 2011): a table of means, fitted on other folds of the log, corrected by IPS;
  unbiased where either is right, and quieter than IPS.

Improvement is one step of relative entropy policy search (Peters, Muelling and Altuen 2010): the champion's
probabilities times exp(step x estimated mean), the step as long as the mean Kullback-Leibler distance from the champion
stays within the trust region. It learns on the older part of the log and is judged on the newer: a candidate stands
only where the lower confidence bound of its advantage over the champion is above zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]


class LogUnfit(ValueError):
    """The log cannot carry an improvement; the message begins with a code and has the figures."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Log:
    """What was done, in time order, all (N,): context and action as numbers, propensity of that action, reward."""

    context: Numbers
    action: Numbers
    propensity: Array
    reward: Array

    def __len__(self) -> int:
        return len(self.context)

    def part(self, where: slice) -> Log:
        """Return some of the rows."""
        return Log(
            context=self.context[where],
            action=self.action[where],
            propensity=self.propensity[where],
            reward=self.reward[where],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its standard error; ``effective`` is how many rows the weights leave (Kish 1965)."""

    value: float
    error: float
    effective: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImprovementOptions:
    """``trust_region`` in nats per context; ``level`` one-sided; ``shrinkage`` in rows that say zero."""

    min_rows: int = 200
    min_effective: float = 50.0
    trust_region: float = 0.1
    level: float = 0.95
    shrinkage: float = 10.0
    learn_frac: float = 0.5
    folds: int = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Improvement:
    """A proposed policy (contexts, actions) and the verdict on it. ``advantage`` is candidate minus champion, by DR."""

    policy: Array
    distance: float
    champion: Estimate
    candidate: Estimate
    candidate_ips: Estimate
    advantage: Estimate
    lower_bound: float
    accepted: bool
    reason: str


def ips(log: Log, policy: Array) -> Estimate:
    """Return the policy's value by inverse propensity scores: mean of pi(a|x) / p r."""
    weights = _weights(log, policy)
    return _estimate(weights * log.reward, weights)


def snips(log: Log, policy: Array) -> Estimate:
    """Return the self-normalised estimate: sum of w r over sum of w; its error by the delta method."""
    weights = _weights(log, policy)
    total = float(weights.sum())
    value = float(weights @ log.reward) / total if total > 0 else 0.0
    pull = weights * (log.reward - value) / max(float(weights.mean()), 1e-12)
    error = float(pull.std(ddof=1)) / math.sqrt(len(log)) if len(log) > 1 else math.inf
    return Estimate(value=value, error=error, effective=_effective(weights))


def doubly_robust(log: Log, policy: Array, folds: int = 5) -> Estimate:
    """Return the doubly robust estimate, its table of means fitted on the folds a row is not in."""
    return _estimate(_scores(log, policy, folds), _weights(log, policy))


def mean_rewards(log: Log, shape: tuple[int, int], shrinkage: float = 0.0) -> Array:
    """Return the mean reward by context and action, ``shape``; 0 where nothing was logged and no row is believed."""
    counts, sums = np.zeros(shape), np.zeros(shape)
    np.add.at(counts, (log.context, log.action), 1.0)
    np.add.at(sums, (log.context, log.action), log.reward)
    means: Array = sums / np.maximum(counts + shrinkage, 1e-12)
    return np.where(counts > 0, means, 0.0)


def improve(log: Log, champion: Array, options: ImprovementOptions) -> Improvement:
    """Propose a policy within the trust region and judge it on rows it did not learn from.

    Args:
        champion: the policy in force, (contexts, actions), each row a distribution above zero.

    Raises:
        LogUnfit: ``TOO_FEW_ROWS``, ``PROPENSITY_INVALID``, or ``NO_EXPLORATION`` where an action was never drawn.
    """
    check(log, champion.shape, options)
    split = int(len(log) * options.learn_frac)
    old, new = log.part(slice(0, split)), log.part(slice(split, len(log)))
    rewards = mean_rewards(old, (champion.shape[0], champion.shape[1]), options.shrinkage)
    shares = np.bincount(old.context, minlength=len(champion)) / len(old)
    policy, distance = step_within(champion, rewards, shares, options.trust_region)
    difference = _scores(new, policy, options.folds) - _scores(new, champion, options.folds)
    weights = _weights(new, policy)
    advantage = _estimate(difference, weights)
    bound = advantage.value - NormalDist().inv_cdf(options.level) * advantage.error
    enough = advantage.effective >= options.min_effective
    return Improvement(
        policy=policy,
        distance=distance,
        champion=doubly_robust(new, champion, options.folds),
        candidate=doubly_robust(new, policy, options.folds),
        candidate_ips=ips(new, policy),
        advantage=advantage,
        lower_bound=bound,
        accepted=enough and bound > 0,
        reason=_reason(advantage, bound, options, enough=enough),
    )


def step_within(champion: Array, rewards: Array, shares: Array, trust_region: float) -> tuple[Array, float]:
    """Return champion x exp(step x reward), as far as the mean distance allows, and that distance in nats.

    Args:
        shares: how often each context comes, (contexts,), summing to 1.
    """
    spread = float(np.abs(rewards).max())
    if spread <= 0:
        return champion.copy(), 0.0
    low, high = 0.0, 1.0 / spread
    while _distance(_tilted(champion, rewards, high), champion, shares) < trust_region and high * spread < 700:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = (low + high) / 2.0
        inside = _distance(_tilted(champion, rewards, middle), champion, shares) <= trust_region
        low, high = (middle, high) if inside else (low, middle)
    policy = _tilted(champion, rewards, low)
    return policy, _distance(policy, champion, shares)


def check(log: Log, shape: tuple[int, ...], options: ImprovementOptions) -> None:
    """Refuse a log that cannot carry an improvement.

    Raises:
        LogUnfit: as ``improve`` says.
    """
    if len(log) < options.min_rows:
        raise LogUnfit(f"TOO_FEW_ROWS: {len(log)} of at least {options.min_rows}")
    bad = np.logical_not((log.propensity > 0) & (log.propensity <= 1)) | np.logical_not(np.isfinite(log.reward))
    if bad.any():
        raise LogUnfit(f"PROPENSITY_INVALID: {int(bad.sum())} rows without a propensity above 0 or without a reward")
    drawn = np.bincount(log.action, minlength=shape[1])
    if (drawn == 0).any():
        never = ", ".join(str(action) for action in np.flatnonzero(drawn == 0))
        raise LogUnfit(f"NO_EXPLORATION: action {never} was never drawn in {len(log)} rows")


# --- details --------------------------------------------------------------------------------------------------------


def _weights(log: Log, policy: Array) -> Array:
    weights: Array = policy[log.context, log.action] / log.propensity
    return weights


def _scores(log: Log, policy: Array, folds: int) -> Array:
    """Return each row's doubly robust score, (N,): the table's value plus the weighted surprise."""
    shape = (policy.shape[0], policy.shape[1])
    number = np.arange(len(log)) % folds
    scores = np.empty(len(log))
    for fold in range(folds):
        here = number == fold
        others = Log(
            context=log.context[~here],
            action=log.action[~here],
            propensity=log.propensity[~here],
            reward=log.reward[~here],
        )
        table = mean_rewards(others, shape)
        context, action = log.context[here], log.action[here]
        expected = (policy * table).sum(axis=1)[context]
        surprise = log.reward[here] - table[context, action]
        scores[here] = expected + policy[context, action] / log.propensity[here] * surprise
    return scores


def _estimate(scores: Array, weights: Array) -> Estimate:
    error = float(scores.std(ddof=1)) / math.sqrt(len(scores)) if len(scores) > 1 else math.inf
    return Estimate(value=float(scores.mean()), error=error, effective=_effective(weights))


def _effective(weights: Array) -> float:
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def _tilted(champion: Array, rewards: Array, step: float) -> Array:
    pull = step * rewards
    powers = champion * np.exp(pull - pull.max(axis=1, keepdims=True))
    policy: Array = powers / powers.sum(axis=1, keepdims=True)
    return policy


def _distance(policy: Array, champion: Array, shares: Array) -> float:
    ratio = np.log(np.maximum(policy, 1e-300) / champion)
    return float(shares @ (policy * ratio).sum(axis=1))


def _reason(advantage: Estimate, bound: float, options: ImprovementOptions, *, enough: bool) -> str:
    figures = f"advantage {advantage.value:+.3g} with a lower bound of {bound:+.3g} at {options.level:.0%}"
    if not enough:
        return f"TOO_FEW_EFFECTIVE: {advantage.effective:.0f} rows of at least {options.min_effective:g}; {figures}"
    return figures if bound > 0 else f"NOT_BETTER: {figures}"
