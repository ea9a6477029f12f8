"""The bandit on arms whose worth was planted: the best of each context is found, and nobody is given up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from strategies.bandit import BanditOptions, Outcome, Priority, draw, priorities, size_scale, take_propensity

CONTEXTS = ("calm", "usual", "wild")
ARMS = ("a", "b", "c", "d")
OPTIONS = BanditOptions(floor=0.02, temperature_bps=2.0)
#: Basis points by context and arm: another arm is best in each context.
PLANTED = np.array([[12.0, 0.0, -5.0, 2.0], [-4.0, 10.0, 3.0, 0.0], [0.0, -8.0, 1.0, 9.0]])
BEST = {"calm": "a", "usual": "b", "wild": "d"}


def played(rounds: int, seed: int) -> tuple[list[Outcome], list[float]]:
    """Play by the propensities, learning every 60 rounds; return outcomes and the regret of each round."""
    chance = np.random.default_rng(seed)
    outcomes: list[Outcome] = []
    regrets: list[float] = []
    shares = by_pair(priorities(CONTEXTS, ARMS, outcomes, OPTIONS))
    for number in range(rounds):
        if number % 60 == 0:
            shares = by_pair(priorities(CONTEXTS, ARMS, outcomes, OPTIONS))
        row = int(chance.integers(3))
        context = CONTEXTS[row]
        column = int(chance.choice(4, p=[shares[context, arm].propensity for arm in ARMS]))
        reward = float(chance.normal(PLANTED[row, column], 15.0))
        outcomes.append(Outcome(context=context, arm=ARMS[column], reward_bps=reward))
        regrets.append(float(PLANTED[row].max() - PLANTED[row, column]))
    return outcomes, regrets


def by_pair(found: list[Priority]) -> dict[tuple[str, str], Priority]:
    return {(one.context, one.arm): one for one in found}


def test_the_planted_best_arm_of_each_context_is_found_and_regret_falls() -> None:
    outcomes, regrets = played(3000, 1)
    found = priorities(CONTEXTS, ARMS, outcomes, OPTIONS)
    first = {one.context: one.arm for one in reversed(found)}
    assert first == BEST
    blind = float((PLANTED.max(axis=1, keepdims=True) - PLANTED).mean())
    assert np.mean(regrets[-600:]) < 0.4 * blind
    assert np.mean(regrets[-600:]) < np.mean(regrets[:300])


def test_propensities_are_a_distribution_above_its_floor() -> None:
    outcomes, _ = played(900, 2)
    for some in ([], outcomes):
        found = priorities(CONTEXTS, ARMS, some, OPTIONS)
        for context in CONTEXTS:
            shares = [one.propensity for one in found if one.context == context]
            assert sum(shares) == pytest.approx(1.0)
            assert min(shares) >= OPTIONS.floor
        assert all(OPTIONS.floor <= one.take <= 1 - OPTIONS.floor for one in found)
        assert all(one.weight == pytest.approx(4 * one.propensity) for one in found)


def test_knowing_nothing_all_arms_are_equal() -> None:
    found = priorities(CONTEXTS, ARMS, [], OPTIONS)
    assert {round(one.propensity, 12) for one in found} == {0.25}
    assert {one.take for one in found} == {0.5}


def test_an_arms_mean_is_drawn_to_what_it_does_elsewhere() -> None:
    outcomes = [Outcome(context="calm", arm="a", reward_bps=30.0)] * 400
    found = by_pair(priorities(CONTEXTS, ARMS, outcomes, OPTIONS))
    assert found["calm", "a"].mean_bps == pytest.approx((400 * 30 + 20 * (400 * 30 / 420)) / 420)
    assert found["wild", "a"].mean_bps == pytest.approx(400 * 30 / 420)
    assert found["wild", "b"].mean_bps == 0.0
    assert found["wild", "a"].error_bps > 4 * found["calm", "a"].error_bps


def test_a_single_lucky_outcome_is_not_believed() -> None:
    found = by_pair(priorities(CONTEXTS, ARMS, [Outcome(context="calm", arm="a", reward_bps=200.0)], OPTIONS))
    assert found["calm", "a"].mean_bps < 30
    assert found["calm", "a"].take < 0.99


def test_what_loses_is_seldom_taken_and_what_earns_often() -> None:
    assert take_propensity(-20.0, 5.0, 0.05) == 0.05
    assert take_propensity(20.0, 5.0, 0.05) == 0.95
    assert take_propensity(5.0, 5.0, 0.05) == pytest.approx(0.8413, abs=1e-3)


def test_a_draw_repeats_itself_and_comes_as_often_as_its_propensity() -> None:
    answers = [draw(0.3, f"rule/BTC/{number}") for number in range(20_000)]
    assert answers == [draw(0.3, f"rule/BTC/{number}") for number in range(20_000)]
    assert np.mean(answers) == pytest.approx(0.3, abs=0.012)


def test_attention_takes_size_away_and_never_adds_any() -> None:
    assert [size_scale(weight) for weight in (0.0, 0.1, 0.6, 1.0, 3.0)] == [0.25, 0.25, 0.6, 1.0, 1.0]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(context="mad", arm="a", reward_bps=1.0),
        Outcome(context="calm", arm="z", reward_bps=1.0),
        Outcome(context="calm", arm="a", reward_bps=math.nan),
    ],
)
def test_an_outcome_that_fits_nowhere_is_refused(outcome: Outcome) -> None:
    with pytest.raises(ValueError, match="not known here"):
        priorities(CONTEXTS, ARMS, [outcome], OPTIONS)


def test_a_floor_too_high_for_the_arms_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit 4 arms"):
        priorities(CONTEXTS, ARMS, [], BanditOptions(floor=0.3))
