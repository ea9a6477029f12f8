"""Strategies act when they should, once, and not otherwise."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from strategies.brackets import BracketOptions, levels
from strategies.contracts import Bar, Signal
from strategies.ensemble import Ensemble
from strategies.features import compute
from strategies.ma_cross import MovingAverageCross
from strategies.regime_policy import PolicyOptions, RegimePolicy, regime_exposures
from strategies.regimes.fit import FitOptions, fit
from strategies.sizing import volatility_scale
from tests.unit.strategies.regimes.models import gaussian_model
from tests.unit.strategies.series import BAR_MS, regime_series


def _bar(close: float, index: int) -> Bar:
    at = index * BAR_MS
    return Bar(
        symbol="BTCUSDT.BINANCE", open_at_ms=at, close_at_ms=at + BAR_MS,
        open=close, high=close, low=close, close=close, volume=1.0,
    )  # fmt: skip


def _signal(strategy: str, target: float, confidence: float) -> Signal:
    return Signal(strategy=strategy, symbol="BTCUSDT.BINANCE", at_ms=0, target=target, confidence=confidence)


def test_the_crossing_signals_once_and_not_at_every_bar() -> None:
    closes = [100.0] * 30 + [100.0 + i for i in range(1, 20)] + [119.0 - 2 * i for i in range(1, 25)]
    strategy = MovingAverageCross(9, 21)
    signals = [signal for i, close in enumerate(closes) if (signal := strategy.on_bar(_bar(close, i)))]
    assert [signal.target for signal in signals] == [1.0, -1.0]
    assert [signal.confidence for signal in signals] == [0.5, 0.5], "nothing is known of its crossings yet"


def test_windows_that_cannot_cross_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        MovingAverageCross(21, 21)


def test_the_ensemble_gate_is_reachable_and_releases() -> None:
    ensemble = Ensemble({"ma_cross": 0.5, "hmm_regime": 0.5})
    assert ensemble.on_signal(_signal("ma_cross", 1.0, 0.58)) is None
    opened = ensemble.on_signal(_signal("hmm_regime", 0.8, 0.95))
    assert opened is not None
    assert opened.target == 1.0
    assert opened.confidence >= 0.6
    closed = ensemble.on_signal(_signal("ma_cross", -1.0, 0.9))
    assert closed is not None
    assert closed.target == 0.0


def test_opposite_members_cancel() -> None:
    ensemble = Ensemble({"ma_cross": 0.5, "hmm_regime": 0.5})
    ensemble.on_signal(_signal("ma_cross", 1.0, 0.7))
    ensemble.on_signal(_signal("hmm_regime", -1.0, 0.7))
    assert ensemble.score() == pytest.approx(0.0)


def test_what_a_member_said_last_does_not_outlive_it() -> None:
    ensemble = Ensemble({"ma_cross": 0.5, "hmm_regime": 0.5})
    ensemble.on_signal(_signal("hmm_regime", 1.0, 0.9))
    assert ensemble.score() == pytest.approx(0.9)
    ensemble.forget("hmm_regime")
    assert ensemble.score() == 0.0


@pytest.mark.parametrize("is_long", [True, False])
def test_brackets_stand_on_the_right_sides(is_long: bool) -> None:
    found = levels(Decimal(100), is_long=is_long, options=BracketOptions())
    assert (found.take_profit > 100) is is_long
    assert (found.stop_loss < 100) is is_long
    assert found.hit(found.take_profit, is_long=is_long) == "take_profit"
    assert found.hit(found.stop_loss, is_long=is_long) == "stop_loss"
    assert found.hit(Decimal(100), is_long=is_long) is None


def test_bracket_distances_are_20_and_30_basis_points() -> None:
    found = levels(Decimal(1000), is_long=True, options=BracketOptions())
    assert (found.take_profit, found.stop_loss) == (Decimal("1002.000"), Decimal("997.000"))


def test_size_falls_as_volatility_rises() -> None:
    sizes = [volatility_scale(volatility, 0.001) for volatility in (0.0005, 0.001, 0.002, 0.004, 0.1)]
    assert sizes == sorted(sizes, reverse=True)
    assert volatility_scale(float("nan"), 0.001) == 0.25


def test_the_regime_policy_goes_long_where_it_pays_and_says_why() -> None:
    series = regime_series(2_600, 11)
    rows = compute(series.open, series.high, series.low, series.close, series.volume)
    model, _ = fit(rows[:2_000], series.open_at_ms[:2_000], BAR_MS, FitOptions(candidates=(3,), starts=2))
    exposures = regime_exposures(model, PolicyOptions(round_trip_cost_bps=10.0))
    assert exposures[1] > 0 > exposures[2]
    policy = RegimePolicy(model, "rm-0123456789ab", PolicyOptions(round_trip_cost_bps=10.0))
    bars = series.bars()
    policy.warm(bars[1_700:2_000])
    signals = [signal for bar in bars[2_000:] if (signal := policy.on_bar(bar))]
    assert {signal.target > 0 for signal in signals} == {True, False}
    assert all(signal.why["model_version"] == "rm-0123456789ab" for signal in signals)
    assert all(signal.confidence >= 0.5 for signal in signals)
    gaps = [after.at_ms - before.at_ms for before, after in pairwise(signals)]
    assert min(gaps) >= BAR_MS


def test_a_regime_whose_mean_is_noise_gets_no_exposure() -> None:
    series = regime_series(2_000, 11)
    rows = compute(series.open, series.high, series.low, series.close, series.volume)
    model, _ = fit(rows, series.open_at_ms, BAR_MS, FitOptions(candidates=(3,), starts=1))
    assert regime_exposures(model, PolicyOptions(min_t_statistic=1e9)) == (0.0, 0.0, 0.0)


def test_a_regime_that_does_not_pay_its_round_trip_gets_no_exposure() -> None:
    model = replace(
        gaussian_model(2, stay=0.9), expected_return=np.array([-9e-5, 11e-5]), volatility=np.full(2, 1e-4), bars=10_000
    )
    # Ten bars of 0.9 bps lose 9 bps of a short's 10; ten of 1.1 bps earn 11.
    falling, rising = regime_exposures(model, PolicyOptions(round_trip_cost_bps=10.0))
    assert falling == 0.0
    assert rising == pytest.approx(0.55)
    assert regime_exposures(model, PolicyOptions(round_trip_cost_bps=8.0))[0] == pytest.approx(-9 / 16)
