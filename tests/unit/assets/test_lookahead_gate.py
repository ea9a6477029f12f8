"""The look-ahead gate on stored bars: bars, scaler and values of a version are proved, or the reason is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assets.lookahead as gate
from assets.feature_table import build, newest_series
from assets.tables import FEATURE_ROWS
from orchestration.environment import load
from strategies.regimes.bar_table import check_bars
from strategies.regimes.fit import FitOptions, fit
from strategies.regimes.model import RegimeModel
from tests.unit.assets.bars import DAY, STEP, SYMBOL, bars, stored
from warehouse.store import Warehouse

RESEARCH = load({}).research


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = stored(Warehouse(tmp_path_factory.mktemp("w")), bars(1200))
    made.writer(FEATURE_ROWS).upsert(build(made, [DAY], market="spot", interval="1m", step_ms=STEP)[0])
    return made


@pytest.fixture(scope="module")
def model(store: Warehouse) -> RegimeModel:
    (series,), _ = newest_series(store, [SYMBOL], market="spot", interval="1m", step_ms=STEP, bars=9_000)
    return fit(series.rows, series.open_ms, STEP, FitOptions(candidates=(2,)))[0]


def proved(store: Warehouse, model: RegimeModel) -> dict[str, Any]:
    return gate.prove_symbol(store, RESEARCH, SYMBOL, model.to_dict())


def test_an_honest_version_passes_and_its_scaler_was_asked_for(store: Warehouse, model: RegimeModel) -> None:
    found = proved(store, model)
    assert (found["leaks"], found["reason"], found["scaler_checked"]) == ([], "", True)
    assert found["checked"] > 10_000


def test_a_scaler_that_knew_later_rows_than_the_card_says_is_named(store: Warehouse, model: RegimeModel) -> None:
    (series,), _ = newest_series(store, [SYMBOL], market="spot", interval="1m", step_ms=STEP, bars=9_000)
    early, _ = fit(series.rows[:-300], series.open_ms[:-300], STEP, FitOptions(candidates=(2,)))
    found = proved(store, replace(early, scaler_mean=model.scaler_mean, scaler_scale=model.scaler_scale))
    assert {leak["column"] for leak in found["leaks"]} == {"scaler:log_return", "scaler:log_range"}


def test_a_card_that_owns_up_to_other_rows_than_its_hash_tells_is_not_proved(
    store: Warehouse, model: RegimeModel
) -> None:
    early = replace(model, trained_to_ms=model.trained_to_ms - 300 * STEP, bars=model.bars - 300)
    found = proved(store, early)
    assert (found["leaks"], found["scaler_checked"]) == ([], False)
    assert found["reason"].startswith("BARS_DIFFER")


def test_rows_that_are_not_those_of_the_training_cannot_tell_whose_scaler_it_is(
    store: Warehouse, model: RegimeModel
) -> None:
    found = proved(store, replace(model, bars=model.bars + 1))
    assert (found["leaks"], found["scaler_checked"]) == ([], False)


def test_stored_bars_that_were_mended_with_later_ones_are_named(
    store: Warehouse, model: RegimeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mended(open_ms: Any, prices: Any, volume: Any, **words: Any) -> Any:
        return check_bars(open_ms, prices, np.where(volume < 4.0, volume.mean(), volume), **words)

    monkeypatch.setattr(gate, "check_bars", mended)
    assert "bar:volume" in {leak["column"] for leak in proved(store, model)["leaks"]}


def test_without_bars_there_is_no_proof(tmp_path: Path, model: RegimeModel) -> None:
    found = proved(Warehouse(tmp_path), model)
    assert (found["checked"], found["scaler_checked"]) == (0, False)
    assert "NO_BARS" in found["reason"]
