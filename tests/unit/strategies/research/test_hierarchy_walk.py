"""The two-level model walked forward: never fitted on what it is judged on, held as live, refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import strategies.research.hierarchy_walk as walked
from strategies.regime_policy import PolicyOptions
from strategies.regimes.bar_table import BarTable, check_bars
from strategies.regimes.fit import FitReport
from strategies.regimes.hierarchy import HierarchicalModel
from strategies.regimes.options import FitOptions, FitRefused
from strategies.research.economics import judge
from strategies.research.hierarchy_walk import hierarchy_exposures
from strategies.research.walk_forward import WalkForwardOptions, folds
from tests.unit.strategies.regimes.models import gaussian_model
from tests.unit.strategies.series import regime_series

OPTIONS = FitOptions(starts=2, candidates=(3,))
POLICY = PolicyOptions(round_trip_cost_bps=2.0, min_t_statistic=0.0)
WALK = WalkForwardOptions(folds=2, purge=60, cost_bps=1.0, bars_per_year=525_600)


@pytest.fixture(scope="module")
def bars() -> BarTable:
    made = regime_series(4_000, 4)
    prices = {name: getattr(made, name) for name in ("open", "high", "low", "close")}
    return check_bars(made.open_at_ms, prices, made.volume)[0]


@pytest.fixture(scope="module")
def held(bars: BarTable) -> np.ndarray:
    return hierarchy_exposures(bars, bars.open_ms, OPTIONS, POLICY, WALK)


def test_it_holds_nothing_before_the_first_judged_bar_and_something_after(held: np.ndarray) -> None:
    assert not held[:2_000].any()
    assert held[2_000:].any()
    assert np.abs(held).max() <= 1.0


def test_bars_that_come_later_change_no_exposure_of_the_fold_before(bars: BarTable, held: np.ndarray) -> None:
    turned = bars.close.copy()
    turned[3_100:] = turned[3_100] ** 2 / turned[3_100:]
    high, low = np.maximum(bars.open, turned), np.minimum(bars.open, turned)
    other = replace(bars, close=turned, high=np.maximum(bars.high, high), low=np.minimum(bars.low, low))
    again = hierarchy_exposures(other, bars.open_ms, OPTIONS, POLICY, WALK)
    np.testing.assert_array_equal(again[:3_100], held[:3_100])


def test_it_stands_beside_the_others_and_pays_as_they_do(bars: BarTable, held: np.ndarray) -> None:
    found, _ = judge(bars.features(), bars.open_ms, bars.bar_ms, OPTIONS, POLICY, WALK, {"h2": held})
    (ours,) = (each for each in found if each.name == "h2")
    assert ours.trust is None
    assert ours.figures.bars == 2_000
    np.testing.assert_array_equal(ours.held[1:], held[2_000:-1])


def test_each_fold_is_fitted_on_the_bars_up_to_its_gap_and_one_without_a_model_holds_nothing(
    bars: BarTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = gaussian_model(2)
    model = HierarchicalModel(factor=5, macro=flat, micro=(flat, flat))
    seen: list[int] = []

    def train(_kind: str, known: BarTable, _options: FitOptions) -> tuple[HierarchicalModel, FitReport | None]:
        seen.append(int(known.open_ms[-1]))
        if len(seen) == 1:
            raise FitRefused("NO_STABLE_REGIMES", "none in the first fold")
        return model, None

    monkeypatch.setattr(walked, "train", train)
    found = hierarchy_exposures(bars, bars.open_ms, OPTIONS, POLICY, WALK)
    plan = list(folds(len(bars.open_ms), WALK))
    assert seen == [int(bars.open_ms[fold.train_to - 1]) for fold in plan]
    assert not found[: plan[1].test_from].any()

    def refuse(*_: object) -> None:
        raise FitRefused("NO_STABLE_REGIMES", "none at all")

    monkeypatch.setattr(walked, "train", refuse)
    with pytest.raises(FitRefused, match="NO_STABLE_REGIMES"):
        hierarchy_exposures(bars, bars.open_ms, OPTIONS, POLICY, WALK)
