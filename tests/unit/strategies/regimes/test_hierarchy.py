"""Two levels of regimes: slow bars decide which quick model counts, and no bar sees later than its own close."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from strategies.regimes.bar_table import PRICES, BarTable, check_bars
from strategies.regimes.filtering import filter_batch
from strategies.regimes.fit import FitOptions
from strategies.regimes.hierarchy import (
    HierarchicalModel,
    macro_posteriors,
    posteriors_of,
    read_model,
    slow_bars,
)
from strategies.regimes.model import ModelRefused, RegimeModel
from strategies.regimes.training import HierarchyOptions, train
from strategies.research.lookahead import find_leaks
from tests.unit.strategies.regimes.models import gaussian_model
from tests.unit.strategies.series import BAR_MS, regime_series

FACTOR = 5
BARS = 4_000


def _table(bars: int = BARS, without: slice | None = None, **options: float) -> BarTable:
    series = regime_series(bars, 71, dwell=options.get("dwell", 200.0))
    keep = np.ones(bars, dtype=bool)
    if without is not None:
        keep[without] = False
    columns = {name: getattr(series, name)[keep] for name in PRICES}
    return check_bars(series.open_at_ms[keep] - series.open_at_ms[0], columns, series.volume[keep])[0]


@pytest.fixture(scope="module")
def model() -> HierarchicalModel:
    made, report = train("h2", _table(), FitOptions(), hierarchy=HierarchyOptions(factor=FACTOR, macro=(3,)))
    assert isinstance(made, HierarchicalModel)
    assert len(report.occupancy) == made.count
    return made


def test_slow_bars_are_the_quick_ones_put_together() -> None:
    table = _table(100)
    slow, closed_at = slow_bars(table, FACTOR)
    assert len(slow.open_ms) == 20
    assert slow.bar_ms == FACTOR * BAR_MS
    np.testing.assert_array_equal(closed_at, np.arange(4, 100, 5))
    assert slow.high[3] == table.high[15:20].max()
    assert slow.low[3] == table.low[15:20].min()
    assert (slow.open[3], slow.close[3]) == (table.open[15], table.close[19])
    assert slow.volume[3] == pytest.approx(table.volume[15:20].sum())


def test_a_slow_bar_that_lacks_a_quick_one_is_left_out_and_windows_start_anew() -> None:
    slow, _ = slow_bars(_table(100, without=slice(52, 53)), FACTOR)
    assert len(slow.open_ms) == 19
    assert [(part.start, part.stop) for part in slow.stretches] == [(0, 10), (10, 19)]


def test_every_kind_of_hierarchy_survives_json(model: HierarchicalModel) -> None:
    text = json.dumps(model.to_dict())
    again = read_model(json.loads(text))
    assert isinstance(again, HierarchicalModel)
    assert json.dumps(again.to_dict()) == text
    assert isinstance(read_model(gaussian_model().to_dict()), RegimeModel)


def test_joint_shares_add_up_and_to_the_macro_shares(model: HierarchicalModel) -> None:
    table = _table()
    joint = posteriors_of(model, table)
    known = np.isfinite(joint).all(axis=1)
    above = macro_posteriors(model.macro, model.factor, table)
    np.testing.assert_allclose(joint[known].sum(axis=1), 1.0, atol=1e-12)
    first = model.micro[0].count
    np.testing.assert_allclose(joint[known, :first].sum(axis=1), above[known, 0], atol=1e-12)
    assert len(model.labels) == model.count == joint.shape[1]


def test_a_quick_bar_meets_the_newest_slow_bar_that_has_closed_and_no_later_one(model: HierarchicalModel) -> None:
    table = _table(600)
    slow, closed_at = slow_bars(table, FACTOR)
    rows = slow.features()
    complete = np.isfinite(rows).all(axis=1)
    truth, _ = filter_batch(model.macro, rows[complete])
    above = macro_posteriors(model.macro, model.factor, table)
    last = closed_at[complete][20]
    np.testing.assert_array_equal(above[last], truth[20])
    np.testing.assert_array_equal(above[last + FACTOR - 1], truth[20])
    np.testing.assert_array_equal(above[last - 1], truth[19])
    np.testing.assert_array_equal(above[0], model.macro.startprob)


def test_no_joint_share_changes_when_the_future_is_cut(model: HierarchicalModel) -> None:
    columns = [f"posterior_{number}" for number in range(model.count)]

    def shares(bars: int) -> np.ndarray:
        return posteriors_of(model, _cut(_table(900), bars))

    assert find_leaks(shares, columns, [203, 401, 602, 898]) == []


def _cut(table: BarTable, bars: int) -> BarTable:
    columns = {name: getattr(table, name)[:bars] for name in PRICES}
    return check_bars(table.open_ms[:bars], columns, table.volume[:bars])[0]


def test_the_macro_level_finds_regimes_that_last(model: HierarchicalModel) -> None:
    series = regime_series(BARS, 71, dwell=200.0)
    above = macro_posteriors(model.macro, model.factor, _table()).argmax(axis=1)[500:]
    truth = series.regimes[500:]
    shares = [max(np.mean(truth[above == number] == regime) for regime in range(3)) for number in range(3)]
    assert np.average(shares, weights=np.bincount(above, minlength=3)) > 0.7


@pytest.mark.parametrize(
    "changes",
    [{"factor": 1}, {"factor": "12"}, {"micro": []}, {"macro": 3}, {"kind": "h3"}, {"surplus": 1}, {"micro": "x"}],
)
def test_a_broken_hierarchy_is_refused(model: HierarchicalModel, changes: dict[str, Any]) -> None:
    with pytest.raises(ModelRefused):
        HierarchicalModel.from_dict({**model.to_dict(), **changes})


def test_more_regimes_than_anyone_can_tell_apart_are_refused() -> None:
    micro = gaussian_model(3)
    with pytest.raises(ModelRefused, match="at most"):
        HierarchicalModel(factor=4, macro=gaussian_model(3), micro=(micro, micro, micro))


def test_a_macro_regime_too_thin_for_a_model_takes_the_model_of_all_bars() -> None:
    options = FitOptions(min_refit_agreement=0.0, min_occupancy_frac=0.0)
    thin = replace(options, candidates=(2,))
    made, report = train("h2", _table(2_500), thin, hierarchy=HierarchyOptions(factor=FACTOR, macro=(3,), micro=(2,)))
    assert isinstance(made, HierarchicalModel)
    assert report.extra["micro_shared"] == sum(part.bars > 2_400 for part in made.micro)
