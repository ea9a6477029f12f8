"""What a strategy wishes of recorded bars is what it wishes of them live, bar by bar."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine_service.backtest.event_path import wishes_of
from engine_service.backtest.series import BarSeries
from engine_service.backtest.signals import wishes_for
from strategies.features import compute
from strategies.regimes.fit import FitOptions, fit
from strategies.research.catalogue import StrategyChoice, UnknownSetting
from tests.unit.strategies.series import BAR_MS, regime_series

SYMBOL = "BTCUSDT.BINANCE"


@pytest.fixture(scope="module")
def choice() -> StrategyChoice:
    series = regime_series(1_500, 8)
    rows = compute(series.open, series.high, series.low, series.close, series.volume)
    model, _ = fit(rows, series.open_at_ms, BAR_MS, FitOptions(candidates=(3,), starts=2))
    cheap = {"round_trip_cost_bps": "2", "confidence_gate": "0.4"}
    return StrategyChoice(name="hmm_regime", settings=cheap, models={SYMBOL: model}, version="v")


@pytest.fixture(scope="module")
def bars() -> BarSeries:
    series = regime_series(900, 9)
    kept = np.delete(np.arange(900), slice(400, 405))
    opens = series.open_at_ms[kept]
    return BarSeries(
        symbol=SYMBOL,
        open_at=opens,
        close_at=opens + BAR_MS,
        open=series.open[kept],
        high=series.high[kept],
        low=series.low[kept],
        close=series.close[kept],
        volume=series.volume[kept],
    )


@pytest.mark.parametrize("name", ["hmm_regime", "ensemble"])
def test_features_that_are_known_at_once_change_no_wish(choice: StrategyChoice, bars: BarSeries, name: str) -> None:
    chosen = replace(choice, name=name)
    live = wishes_of(bars, [chosen.make(SYMBOL)])
    assert wishes_for(bars, chosen) == live
    assert len(live) > (5 if name == "hmm_regime" else 0)


def test_how_regimes_are_traded_can_be_chosen_and_nonsense_is_refused(choice: StrategyChoice, bars: BarSeries) -> None:
    dear = replace(choice, settings={"round_trip_cost_bps": "5000"})
    assert wishes_for(bars, dear) == []
    assert dear.policy().round_trip_cost_bps == 5_000.0
    for text in ("nan", "-1", "inf"):
        with pytest.raises(UnknownSetting, match="hysteresis"):
            replace(choice, settings={"hysteresis": text}).make(SYMBOL)
