"""Gates: the first model, a challenger, a person's approval, and figures that are not numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from governance.promotion import Decision, PromotionPolicy, Scores, Verdict, decide

POLICY = PromotionPolicy(
    min_symbols=1,
    min_folds=2,
    min_bars=500,
    min_converged_frac=0.5,
    min_likelihood_gain=0.0,
    min_occupancy_frac=0.02,
    min_dwell_bars=2.0,
    min_sharpe_low=None,
    max_drawdown_frac=0.5,
    max_turnover_per_day=None,
    max_sharpe_loss=0.5,
    approval_required=False,
    min_trades=10,
)
GOOD = Scores(
    symbols=6,
    folds=18,
    bars=20_000,
    converged_frac=1.0,
    likelihood_gain=0.4,
    sharpe=1.2,
    sharpe_low=-0.4,
    max_drawdown_frac=0.1,
    turnover_per_day=5.0,
    min_occupancy_frac=0.2,
    min_dwell_bars=30.0,
    trades=10,
)


def verdict(
    scores: Scores = GOOD,
    policy: PromotionPolicy = POLICY,
    champion: Scores | None = None,
    approved: bool = False,  # a test helper's switch
) -> Decision:
    return decide(
        candidate="rm-new",
        scores=scores,
        champion="rm-old" if champion else None,
        champion_scores=champion,
        policy=policy,
        approved=approved,
    )


def test_the_first_model_is_promoted_when_the_minimum_gates_hold() -> None:
    decision = verdict()
    assert decision.verdict is Verdict.PROMOTE
    assert decision.champion == ""
    assert "rm-new replaces nothing" in decision.summary


@pytest.mark.parametrize(
    ("worse", "gate"),
    [
        (replace(GOOD, symbols=0), "symbols"),
        (replace(GOOD, folds=1), "folds"),
        (replace(GOOD, bars=499), "bars"),
        (replace(GOOD, trades=9), "trades"),
        (replace(GOOD, trades=None), "trades"),
        (replace(GOOD, converged_frac=0.4), "converged_frac"),
        (replace(GOOD, likelihood_gain=-0.01), "likelihood_gain"),
        (replace(GOOD, min_occupancy_frac=0.01), "min_occupancy_frac"),
        (replace(GOOD, min_dwell_bars=1.5), "min_dwell_bars"),
        (replace(GOOD, max_drawdown_frac=0.6), "max_drawdown_frac"),
        (replace(GOOD, max_drawdown_frac=float("nan")), "max_drawdown_frac"),
        (replace(GOOD, likelihood_gain=float("nan")), "likelihood_gain"),
    ],
)
def test_each_gate_can_refuse_alone_and_says_its_figures(worse: Scores, gate: str) -> None:
    decision = verdict(worse)
    assert decision.verdict is Verdict.KEEP_CHAMPION
    assert [refusal.name for refusal in decision.refusals] == [gate]
    assert gate in decision.summary


def test_every_reason_is_recorded_not_only_the_first() -> None:
    decision = verdict(replace(GOOD, folds=0, bars=0))
    assert [refusal.name for refusal in decision.refusals] == ["folds", "bars"]
    assert len(decision.gates) == 9


def test_a_model_that_never_traded_is_told_what_is_wanted_unless_the_gate_is_left_out() -> None:
    idle = replace(GOOD, trades=0, sharpe=0.0, sharpe_low=-1.0, max_drawdown_frac=0.0, turnover_per_day=0.0)
    assert "trades is 0, at least 10 is asked for" in verdict(idle).summary
    assert "trades is not known, at least 10" in verdict(replace(GOOD, trades=None)).summary
    assert verdict(idle, replace(POLICY, min_trades=None)).verdict is Verdict.PROMOTE


def test_a_challenger_may_not_lose_more_sharpe_than_allowed() -> None:
    assert verdict(champion=replace(GOOD, sharpe=1.7)).verdict is Verdict.PROMOTE
    assert verdict(champion=replace(GOOD, sharpe=1.8)).refusals[0].name == "sharpe_against_champion"


def test_live_asks_for_a_person_and_for_evidence() -> None:
    live = replace(POLICY, approval_required=True, min_sharpe_low=0.0, max_turnover_per_day=50.0)
    assert verdict(policy=live).refusals[0].name == "sharpe_low"
    proven = replace(GOOD, sharpe_low=0.2)
    assert verdict(proven, live).verdict is Verdict.AWAIT_APPROVAL
    assert verdict(proven, live, approved=True).verdict is Verdict.PROMOTE


def test_approval_does_not_open_a_gate_that_refused() -> None:
    live = replace(POLICY, approval_required=True)
    assert verdict(replace(GOOD, bars=0), live, approved=True).verdict is Verdict.KEEP_CHAMPION


@pytest.mark.parametrize(
    ("shortfall", "limit", "promoted"),
    [(0.05, 0.1, True), (0.1, 0.1, True), (0.11, 0.1, False), (None, 0.1, False), (None, None, True)],
)
def test_a_tail_that_is_too_long_or_unknown_keeps_the_champion_where_it_is_asked_for(
    shortfall: float | None,
    limit: float | None,
    promoted: bool,  # a case
) -> None:
    decision = verdict(replace(GOOD, stress_shortfall_frac=shortfall), replace(POLICY, max_stress_shortfall_frac=limit))
    assert (decision.verdict is Verdict.PROMOTE) is promoted
    assert ("stress_shortfall_frac" in [gate.name for gate in decision.refusals]) is not promoted
