"""Labels are matched once, on the training span; what is scored is the live view under that matching."""

from __future__ import annotations

import pytest

from orchestration.cli.scoring import agreement, match_labels


def test_a_model_regime_stands_for_the_true_one_it_met_most_often() -> None:
    assert match_labels([0, 0, 0, 1, 1], [2, 2, 1, 0, 0]) == {0: 2, 1: 0}


def test_two_model_regimes_may_stand_for_the_same_true_one() -> None:
    assert match_labels([0, 1, 0, 1], [1, 1, 1, 1]) == {0: 1, 1: 1}


def test_sequences_of_different_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        match_labels([0, 1], [0])


def test_the_share_is_taken_over_the_bars_of_all_symbols() -> None:
    live = {"A": [(1, 0), (2, 1)], "B": [(1, 1), (2, 1)]}
    labels = {"A": {0: 5, 1: 6}, "B": {0: 6, 1: 5}}
    assert agreement(live, labels, {1: 5, 2: 6}) == 0.75


def test_bars_without_a_true_regime_do_not_count() -> None:
    assert agreement({"A": [(1, 0), (99, 0)]}, {"A": {0: 5}}, {1: 5}) == 1.0


def test_a_regime_never_met_in_training_is_wrong_and_not_left_out() -> None:
    assert agreement({"A": [(1, 0), (2, 7)]}, {"A": {0: 5}}, {1: 5, 2: 5}) == 0.5


def test_nothing_to_compare_is_no_agreement_at_all() -> None:
    assert agreement({"A": [(1, 0)]}, {"A": {0: 5}}, {}) is None
