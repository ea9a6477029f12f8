"""Whose scaler a model carries: that of its training bars, one that knew more, or one that these bars cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import strategies.regimes.fit as fits
from strategies.features import FEATURES
from strategies.regimes.fit import FitOptions, fit
from strategies.regimes.model import RegimeModel
from strategies.regimes.online import OnlineOptions, learn
from strategies.regimes.training import train
from strategies.research.lookahead_proof import ScalerCheck, check_scaler
from tests.unit.strategies.research.test_lookahead_proof import market

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def model() -> RegimeModel:
    bars = market(2000, seed=1)
    return fit(bars.features(), bars.open_ms, bars.bar_ms, FitOptions(candidates=(2,)))[0]


def test_the_scaler_of_the_training_bars_is_no_leak_and_neither_is_that_of_their_first_part(
    model: RegimeModel,
) -> None:
    bars = market(2000, seed=1)
    assert check_scaler(bars, model) == ScalerCheck()
    rows, half = bars.features(), 1_000
    early, _ = fit(rows[:half], bars.open_ms[:half], bars.bar_ms, FitOptions(candidates=(2,)))
    later, _ = learn(early, rows[half:], bars.open_ms[half:], bars.bar_ms, OnlineOptions())
    assert later.trained_to_ms == model.trained_to_ms
    assert check_scaler(bars, later) == ScalerCheck()


def test_a_scaler_that_knew_later_bars_is_named() -> None:
    bars, half = market(2000, seed=1), 1_000
    rows = bars.features()
    early, _ = fit(rows[:half], bars.open_ms[:half], bars.bar_ms, FitOptions(candidates=(2,)))
    used = rows[np.isfinite(rows).all(axis=1)][:, early.columns]
    knowing = replace(early, scaler_mean=used.mean(axis=0), scaler_scale=used.std(axis=0))
    found = check_scaler(bars, knowing)
    assert {leak.column for leak in found.leaks} == {f"scaler:{name}" for name in early.features}
    assert all(leak.difference > 1e-3 for leak in found.leaks)
    assert found.lacks == found.differs == ""


def test_bars_of_another_span_cannot_tell_whose_scaler_it_is(model: RegimeModel) -> None:
    for found in (
        check_scaler(market(1_500, seed=1), model),
        check_scaler(market(2_000, seed=1), replace(model, bars=model.bars - 1)),
    ):
        assert (found.leaks, found.lacks, found.differs) == ((), "SPAN_DIFFERS", "")


@pytest.mark.parametrize("apart", [1e-7, 1e-4, 1e-2])
@pytest.mark.parametrize("kind", ["gaussian_hmm", "jump"])
def test_other_prices_than_those_of_the_training_are_no_leak_and_are_named(kind: str, apart: float) -> None:
    bars = market(2_000, seed=1)
    fitted, _ = train(kind, bars, FitOptions(candidates=(2,)))
    assert check_scaler(bars, fitted) == ScalerCheck()
    factors = 1.0 + apart * np.random.default_rng(1).uniform(-1.0, 1.0, len(bars.close))
    moved = replace(bars, high=bars.high * factors.clip(1.0), low=bars.low * factors.clip(max=1.0))
    moved = replace(moved, close=np.clip(bars.close * factors, moved.low, moved.high))
    found = check_scaler(moved, fitted)
    assert (found.leaks, found.lacks) == ((), "BARS_DIFFER")
    assert found.differs.startswith("BARS_DIFFER: these bars stand where those of the training stood")


def test_a_scaler_of_all_bars_that_a_fit_took_over_is_named_by_its_own_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, half = market(2_000, seed=1), 1_000
    rows = bars.features()
    honest = fits.sample

    def knowing(known: Array, open_ms: NDArray[np.int64], bar_ms: int, options: FitOptions) -> fits.Sample:
        seen, all_of_it = honest(known, open_ms, bar_ms, options), honest(rows, bars.open_ms, bar_ms, options)
        own = seen.rows[:, [FEATURES.index(name) for name in options.features]]
        mean, scale = all_of_it.mean, all_of_it.scale
        return replace(seen, standard=(own - mean) / scale, mean=mean, scale=scale)

    monkeypatch.setattr(fits, "sample", knowing)
    leaking, _ = fit(rows[:half], bars.open_ms[:half], bars.bar_ms, FitOptions(candidates=(2,)))
    assert {leak.column for leak in check_scaler(bars, leaking).leaks} == {"scaler:log_return", "scaler:log_range"}
