"""The proof passes honest pipelines and catches every way of peeking that is planted here, by the column's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.features import FEATURES, WARM_UP
from strategies.regimes.bar_table import BarTable, check_bars
from strategies.regimes.calibration import Calibration
from strategies.regimes.fit import FitOptions, fit
from strategies.regimes.hierarchy import HierarchicalModel
from strategies.regimes.model import RegimeModel
from strategies.research.lookahead_proof import Pipeline, Proof, cut, pipeline_of, prove

Array = NDArray[np.float64]
T = 400


def market(count: int = T, seed: int = 4) -> BarTable:
    chance = np.random.default_rng(seed)
    wild = (np.arange(count) // 50) % 2 == 1
    close = 100.0 * np.exp(
        np.cumsum(np.where(wild, chance.normal(-5e-4, 3e-3, count), chance.normal(3e-4, 5e-4, count)))
    )
    opened = np.concatenate([[100.0], close[:-1]])
    wide = np.abs(chance.normal(0, np.where(wild, 2e-3, 3e-4), count)) + 1e-5
    prices = {
        "open": opened,
        "high": np.maximum(opened, close) * (1 + wide),
        "low": np.minimum(opened, close) * (1 - wide),
        "close": close,
    }
    volume = chance.uniform(1.0, 5.0, count)
    return check_bars(np.arange(count) * 60_000, prices, volume)[0]


@pytest.fixture(scope="module")
def model() -> RegimeModel:
    bars = market(2000, seed=1)
    return fit(bars.features(), bars.open_ms, bars.bar_ms, FitOptions(candidates=(2,)))[0]


@pytest.fixture(scope="module")
def honest(model: RegimeModel) -> Pipeline:
    return pipeline_of(model)


def names(proof: Proof) -> set[str]:
    return {leak.column for leak in proof.leaks}


def test_an_honest_pipeline_has_no_leak(honest: Pipeline) -> None:
    proof = prove(market(), honest)
    assert proof.leaks == ()
    assert proof.checked > 10 * T


def test_so_has_a_hierarchy(model: RegimeModel) -> None:
    two_levels = HierarchicalModel(factor=5, macro=model, micro=(model, model))
    assert prove(market(), pipeline_of(two_levels)).leaks == ()


def test_a_series_with_gaps_has_none_either(honest: Pipeline) -> None:
    bars = market()
    kept = np.delete(np.arange(T), slice(200, 210))
    columns = {name: getattr(bars, name)[kept] for name in ("open", "high", "low", "close")}
    assert prove(check_bars(bars.open_ms[kept], columns, bars.volume[kept])[0], honest).leaks == ()


def test_too_few_bars_are_no_proof(honest: Pipeline) -> None:
    with pytest.raises(ValueError, match="bars"):
        prove(market(WARM_UP), honest)


# --- planted leaks: each is (stage, what it does instead, a column that must be named) ------------------------------


def with_feature(name: str, spoil: Callable[[BarTable, Array], Array]) -> Callable[[Pipeline], Pipeline]:
    """Replace one feature's column by what ``spoil`` makes of the bars and the column."""
    at = FEATURES.index(name)

    def planted(pipeline: Pipeline) -> Pipeline:
        def features(bars: BarTable) -> Array:
            rows = pipeline.features(bars)
            rows[:, at] = spoil(bars, rows[:, at])
            return rows

        return replace(pipeline, features=features)

    return planted


def centred_mean(_bars: BarTable, column: Array) -> Array:
    return np.convolve(np.nan_to_num(column), np.ones(5) / 5, mode="same")


def next_value(_bars: BarTable, column: Array) -> Array:
    return np.append(column[1:], column[-1])


def full_sample_zscore(_bars: BarTable, column: Array) -> Array:
    known = column[np.isfinite(column)]
    return np.asarray((column - known.mean()) / known.std()) if len(known) else column


def full_range(_bars: BarTable, column: Array) -> Array:
    known = column[np.isfinite(column)]
    return np.asarray((column - known.min()) / (known.max() - known.min())) if len(known) else column


def filled_from_behind(_bars: BarTable, column: Array) -> Array:
    filled = np.where(np.arange(len(column)) % 7 == 3, np.nan, column)
    for at in range(len(filled) - 2, -1, -1):
        filled[at] = filled[at + 1] if np.isnan(filled[at]) else filled[at]
    return filled


def ranked_over_everything(_bars: BarTable, column: Array) -> Array:
    return np.argsort(np.argsort(column)).astype(np.float64) / len(column)


