"""The word of the crossover is worth what its own past crossings were: measured, remembered for long enough, named."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.contracts import Bar, Signal
from strategies.ensemble import Ensemble
from strategies.ma_cross import MovingAverageCross
from strategies.regimes.calibration import calibration_error
from strategies.track_record import LEAST_OUTCOMES, PRIOR, TrackRecord
from tests.unit.strategies.test_strategies import _bar

START_BARS = 499


def walk(seed: int, bars: int, trend_bars: int) -> list[float]:
    """Closes that drift one way for some bars, then the other; with none, a random walk."""
    random = np.random.default_rng(seed)
    way = np.sign(np.sin(np.arange(bars) * np.pi / trend_bars)) if trend_bars else np.zeros(bars)
    steps: NDArray[np.float64] = random.normal(0.0003 * way, 0.001)
    return [float(price) for price in np.round(100.0 * np.exp(np.cumsum(steps)), 6)]


def shown(strategy: MovingAverageCross, closes: list[float], first: int = 0) -> list[Signal]:
    bars: list[Bar] = [_bar(close, first + at) for at, close in enumerate(closes)]
    return [signal for bar in bars if (signal := strategy.on_bar(bar)) is not None]


def judged(signals: list[Signal], closes: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidences of signals that rest on enough outcomes, and whether the price went their way until the next."""
    price = {_bar(0.0, at).close_at_ms: close for at, close in enumerate(closes)}
    pairs = [
        (one.confidence, float((price[after.at_ms] > price[one.at_ms]) is (one.target > 0)))
        for one, after in pairwise(signals)
        if one.why["confidence_scale"] == "calibrated"
    ]
    told, right = zip(*pairs, strict=True)
    return np.array(told), np.array(right)


@pytest.mark.parametrize("trend_bars", [0, 40])
def test_a_crossing_is_right_as_often_as_its_confidence_says(trend_bars: int) -> None:
    closes = walk(3, 20_000, trend_bars)
    told, right = judged(shown(MovingAverageCross(), closes), closes)
    assert len(told) > 500
    # The prior of one half stands among few outcomes: it draws towards the middle, never away from it.
    assert abs(told.mean() - right.mean()) < 0.09
    assert calibration_error(told, right) < 0.12
    assert abs(told.mean() - 0.5) <= abs(right.mean() - 0.5)


def test_the_gate_of_the_ensemble_is_reached_where_prices_trend_and_not_where_they_walk_at_random() -> None:
    def entries(trend_bars: int) -> int:
        ensemble = Ensemble({"ma_cross": 1.0})
        spoken = [ensemble.on_signal(signal) for signal in shown(MovingAverageCross(), walk(3, 5_000, trend_bars))]
        return sum(signal is not None and signal.target != 0.0 for signal in spoken)

    assert entries(trend_bars=40) > 10
    assert entries(trend_bars=0) <= 2


def test_few_outcomes_are_named_and_say_one_half() -> None:
    signals = shown(MovingAverageCross(), walk(3, 480, 0))
    assert (signals[0].confidence, signals[0].why["confidence_scale"]) == (0.5, "prior: TOO_FEW_OUTCOMES")
    assert signals[-1].why["confidence_scale"] == "calibrated"
    assert int(signals[-1].why["outcomes"]) >= LEAST_OUTCOMES


@pytest.mark.parametrize(("fast", "slow"), [(9, 21), (20, 60), (3, 5)])
def test_a_start_that_reads_past_bars_says_the_same_as_if_it_had_never_stopped(fast: int, slow: int) -> None:
    closes = walk(5, 3_000, 0)
    always, begun = MovingAverageCross(fast, slow), MovingAverageCross(fast, slow)
    shown(always, closes[:2_000])
    shown(begun, closes[2_000 - START_BARS : 2_000], first=2_000 - START_BARS)
    assert shown(begun, closes[2_000:], first=2_000) == shown(always, closes[2_000:], first=2_000)


def test_an_outcome_counts_when_it_is_over_and_a_price_that_stood_tells_nothing() -> None:
    record = TrackRecord(memory_bars=100)
    told = []
    for price, is_up in ((10.0, True), (11.0, False), (11.0, True), (9.0, False)):
        record.next_bar()
        record.signal(price, is_up)
        told.append((record.why["outcomes"], record.why["outcomes_right"]))
    assert told == [("0", "0"), ("1", "1"), ("1", "1"), ("2", "1")]
    assert record.confidence == 0.5
    for at in range(LEAST_OUTCOMES):
        record.next_bar()
        record.signal(9.0 - (at + 1), False)
    assert record.confidence == (1 + LEAST_OUTCOMES + PRIOR / 2) / (2 + LEAST_OUTCOMES + PRIOR)
    for _ in range(100):
        record.next_bar()
    assert record.why["outcomes"] == "0"
