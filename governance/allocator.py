"""The capital allocator: how much each strategy may use, from a pool that is a share of equity.

A strategy that earns its risk grows in small steps, one that does not shrinks in larger ones, and each step is
followed by a pause. What is not known changes nothing: no equity, no decision; no Sharpe, no step. A budget of
zero is a person's no and stays zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

_CENT = Decimal("0.01")


class Step(StrEnum):
    """Why a budget is what it is now."""

    RAISED = "RAISED"
    CUT = "CUT"
    HELD = "HELD"
    COOLING_DOWN = "COOLING_DOWN"
    SHARPE_UNKNOWN = "SHARPE_UNKNOWN"
    EQUITY_UNKNOWN = "EQUITY_UNKNOWN"
    NO_BUDGET = "NO_BUDGET"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapitalPolicy:
    """The knobs of ``config/capital_policy.yaml``; money in the reporting currency."""

    pool_frac: Decimal
    raise_at_sharpe: float
    raise_frac: Decimal
    cut_below_sharpe: float
    cut_frac: Decimal
    cooldown_s: int
    min_budget: Decimal
    max_budget: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyState:
    """One strategy before the decision.

    Args:
        budget: what it may use now.
        sharpe: annualised, net of costs; ``None`` where too little is known.
        changed_at_ms: when the allocator last stepped it; ``None`` before the first time.
    """

    strategy: str
    budget: Decimal
    sharpe: float | None
    changed_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """One strategy after the decision. ``stepped_at_ms`` starts or continues the pause."""

    strategy: str
    before: Decimal
    after: Decimal
    step: Step
    scaled: bool
    sharpe: float | None
    stepped_at_ms: int | None

    @property
    def changed(self) -> bool:
        return self.after != self.before


def allocate(
    equity: Decimal | None, strategies: Sequence[StrategyState], policy: CapitalPolicy, now_ms: int
) -> list[Allocation]:
    """Return every strategy's budget.

    Each steps by its Sharpe unless it is cooling down, is clamped to the policy's bounds, and all are scaled down
    together where they exceed the pool (``pool_frac`` of equity). Amounts round down to the cent. The bounds yield
    to the pool: a pool too small for every minimum is shared, not exceeded.
    """
    if equity is None or not equity.is_finite():
        return [_unchanged(state, Step.EQUITY_UNKNOWN) for state in strategies]
    stepped = [_step(state, policy, now_ms) for state in strategies]
    return _scale(stepped, max(Decimal(0), equity * policy.pool_frac))


def last_steps(records: Sequence[Mapping[str, object]]) -> dict[str, int]:
    """Return when each strategy was last stepped, from stored allocations in any order."""
    latest: dict[str, int] = {}
    for record in records:
        at_ms = record["stepped_at_ms"]
        if isinstance(at_ms, int):
            strategy = str(record["strategy"])
            latest[strategy] = max(at_ms, latest.get(strategy, at_ms))
    return latest


def _step(state: StrategyState, policy: CapitalPolicy, now_ms: int) -> Allocation:
    if state.sharpe is None or not math.isfinite(state.sharpe):
        return _clamped(_unchanged(state, Step.SHARPE_UNKNOWN), policy)
    wish = _wish(state.sharpe, policy)
    if wish is Step.HELD:
        return _clamped(_unchanged(state, Step.HELD), policy)
    if state.changed_at_ms is not None and now_ms - state.changed_at_ms < policy.cooldown_s * 1000:
        return _clamped(_unchanged(state, Step.COOLING_DOWN), policy)
    factor = 1 + policy.raise_frac if wish is Step.RAISED else 1 - policy.cut_frac
    moved = replace(_unchanged(state, wish), after=state.budget * factor, stepped_at_ms=now_ms)
    return _clamped(moved, policy)


def _wish(sharpe: float, policy: CapitalPolicy) -> Step:
    if sharpe >= policy.raise_at_sharpe:
        return Step.RAISED
    return Step.CUT if sharpe < policy.cut_below_sharpe else Step.HELD


def _unchanged(state: StrategyState, step: Step) -> Allocation:
    return Allocation(
        strategy=state.strategy,
        before=state.budget,
        after=state.budget,
        step=step,
        scaled=False,
        sharpe=state.sharpe,
        stepped_at_ms=state.changed_at_ms,
    )


def _clamped(allocation: Allocation, policy: CapitalPolicy) -> Allocation:
    if allocation.before <= 0:
        return replace(allocation, after=allocation.before, step=Step.NO_BUDGET)
    return replace(allocation, after=min(max(allocation.after, policy.min_budget), policy.max_budget))


def _scale(allocations: Sequence[Allocation], pool: Decimal) -> list[Allocation]:
    total = sum((allocation.after for allocation in allocations), Decimal(0))
    factor = pool / total if total > pool else Decimal(1)
    return [
        replace(
            allocation,
            after=(allocation.after * factor).quantize(_CENT, rounding=ROUND_DOWN),
            scaled=factor < 1,
        )
        for allocation in allocations
    ]
