"""Features: one definition, no hindsight."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.contracts import Bar
from strategies.features import FEATURES, WARM_UP, FeatureStream, KnownFeatures, compute
from strategies.regimes.bar_table import PRICES, check_bars
from strategies.research.lookahead import find_leaks
from tests.unit.strategies.series import BAR_MS, regime_series


def _matrix(length: int, seed: int) -> np.ndarray:
    series = regime_series(length, seed)
    return compute(series.open, series.high, series.low, series.close, series.volume)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), length=st.integers(WARM_UP, 120))
def test_streaming_and_batch_agree_to_a_trillionth(seed: int, length: int) -> None:
    series = regime_series(length, seed)
    batch = compute(series.open, series.high, series.low, series.close, series.volume)
    stream = FeatureStream()
    for index, bar in enumerate(series.bars()):
        row = stream.push(bar)
        if row is None:
            assert index < WARM_UP - 1
            continue
        np.testing.assert_allclose(row, batch[index], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("closing", [0, 1])
def test_after_a_gap_and_after_a_split_the_stream_begins_anew_as_the_batch_does(closing: int) -> None:
    """``closing``: some venues call a bar closed at its last millisecond, others at the next bar's first."""
    series = regime_series(300, 5)
    kept = np.delete(np.arange(300), slice(100, 103))
    factor = np.where(np.arange(300) >= 200, 0.1, 1.0)[kept]
    prices = {name: getattr(series, name)[kept] * factor for name in PRICES}
    table, counts = check_bars(series.open_at_ms[kept], prices, series.volume[kept])
    assert (counts["gaps"], counts["splits"]) == (1, 1)
    stream = FeatureStream()
    for index, expected in enumerate(table.features()):
        at = int(table.open_ms[index])
        values = {name: float(getattr(table, name)[index]) for name in (*PRICES, "volume")}
        row = stream.push(Bar(symbol="X", open_at_ms=at, close_at_ms=at + BAR_MS - closing, **values))
        assert (row is None) == (not np.isfinite(expected).all())
        if row is not None:
            np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("closing", [0, 1])
def test_rows_that_are_known_at_once_are_those_of_the_stream(closing: int) -> None:
    series = regime_series(400, 6)
    kept = np.delete(np.arange(400), [*range(100, 103), 250])
    factor = np.where(np.arange(400) >= 200, 0.1, 1.0)[kept]
    opens, closes = series.open_at_ms[kept], series.open_at_ms[kept] + BAR_MS - closing
    prices = [getattr(series, name)[kept] * factor for name in PRICES]
    known = KnownFeatures(opens, closes, (prices[0], prices[1], prices[2], prices[3], series.volume[kept]))
    stream, answered = FeatureStream(), 0
    for at, (open_ms, close_ms) in enumerate(zip(opens.tolist(), closes.tolist(), strict=True)):
        values = dict(zip(PRICES, (float(column[at]) for column in prices), strict=True))
        bar = Bar(symbol="X", open_at_ms=open_ms, close_at_ms=close_ms, **values, volume=float(series.volume[kept][at]))
        live, row = stream.push(bar), known.push(bar)
        assert (live is None) == (row is None)
        if live is not None:
            answered += 1
            np.testing.assert_array_equal(row, live)
    assert answered == 100 - 29 + (200 - 103) - 29 + (250 - 200) - 29 + (400 - 251) - 29
    with pytest.raises(ValueError, match="not the next"):
        known.push(bar)


def test_rows_are_complete_exactly_after_warm_up() -> None:
    matrix = _matrix(100, 1)
    assert not np.isfinite(matrix[: WARM_UP - 1]).all(axis=1).any()
    assert np.isfinite(matrix[WARM_UP - 1 :]).all()


def test_no_feature_changes_when_the_future_is_cut() -> None:
    series = regime_series(300, 5)

    def past(rows: int) -> np.ndarray:
        return compute(*(c[:rows] for c in (series.open, series.high, series.low, series.close, series.volume)))

    assert find_leaks(past, FEATURES, [50, 111, 200, 300]) == []


def test_a_feature_that_peeks_is_caught_by_name() -> None:
    series = regime_series(300, 5)

    def leaking(rows: int) -> np.ndarray:
        matrix = compute(*(c[:rows] for c in (series.open, series.high, series.low, series.close, series.volume)))
        matrix[:, 3] = series.close[:rows] - series.close[:rows].mean()
        return matrix

    leaks = find_leaks(leaking, FEATURES, [100, 300])
    assert {leak.column for leak in leaks} == {"zscore_30"}


def test_hand_made_values() -> None:
    close = np.full(40, 100.0)
    close[-1] = 101.0
    matrix = compute(close, close, close, close, np.full(40, 2.0))
    last = dict(zip(FEATURES, matrix[-1], strict=True))
    assert last["log_return"] == pytest.approx(np.log(1.01))
    assert last["volume_ratio_20"] == pytest.approx(1.0)
    assert last["vwap_deviation_20"] == pytest.approx(101.0 / (100.0 + 1.0 / 20.0) - 1.0)
    assert last["log_range"] == pytest.approx(np.log(1e-6))


def test_prices_that_are_not_positive_are_refused() -> None:
    bad = np.array([1.0, 0.0])
    with pytest.raises(ValueError, match="positive"):
        compute(bad, bad, bad, bad, bad)


def test_each_symbol_of_a_panel_has_the_features_it_has_alone() -> None:
    columns = [
        np.stack([getattr(regime_series(90, seed), name) for seed in range(19)])
        for name in ("open", "high", "low", "close", "volume")
    ]
    panel = compute(*columns)
    assert panel.shape == (19, 90, len(FEATURES))
    for symbol in range(19):
        np.testing.assert_array_equal(panel[symbol], compute(*(column[symbol] for column in columns)))
