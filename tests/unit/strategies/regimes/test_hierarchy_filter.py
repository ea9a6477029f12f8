"""The two-level model live: the same posterior at every bar as over all bars at once, and a strategy that trades it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from strategies.contracts import Bar
from strategies.features import FeatureStream
from strategies.policy_path import held_exposures
from strategies.regime_policy import PolicyOptions, RegimePolicy, model_exposures
from strategies.regimes.bar_table import PRICES, BarTable, check_bars
from strategies.regimes.fit import FitOptions
from strategies.regimes.hierarchy import HierarchicalModel, posteriors_of
from strategies.regimes.hierarchy_filter import HierarchyFilter
from strategies.regimes.training import HierarchyOptions, train
from tests.unit.strategies.series import BAR_MS, regime_series

BARS, FACTOR = 4_000, 5
OPTIONS = PolicyOptions(round_trip_cost_bps=0.5, min_t_statistic=0.0, hysteresis=0.1)


def table(without: tuple[int, ...] = (), split_at: int = 0) -> BarTable:
    series = regime_series(BARS, 71, dwell=200.0)
    keep = ~np.isin(np.arange(BARS), without)
    factor = np.where(np.arange(BARS) >= split_at, 0.1, 1.0)[keep] if split_at else np.ones(keep.sum())
    columns = {name: getattr(series, name)[keep] * factor for name in PRICES}
    return check_bars(series.open_at_ms[keep], columns, series.volume[keep])[0]


@pytest.fixture(scope="module")
def model() -> HierarchicalModel:
    made, _ = train("h2", table(), FitOptions(), hierarchy=HierarchyOptions(factor=FACTOR, macro=(3,)))
    assert isinstance(made, HierarchicalModel)
    return made


def bars_of(seen: BarTable, closes_early_ms: int = 1) -> list[Bar]:
    columns = zip(*(getattr(seen, name).tolist() for name in (*PRICES, "volume")), strict=True)
    return [
        Bar(
            symbol="X.BINANCE",
            open_at_ms=at,
            close_at_ms=at + BAR_MS - closes_early_ms,
            **dict(zip((*PRICES, "volume"), values, strict=True)),
        )
        for at, values in zip(seen.open_ms.tolist(), columns, strict=True)
    ]


@pytest.mark.parametrize(
    "seen",
    [
        table(),
        table(without=(1_203,)),
        table(without=tuple(range(1_500, 1_525))),
        table(without=tuple(range(1_502, 1_519))),
        table(split_at=2_002),
        table(split_at=2_000),
    ],
    ids=["whole", "a bar", "slow bars", "parts of slow bars", "split within a slow bar", "split between two"],
)
@pytest.mark.parametrize("closes_early_ms", [0, 1])
def test_bar_by_bar_it_is_what_it_is_over_all_bars(
    seen: BarTable, closes_early_ms: int, model: HierarchicalModel
) -> None:
    wanted = posteriors_of(model, seen)
    live, features = HierarchyFilter(model), FeatureStream()
    for at, bar in enumerate(bars_of(seen, closes_early_ms)):
        live.see(bar)
        row = features.push(bar)
        if row is None:
            assert np.isnan(wanted[at]).all()
        else:
            shares = live.step(row.tolist())
            np.testing.assert_allclose(shares, wanted[at], atol=1e-9)
            assert live.posterior == shares


def test_the_regime_strategy_trades_it_as_the_walk_forward_does(model: HierarchicalModel) -> None:
    seen = table()
    policy = RegimePolicy(model, "rm-1", OPTIONS)
    said = [policy.on_bar(bar) for bar in bars_of(seen)]
    signals = [signal for signal in said if signal is not None]
    assert len(signals) > 3
    assert all(" / " in signal.why["label"] for signal in signals)
    assert signals[0].why["model_data"] == model.macro.data_hash[:16]
    held, target = [], 0.0
    for signal in said:
        target = target if signal is None else signal.target
        held.append(target)
    posteriors = posteriors_of(model, seen)
    wanted = held_exposures(posteriors, np.array(model_exposures(model, OPTIONS)), OPTIONS, BAR_MS)
    np.testing.assert_allclose(held, wanted, atol=1e-9)
    again = policy.anew()
    assert [again.on_bar(bar) for bar in bars_of(seen)] == said


def test_before_the_first_slow_bars_are_known_every_macro_regime_counts_as_at_the_start(
    model: HierarchicalModel,
) -> None:
    live = HierarchyFilter(model)
    features = FeatureStream()
    for bar in bars_of(table())[:40]:
        live.see(replace(bar, symbol="Y.BINANCE"))
        if (row := features.push(bar)) is not None:
            shares = live.step(row.tolist())
    edges = np.cumsum([0, *(each.count for each in model.micro)])
    above = [sum(shares[begin:end]) for begin, end in pairwise(edges)]
    np.testing.assert_allclose(above, model.macro.startprob, atol=1e-12)
