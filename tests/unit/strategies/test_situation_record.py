"""A rule's record: an interval that covers as often as it says, and an upper bound that prefers the untried."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from strategies.situation_record import feedback, t_quantile


@pytest.mark.parametrize("freedom", [4, 5, 10, 30, 200])
def test_students_quantile_is_students(freedom: int) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(student.ppf(0.975, freedom), abs=0.01)


def test_the_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    chance = np.random.default_rng(5)
    covered = 0
    for _ in range(2000):
        (record,) = feedback({"r": chance.normal(7.0, 20.0, 12).tolist()})
        assert record.low_bps is not None
        assert record.high_bps is not None
        covered += record.low_bps <= 7.0 <= record.high_bps
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


def test_the_upper_bound_prefers_the_promising_and_the_untried() -> None:
    chance = np.random.default_rng(6)
    records = feedback(
        {
            "poor": chance.normal(-5.0, 10.0, 500).tolist(),
            "good": chance.normal(8.0, 10.0, 500).tolist(),
            "young": chance.normal(5.0, 10.0, 8).tolist(),
            "new": [],
        }
    )
    assert [record.rule for record in records] == ["new", "young", "good", "poor"]
    good = records[2]
    assert good.mean_bps is not None
    spread = good.ucb_bps - good.mean_bps if good.ucb_bps is not None else math.nan
    assert spread == pytest.approx(10.0 * math.sqrt(2 * math.log(1008) / 500), rel=0.1)
