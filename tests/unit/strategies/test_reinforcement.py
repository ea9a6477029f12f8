"""Off-policy evaluation on a simulated logger whose truth is known, and improvement that does not fool itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.reinforcement import (
    ImprovementOptions,
    Log,
    LogUnfit,
    doubly_robust,
    improve,
    ips,
    mean_rewards,
    snips,
    step_within,
)

Array = NDArray[np.float64]
SHARES = np.array([0.5, 0.3, 0.2])
LOGGER = np.array([[0.7, 0.3], [0.5, 0.5], [0.2, 0.8]])
TARGET = np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])
WORTH = np.array([[0.0, 6.0], [0.0, -4.0], [0.0, 2.0]])
OPTIONS = ImprovementOptions()


def logged(count: int, seed: int, worth: Array = WORTH, logger: Array = LOGGER) -> Log:
    chance = np.random.default_rng(seed)
    context = chance.choice(3, size=count, p=SHARES)
    action = (chance.random(count) > logger[context, 0]).astype(np.int64)
    return Log(
        context=context,
        action=action,
        propensity=logger[context, action],
        reward=worth[context, action] + chance.normal(0.0, 10.0, count),
    )


def truth(policy: Array, worth: Array = WORTH) -> float:
    return float(SHARES @ (policy * worth).sum(axis=1))


def test_ips_and_doubly_robust_are_unbiased_and_their_errors_are_true() -> None:
    logs = [logged(400, seed) for seed in range(400)]
    for estimate in (ips, snips, doubly_robust):
        found = [estimate(log, TARGET) for log in logs]
        values = np.array([one.value for one in found])
        assert abs(values.mean() - truth(TARGET)) < 4 * values.std() / math.sqrt(400), estimate.__name__
        assert np.mean([one.error for one in found]) == pytest.approx(values.std(), rel=0.15), estimate.__name__


def test_the_mean_of_the_log_is_not_the_policys_value() -> None:
    assert abs(logged(100_000, 1).reward.mean() - truth(TARGET)) > 1


def test_doubly_robust_is_quieter_than_ips_where_means_explain_much() -> None:
    far = WORTH + 40.0
    logs = [logged(400, seed, far) for seed in range(200)]
    noisy = np.std([ips(log, TARGET).value for log in logs])
    quiet = np.std([doubly_robust(log, TARGET).value for log in logs])
    assert quiet < 0.6 * noisy
    assert np.mean([doubly_robust(log, TARGET).value for log in logs]) == pytest.approx(truth(TARGET, far), abs=0.3)


def test_of_the_logging_policy_itself_every_row_counts() -> None:
    found = ips(logged(1000, 3), LOGGER)
    assert found.effective == pytest.approx(1000)
    assert found.value == pytest.approx(float(logged(1000, 3).reward.mean()))


def test_a_planted_advantage_becomes_a_candidate_that_really_is_better() -> None:
    found = improve(logged(6000, 4), LOGGER, OPTIONS)
    assert found.accepted, found.reason
    assert truth(found.policy) > truth(LOGGER)
    assert found.lower_bound <= truth(found.policy) - truth(LOGGER)
    assert found.policy[0, 1] > LOGGER[0, 1]
    assert found.policy[1, 1] < LOGGER[1, 1]
    np.testing.assert_allclose(found.policy.sum(axis=1), 1.0)


def test_noise_is_taken_for_an_advantage_no_more_often_than_the_level_says() -> None:
    nothing = np.zeros((3, 2))
    accepted = [improve(logged(400, seed, nothing), LOGGER, OPTIONS).accepted for seed in range(400)]
    assert np.mean(accepted) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_the_lower_bound_holds_as_often_as_it_says() -> None:
    held = []
    for seed in range(300):
        found = improve(logged(600, seed), LOGGER, OPTIONS)
        held.append(found.lower_bound <= truth(found.policy) - truth(LOGGER))
    assert np.mean(held) == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize("region", [0.001, 0.02, 0.2])
def test_a_step_goes_to_the_edge_of_the_trust_region_and_not_beyond(region: float) -> None:
    policy, distance = step_within(LOGGER, WORTH, SHARES, region)
    exact = float(SHARES @ (policy * np.log(policy / LOGGER)).sum(axis=1))
    assert distance == pytest.approx(exact)
    assert distance == pytest.approx(region, rel=1e-3)


def test_a_wide_region_leads_to_the_best_actions() -> None:
    policy, _ = step_within(LOGGER, WORTH, SHARES, 50.0)
    assert policy.argmax(axis=1).tolist() == [1, 0, 1]
    assert policy.max(axis=1).min() > 0.99


def test_where_no_action_is_better_nothing_moves() -> None:
    policy, distance = step_within(LOGGER, np.zeros((3, 2)), SHARES, 0.1)
    np.testing.assert_array_equal(policy, LOGGER)
    assert distance == 0.0


def test_judging_rows_are_not_learned_from() -> None:
    log = logged(2000, 5)
    turned = log.reward.copy()
    turned[1000:] *= -1
    late = Log(context=log.context, action=log.action, propensity=log.propensity, reward=turned)
    np.testing.assert_array_equal(improve(log, LOGGER, OPTIONS).policy, improve(late, LOGGER, OPTIONS).policy)
    assert improve(late, LOGGER, OPTIONS).lower_bound < 0


def test_means_are_by_context_and_action_and_shrink_to_zero() -> None:
    log = Log(
        context=np.array([0, 0, 1]), action=np.array([1, 1, 0]), propensity=np.ones(3), reward=np.array([4.0, 8.0, 3.0])
    )
    np.testing.assert_allclose(mean_rewards(log, (2, 2)), [[0.0, 6.0], [3.0, 0.0]])
    np.testing.assert_allclose(mean_rewards(log, (2, 2), 1.0), [[0.0, 4.0], [1.5, 0.0]])


def test_an_unfit_log_is_refused_by_name() -> None:
    with pytest.raises(LogUnfit, match="TOO_FEW_ROWS: 100 of at least 200"):
        improve(logged(100, 1), LOGGER, OPTIONS)
    always = np.array([[1e-12, 1.0]] * 3)
    with pytest.raises(LogUnfit, match="NO_EXPLORATION: action 0"):
        improve(logged(300, 1, logger=always), LOGGER, OPTIONS)
    log = logged(300, 1)
    log.propensity[7] = 0.0
    with pytest.raises(LogUnfit, match="PROPENSITY_INVALID: 1 rows"):
        improve(log, LOGGER, OPTIONS)
