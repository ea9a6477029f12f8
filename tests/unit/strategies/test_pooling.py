"""Pooling where the right answer is known: equal views, doubled evidence, a liar, and nodes that truly differ."""

from __future__ import annotations

import math

import numpy as np
import pytest

from strategies.pooling import NodeView, PoolOptions, drifting, hellinger, pool, pool_figures

OPTIONS = PoolOptions(max_share=1.0)


def view(node: str, *shares: float, evidence: float = 100.0) -> NodeView:
    return NodeView(node=node, shares=shares, evidence=evidence)


def test_nodes_that_agree_pool_to_what_they_say() -> None:
    found = pool([view("a", 0.7, 0.2, 0.1), view("b", 0.7, 0.2, 0.1, evidence=900.0)], OPTIONS)
    assert found.shares == pytest.approx((0.7, 0.2, 0.1))
    assert found.weights == {"a": pytest.approx(0.1), "b": pytest.approx(0.9)}
    assert found.evidence == 1000.0


def test_the_pool_is_the_weighted_geometric_mean() -> None:
    found = pool([view("a", 0.9, 0.1, evidence=300.0), view("b", 0.5, 0.5, evidence=100.0)], OPTIONS)
    first, second = 0.9**0.75 * 0.5**0.25, 0.1**0.75 * 0.5**0.25
    assert found.shares == pytest.approx((first / (first + second), second / (first + second)))


def test_twice_the_evidence_is_the_same_as_a_second_node_that_says_the_same() -> None:
    doubled = pool([view("a", 0.8, 0.2, evidence=200.0), view("b", 0.6, 0.4)], OPTIONS)
    twice = pool([view("a", 0.8, 0.2), view("a2", 0.8, 0.2), view("b", 0.6, 0.4)], OPTIONS)
    assert doubled.shares == pytest.approx(twice.shares)


def test_no_node_outvotes_all_others() -> None:
    views = [view("a", 0.99, 0.01, evidence=1e6), view("b", 0.4, 0.6), view("c", 0.45, 0.55, evidence=300.0)]
    found = pool(views, PoolOptions(max_share=0.5, min_distance=0.9))
    assert found.weights == {"a": pytest.approx(0.5), "b": pytest.approx(0.125), "c": pytest.approx(0.375)}


def test_a_cap_below_an_equal_share_is_an_equal_share() -> None:
    found = pool([view("a", 0.9, 0.1, evidence=1e6), view("b", 0.4, 0.6)], PoolOptions(max_share=0.1))
    assert found.weights == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}


def test_a_planted_liar_is_left_out_by_name_and_changes_nothing() -> None:
    honest = [view(f"n{number}", 0.80 - number / 100, 0.15 + number / 100, 0.05) for number in range(5)]
    liar = view("liar", 0.01, 0.01, 0.98, evidence=1e6)
    found = pool([*honest, liar], OPTIONS)
    assert found.left_out.keys() == {"liar"}
    assert found.left_out["liar"].startswith("STANDS_APART: 0.")
    assert found.weights["liar"] == 0.0
    assert found.shares == pytest.approx(pool(honest, OPTIONS).shares)
    assert found.distances["liar"] > 0.7


def test_honest_disagreement_leaves_nobody_out() -> None:
    chance = np.random.default_rng(4)
    for _ in range(50):
        views = [view(f"n{at}", *chance.dirichlet([30, 20, 10]).tolist()) for at in range(6)]
        assert pool(views, OPTIONS).left_out == {}


def test_of_two_nodes_none_can_be_called_wrong_and_never_half_are_left_out() -> None:
    assert pool([view("a", 1.0, 0.0), view("b", 0.0, 1.0)], OPTIONS).left_out == {}
    split = [view("a", 0.9, 0.1), view("b", 0.9, 0.1), view("c", 0.1, 0.9), view("d", 0.1, 0.9)]
    assert len(pool(split, OPTIONS).left_out) <= 1


def test_certainty_of_one_node_vetoes_no_regime() -> None:
    found = pool([view("a", 1.0, 0.0), view("b", 0.5, 0.5)], OPTIONS)
    assert 0 < found.shares[1] < 0.01


def test_little_evidence_makes_a_prior_of_nearly_equal_shares() -> None:
    options = PoolOptions(prior_evidence=100.0)
    thin, thick = (pool([view("a", 0.9, 0.1, evidence=bars)], options) for bars in (1.0, 1e6))
    assert thin.prior == pytest.approx((0.5, 0.5), abs=0.005)
    assert thick.prior == pytest.approx((0.9, 0.1), abs=0.001)
    assert sum(thin.prior) == pytest.approx(1.0)


def test_distances_are_hellingers() -> None:
    assert hellinger(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1.0
    assert hellinger(np.array([0.3, 0.6, 0.1]), np.array([0.3, 0.6, 0.1]) * (1 + 1e-15)) == 0.0
    half = math.sqrt(1 - math.sqrt(0.5))
    assert hellinger(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx(half)


def test_figures_that_differ_by_no_more_than_their_errors_are_weighted_by_these() -> None:
    found = pool_figures([1.0, 1.0, 1.0], [0.1, 0.2, 0.4])
    assert found.value == pytest.approx(1.0)
    assert found.between == 0.0
    assert found.error == pytest.approx(1 / math.sqrt(100 + 25 + 6.25))


def test_pooled_figures_cover_the_truth_also_where_nodes_truly_differ() -> None:
    chance = np.random.default_rng(5)
    covered, spreads = 0, []
    for _ in range(500):
        errors = chance.uniform(0.1, 0.5, 20)
        values = 1.5 + chance.normal(0.0, 0.6, 20) + chance.normal(0.0, errors)
        found = pool_figures(values.tolist(), errors.tolist())
        covered += abs(found.value - 1.5) <= 1.96 * found.error
        spreads.append(found.between)
    assert covered / 500 == pytest.approx(0.94, abs=0.03)
    assert np.mean(spreads) == pytest.approx(0.6, abs=0.05)


def test_a_single_figure_is_itself() -> None:
    assert pool_figures([2.0], [0.5]).value == 2.0
    assert pool_figures([2.0], [0.5]).error == pytest.approx(0.5)


def test_drift_is_told_after_looks_in_a_row_and_not_before() -> None:
    assert not drifting([0.5, 0.5], OPTIONS)
    assert drifting([0.1, 0.5, 0.4, 0.6], OPTIONS)
    assert not drifting([0.5, 0.5, 0.39], OPTIONS)


@pytest.mark.parametrize(
    ("views", "words"),
    [
        ([], "no node"),
        ([view("a", 1.0), view("a", 1.0)], "twice"),
        ([view("a", 0.5, 0.5), view("b", 0.2, 0.3, 0.5)], "b knows 3 regimes, a 2"),
        ([view("a", 0.5, 0.6)], "no distribution"),
        ([view("a", 1.5, -0.5)], "no distribution"),
        ([view("a", math.nan, 1.0)], "no distribution"),
        ([view("a", 0.5, 0.5, evidence=0.0)], "not positive"),
    ],
)
def test_views_that_make_no_sense_are_refused(views: list[NodeView], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pool(views, OPTIONS)


@pytest.mark.parametrize(("values", "errors"), [([], []), ([1.0], [0.0]), ([math.nan], [1.0]), ([1.0, 2.0], [1.0])])
def test_figures_without_sound_errors_are_refused(values: list[float], errors: list[float]) -> None:
    with pytest.raises(ValueError, match="error"):
        pool_figures(values, errors)