def slow_bar_not_closed_yet(bars: BarTable, _column: Array) -> Array:
    """The close of the hour a minute stands in: resampled to the left edge, which is known only at its end."""
    group = np.arange(len(bars.close)) // 15
    last = np.append(np.flatnonzero(np.diff(group)), len(group) - 1)
    return np.asarray(bars.close[last[group]])


def volume_share_of_the_day(bars: BarTable, _column: Array) -> Array:
    return np.asarray(bars.volume / bars.volume.mean())


def detrended_by_a_line(bars: BarTable, _column: Array) -> Array:
    at = np.arange(len(bars.close), dtype=np.float64)
    return np.asarray(bars.close - np.polyval(np.polyfit(at, bars.close, 1), at))


def smoothed_twice(_bars: BarTable, column: Array) -> Array:
    """Forward and backward exponential smoothing, as zero-phase filters do."""
    series = np.nan_to_num(column)
    for _ in range(2):
        for at in range(1, len(series)):
            series[at] = 0.7 * series[at - 1] + 0.3 * series[at]
        series = series[::-1].copy()
    return series


FEATURE_LEAKS = [
    centred_mean,
    next_value,
    full_sample_zscore,
    full_range,
    filled_from_behind,
    ranked_over_everything,
    slow_bar_not_closed_yet,
    volume_share_of_the_day,
    detrended_by_a_line,
    smoothed_twice,
]


