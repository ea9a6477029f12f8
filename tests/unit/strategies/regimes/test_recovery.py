"""Known regimes are found again, better and more steadily than from a single start."""

from __future__ import annotations

import statistics

from tests.research_benchmarks.row_regime_recovery import recovery


def test_regimes_are_recovered_at_least_as_well_as_from_one_start_and_more_steadily() -> None:
    ours, theirs = recovery(2.0, chains=5)
    assert min(ours) > 0.75
    assert statistics.fmean(ours) > statistics.fmean(theirs) - 0.01
    assert statistics.pstdev(ours) <= statistics.pstdev(theirs) + 0.01


def test_regimes_that_lie_close_together_are_still_told_from_chance() -> None:
    ours, _ = recovery(1.0, chains=3)
    assert min(ours) > 0.35
