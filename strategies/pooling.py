"""What several nodes know together: regimes and figures pooled by their evidence, those that stand apart left out.

- Posteriors of the same regimes: the logarithmic opinion pool, p proportional to prod p_i^w_i with weights that sum
  to 1 (Genest and Zidek 1986), weights by evidence, none above a cap, so that no node outvotes all others.
- Who stands apart: Hellinger distance from the coordinate-wise median, compared with the median distance of all in
  units of its spread (median absolute deviation; Hampel 1974). Fewer than three nodes cannot tell who is wrong.
- Figures with standard errors: the random-effects mean of DerSimonian and Laird (1986), which widens its error where
  nodes differ by more than their errors say.
- Prior: the pool drawn to equal shares where there is little evidence. Drift: how long a node has been far from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: A probability of zero would veto a regime for all nodes.
LEAST = 1e-6
_NORMAL_MAD = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """``max_share`` of the weights for one node; distances are Hellinger's, 0 (equal) to 1 (nothing in common).

    A node is left out where it stands ``outlier_spreads`` spreads beyond the median distance and ``min_distance`` away.
    ``prior_evidence`` bars say equal shares. ``drift_distance`` for ``drift_looks`` looks in a row is an alarm.
    """

    max_share: float = 0.5
    outlier_spreads: float = 3.0
    min_distance: float = 0.3
    prior_evidence: float = 100.0
    drift_distance: float = 0.4
    drift_looks: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node's view of one symbol: ``shares`` of the regimes, summing to 1, from ``evidence`` bars."""

    node: str
    shares: tuple[float, ...]
    evidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The pooled shares, the prior made of them, each node's weight (0 if left out) and distance from the pool."""

    shares: tuple[float, ...]
    prior: tuple[float, ...]
    evidence: float
    weights: Mapping[str, float]
    distances: Mapping[str, float]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledFigure:
    """A figure over nodes; ``between`` is the standard deviation that their errors do not explain."""

    value: float
    error: float
    between: float


#: A distance has no more decimals than rounding leaves true.
DIGITS = 12


def pool(views: Sequence[NodeView], options: PoolOptions) -> Pool:
    """Return what the nodes know together.

    Raises:
        ValueError: there is no view, views differ in the number of regimes, a view is no distribution, a node appears
            twice, or evidence is not positive.
    """
    _check(views)
    left_out = _apart(views, options)
    kept = [view for view in views if view.node not in left_out]
    weights = _weights(np.array([view.evidence for view in kept]), options.max_share)
    logs = np.log(np.maximum([view.shares for view in kept], LEAST))
    powers = np.exp(weights @ logs - (weights @ logs).max())
    shares = powers / powers.sum()
    evidence = sum(view.evidence for view in kept)
    trust = evidence / (evidence + options.prior_evidence)
    by_node = dict(zip((view.node for view in kept), weights.tolist(), strict=True))
    return Pool(
        shares=tuple(shares.tolist()),
        prior=tuple((trust * shares + (1.0 - trust) / len(shares)).tolist()),
        evidence=evidence,
        weights={view.node: by_node.get(view.node, 0.0) for view in views},
        distances={view.node: hellinger(np.array(view.shares), shares) for view in views},
        left_out=left_out,
    )


def hellinger(one: Array, other: Array) -> float:
    """Return the distance of two distributions, 0 to 1."""
    # Not by 1 less their overlap: of two that are the same, what rounding leaves of that has a root of 1e-8.
    return round(math.sqrt(0.5 * float(((np.sqrt(one) - np.sqrt(other)) ** 2).sum())), DIGITS)


def pool_figures(values: Sequence[float], errors: Sequence[float]) -> PooledFigure:
    """Return the random-effects mean of figures with standard errors.

    Raises:
        ValueError: there is no figure, the two differ in length, or an error is not positive and finite.
    """
    found, noise = np.array(values, dtype=np.float64), np.array(errors, dtype=np.float64)
    if not len(found) or len(found) != len(noise) or not (np.isfinite(found).all() and np.isfinite(noise).all()):
        raise ValueError("as many finite figures as finite errors, and at least one")
    if (noise <= 0).any():
        raise ValueError("every error must be above zero")
    trust = 1.0 / noise**2
    fixed = float(trust @ found / trust.sum())
    excess = float(trust @ (found - fixed) ** 2) - (len(found) - 1)
    scale = float(trust.sum() - (trust @ trust) / trust.sum())
    between = max(0.0, excess / scale) if scale > 0 else 0.0
    wide = 1.0 / (noise**2 + between)
    return PooledFigure(
        value=float(wide @ found / wide.sum()), error=math.sqrt(1.0 / float(wide.sum())), between=math.sqrt(between)
    )


def drifting(distances: Sequence[float], options: PoolOptions) -> bool:
    """Return whether a node has been far from the pool at its last looks, newest last."""
    newest = list(distances)[-options.drift_looks :]
    return len(newest) == options.drift_looks and min(newest) >= options.drift_distance


def _apart(views: Sequence[NodeView], options: PoolOptions) -> dict[str, str]:
    """Return the nodes that stand apart from the others; never half of them or more."""
    if len(views) < 3:
        return {}
    table = np.array([view.shares for view in views])
    middle = np.median(table, axis=0)
    middle = middle / middle.sum() if middle.sum() > 0 else np.full(table.shape[1], 1.0 / table.shape[1])
    distances = np.array([hellinger(row, middle) for row in table])
    usual = float(np.median(distances))
    spread = _NORMAL_MAD * float(np.median(np.abs(distances - usual)))
    limit = max(options.min_distance, usual + options.outlier_spreads * spread)
    far = [at for at in np.argsort(-distances).tolist() if distances[at] > limit][: (len(views) - 1) // 2]
    return {
        views[at].node: f"STANDS_APART: {distances[at]:.2f} from the median of {len(views)} nodes, at most {limit:.2f}"
        for at in far
    }


def _weights(evidence: Array, max_share: float) -> Array:
    """Return shares of the evidence, none above ``max_share`` (or an equal share, where that is more)."""
    cap = max(max_share, 1.0 / len(evidence))
    weights: Array = evidence / evidence.sum()
    capped = np.zeros(len(weights), dtype=np.bool_)
    # What is cut from the largest goes to the others, which may then be too large themselves.
    while (weights[~capped] > cap + 1e-12).any():
        capped |= weights > cap + 1e-12
        free = evidence[~capped]
        weights = np.full(len(weights), cap)
        weights[~capped] = free / max(float(free.sum()), 1e-300) * (1.0 - cap * int(capped.sum()))
    return weights


def _check(views: Sequence[NodeView]) -> None:
    if not views:
        raise ValueError("no node has a view")
    if len({view.node for view in views}) < len(views):
        raise ValueError("a node appears twice")
    for view in views:
        if len(view.shares) != len(views[0].shares):
            raise ValueError(f"{view.node} knows {len(view.shares)} regimes, {views[0].node} {len(views[0].shares)}")
        if not all(share >= 0 for share in view.shares) or abs(sum(view.shares) - 1.0) > 1e-6:
            raise ValueError(f"the shares of {view.node} are no distribution")
        if not (math.isfinite(view.evidence) and view.evidence > 0):
            raise ValueError(f"the evidence of {view.node} is not positive")