@pytest.mark.parametrize("spoil", FEATURE_LEAKS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("name", ["log_return", "slope_20"])
def test_a_feature_that_peeks_is_named(honest: Pipeline, name: str, spoil: Callable[[BarTable, Array], Array]) -> None:
    assert f"feature:{name}" in names(prove(market(), with_feature(name, spoil)(honest)))


def smoothed(model: RegimeModel) -> Callable[[BarTable], Array]:
    """Forward-backward posteriors, as ``hmmlearn.predict_proba`` gives them."""

    def posterior(bars: BarTable) -> Array:
        forward = pipeline_of(model).posterior(bars)
        for at in range(len(forward) - 2, -1, -1):
            if np.isfinite(forward[at]).all() and np.isfinite(forward[at + 1]).all():
                ahead = forward[at] @ model.transmat
                forward[at] *= model.transmat @ (forward[at + 1] / np.maximum(ahead, 1e-300))
        return forward

    return posterior


def most_likely_path(model: RegimeModel) -> Callable[[BarTable], Array]:
    """The Viterbi path as if it were a posterior."""

    def posterior(bars: BarTable) -> Array:
        rows = bars.features()
        known = np.isfinite(rows).all(axis=1)
        found = np.full((len(rows), model.count), np.nan)
        if not known.any():
            return found
        standard = (rows[known][:, model.columns] - model.scaler_mean) / model.scaler_scale
        apart = standard[:, None, :] - model.means
        density = -0.5 * (apart**2 / model.covars + np.log(model.covars)).sum(axis=2)
        moves = np.log(model.transmat)
        best, back = density[0], []
        for row in density[1:]:
            ways = best[:, None] + moves
            back.append(ways.argmax(axis=0))
            best = ways.max(axis=0) + row
        path = [int(best.argmax())]
        for step in reversed(back):
            path.append(int(step[path[-1]]))
        found[known] = np.eye(model.count)[path[::-1]]
        return found

    return posterior


@pytest.mark.parametrize("peek", [smoothed, most_likely_path], ids=lambda peek: peek.__name__)
def test_a_posterior_of_hindsight_is_named(
    honest: Pipeline, model: RegimeModel, peek: Callable[[RegimeModel], Callable[[BarTable], Array]]
) -> None:
    # Few bars change their mind late: the end of the sample has to be cut often.
    assert "posterior:0" in names(prove(market(), replace(honest, posterior=peek(model)), cuts=60))


def test_a_scaler_of_the_whole_sample_is_named(honest: Pipeline, model: RegimeModel) -> None:
    def scale(rows: Array) -> Array:
        used = rows[:, model.columns]
        return np.asarray((used - np.nanmean(used, axis=0)) / np.nanstd(used, axis=0))

    assert {"scaled:0", "scaled:1"} <= names(prove(market(), replace(honest, scale=scale)))


def test_a_signal_that_waits_for_a_confirmation_is_named(honest: Pipeline) -> None:
    def target(posteriors: Array) -> Array:
        held = honest.target(posteriors)
        return np.where(np.append(held[1:], 0.0) == held, held, 0.0)

    assert "signal:target" in names(prove(market(), replace(honest, target=target), cuts=60))


def test_a_calibrated_model_has_no_leak_and_a_confidence_ranked_over_all_bars_is_named(model: RegimeModel) -> None:
    from_ms, to_ms = model.trained_from_ms, model.trained_to_ms
    steps = Calibration(edges=(0.6, 0.9), values=(0.45, 0.55, 0.6), outcomes=300.0, from_ms=from_ms, to_ms=to_ms)
    calibrated = pipeline_of(replace(model, calibration=steps))
    assert prove(market(), calibrated).leaks == ()

    def confidence(posteriors: Array) -> Array:
        told = posteriors.max(axis=1)
        return np.argsort(np.argsort(told)).astype(np.float64) / len(told)

    assert names(prove(market(), replace(calibrated, confidence=confidence))) == {"signal:confidence"}


@pytest.mark.parametrize("ahead", [1, 5])
def test_a_size_by_the_volatility_to_come_is_named(honest: Pipeline, ahead: int) -> None:
    def size(bars: BarTable) -> Array:
        steps = np.abs(np.diff(bars.close, append=bars.close[-1]))
        return np.append(steps[ahead:], np.zeros(ahead))

    assert names(prove(market(), replace(honest, size=size))) == {"size:share"}


def next_value_on_busy_bars(bars: BarTable, column: Array) -> Array:
    """The next bar's value where volume is the largest of twenty bars: one bar in twenty knows its future."""
    busy = [at for at in range(20, len(column) - 1) if bars.volume[at] == bars.volume[at - 19 : at + 1].max()]
    spoilt = column.copy()
    spoilt[busy] = column[np.array(busy, dtype=np.int64) + 1]
    return spoilt


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_that_opens_at_one_bar_in_twenty_is_found_all_the_same(honest: Pipeline, seed: int) -> None:
    proof = prove(market(900, seed), with_feature("zscore_30", next_value_on_busy_bars)(honest))
    assert [leak.column for leak in proof.leaks] == ["feature:zscore_30"]
    assert proof.leaks[0].cut - 1 == proof.leaks[0].at


@pytest.mark.parametrize("seed", [1, 2])
def test_a_leak_that_opens_before_the_few_largest_moves_alone_is_found(honest: Pipeline, seed: int) -> None:
    def warned(bars: BarTable, column: Array) -> Array:
        after = np.append(bars.close[1:] / bars.close[:-1] - 1.0, 0.0)
        return np.where(after > 0.008, column + 1.0, column)

    bars = market(3_000, seed)
    assert 1 <= (bars.close[1:] / bars.close[:-1] - 1.0 > 0.008).sum() <= 40
    assert names(prove(bars, with_feature("volume_ratio_20", warned)(honest))) == {"feature:volume_ratio_20"}


def test_a_warm_up_that_is_filled_from_later_is_named(honest: Pipeline) -> None:
    def filled(_bars: BarTable, column: Array) -> Array:
        known = np.flatnonzero(np.isfinite(column))
        return np.where(np.arange(len(column)) < known[0], column[known[0]], column) if len(known) else column

    assert names(prove(market(), with_feature("volatility_20", filled)(honest))) == {"feature:volatility_20"}


def test_a_slow_bar_that_counts_before_it_has_closed_is_named(model: RegimeModel) -> None:
    two_levels = HierarchicalModel(factor=5, macro=model, micro=(model, model))
    known = pipeline_of(two_levels)

    def posterior(bars: BarTable) -> Array:
        # The posterior of a slow bar from its first quick bar on: it is known only at its last.
        return np.roll(known.posterior(bars), -4, axis=0)

    assert "posterior:0" in names(prove(market(), replace(known, posterior=posterior)))


def test_a_label_of_the_next_return_is_named(honest: Pipeline) -> None:
    def label(bars: BarTable, column: Array) -> Array:
        return np.where(np.append(bars.close[1:], bars.close[-1]) > bars.close, column + 1.0, column)

    assert names(prove(market(), with_feature("slope_20", label)(honest))) == {"feature:slope_20"}


def test_a_leak_says_where_and_how_much(honest: Pipeline) -> None:
    bars = market()
    proof = prove(bars, with_feature("log_return", next_value)(honest), cuts=1)
    (leak,) = (leak for leak in proof.leaks if leak.column == "feature:log_return")
    rows = honest.features(bars)[:, 0]
    assert leak.at == leak.cut - 1
    assert leak.difference == pytest.approx(abs(rows[leak.at + 1] - rows[leak.at]))


def test_the_first_bars_of_a_cut_series_are_those_of_the_whole() -> None:
    bars = market()
    part = cut(bars, 123)
    assert part.open_ms.tolist() == bars.open_ms[:123].tolist()
    assert part.stretches == (slice(0, 123),)
