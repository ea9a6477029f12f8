"""The capital formula, by hand: steps, pause, bounds and pool."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.allocator import Allocation, CapitalPolicy, Step, StrategyState, allocate, last_steps

POLICY = CapitalPolicy(
    pool_frac=Decimal("0.20"),
    raise_at_sharpe=1.0,
    raise_frac=Decimal("0.15"),
    cut_below_sharpe=0.3,
    cut_frac=Decimal("0.20"),
    cooldown_s=900,
    min_budget=Decimal(250),
    max_budget=Decimal(25_000),
)
RICH = Decimal(10_000_000)
NOW = 1_800_000_000_000


def state(
    budget: str = "1000", sharpe: float | None = 0.5, changed: int | None = None, name: str = "a"
) -> StrategyState:
    return StrategyState(strategy=name, budget=Decimal(budget), sharpe=sharpe, changed_at_ms=changed)


def one(given_state: StrategyState, equity: Decimal | None = RICH) -> Allocation:
    (allocation,) = allocate(equity, [given_state], POLICY, NOW)
    return allocation


@pytest.mark.parametrize(
    ("sharpe", "after", "step"),
    [
        (1.0, "1150", Step.RAISED),
        (0.999, "1000", Step.HELD),
        (0.3, "1000", Step.HELD),
        (0.299, "800", Step.CUT),
        (-4.0, "800", Step.CUT),
        (None, "1000", Step.SHARPE_UNKNOWN),
        (float("nan"), "1000", Step.SHARPE_UNKNOWN),
        (float("inf"), "1000", Step.SHARPE_UNKNOWN),
    ],
)
def test_the_budget_steps_by_the_sharpe_ratio(sharpe: float | None, after: str, step: Step) -> None:
    allocation = one(state(sharpe=sharpe))
    assert (allocation.after, allocation.step) == (Decimal(after), step)


def test_no_second_step_is_taken_before_the_pause_is_over() -> None:
    early = one(state(sharpe=2.0, changed=NOW - 899_999))
    assert (early.after, early.step) == (Decimal(1000), Step.COOLING_DOWN)
    assert early.stepped_at_ms == NOW - 899_999, "looking does not prolong the pause"
    assert one(state(sharpe=2.0, changed=NOW - 900_000)).step is Step.RAISED


def test_holding_does_not_start_a_pause() -> None:
    assert one(state(sharpe=0.5)).stepped_at_ms is None
    assert one(state(sharpe=2.0)).stepped_at_ms == NOW


@pytest.mark.parametrize(("budget", "sharpe", "after"), [("251", 0.0, "250"), ("24000", 3.0, "25000")])
def test_budgets_stay_within_their_bounds(budget: str, sharpe: float, after: str) -> None:
    assert one(state(budget, sharpe)).after == Decimal(after)


def test_a_zero_budget_stays_zero() -> None:
    allocation = one(state("0", 5.0))
    assert (allocation.after, allocation.step) == (Decimal(0), Step.NO_BUDGET)


@pytest.mark.parametrize("equity", [None, Decimal("NaN"), Decimal("Infinity")])
def test_unknown_equity_changes_nothing_at_all(equity: Decimal | None) -> None:
    allocation = one(state("100000", 5.0), equity)
    assert (allocation.after, allocation.changed, allocation.step) == (Decimal(100_000), False, Step.EQUITY_UNKNOWN)


def test_budgets_over_the_pool_shrink_together() -> None:
    allocations = allocate(Decimal(10_000), [state("3000", name="a"), state("1000", name="b")], POLICY, NOW)
    assert [allocation.after for allocation in allocations] == [Decimal(1500), Decimal(500)]
    assert all(allocation.scaled for allocation in allocations)


@given(
    equity=st.decimals(0, 10**9, places=2),
    budgets=st.lists(st.decimals(0, 10**6, places=2), max_size=6),
    sharpe=st.floats(-5, 5),
)
def test_the_pool_is_never_exceeded_and_no_budget_is_negative(
    equity: Decimal, budgets: list[Decimal], sharpe: float
) -> None:
    states = [state(str(budget), sharpe, name=str(index)) for index, budget in enumerate(budgets)]
    after = [allocation.after for allocation in allocate(equity, states, POLICY, NOW)]
    assert sum(after) <= equity * POLICY.pool_frac
    assert all(0 <= amount <= POLICY.max_budget for amount in after)


def test_the_last_step_is_found_in_stored_records_in_any_order() -> None:
    records: list[dict[str, object]] = [
        {"strategy": "a", "stepped_at_ms": 5},
        {"strategy": "a", "stepped_at_ms": 9},
        {"strategy": "b", "stepped_at_ms": None},
        {"strategy": "a", "stepped_at_ms": 7},
    ]
    assert last_steps(records) == {"a": 9}
