"""What regimes are worth: everyone on the same bars, after costs, with errors; and nobody sees the future."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from strategies.features import FEATURES, compute
from strategies.regime_policy import PolicyOptions
from strategies.regimes.fit import FitOptions
from strategies.research.economics import Judged, judge, together
from strategies.research.walk_forward import WalkForwardOptions
from tests.unit.strategies.series import BAR_MS, regime_series

BARS = 2_400
FIT = FitOptions(candidates=(3,), starts=4)
POLICY = PolicyOptions(round_trip_cost_bps=4.0)
WALK = WalkForwardOptions(folds=2, train_share=0.5, purge=40, cost_bps=2.0, bars_per_year=525_600)


def _rows(bars: int = BARS, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    series = regime_series(bars, seed)
    return compute(series.open, series.high, series.low, series.close, series.volume), series.open_at_ms


@pytest.fixture(scope="module")
def judged() -> dict[str, Judged]:
    found, refused = judge(*_rows(), BAR_MS, FIT, POLICY, WALK)
    assert refused == {}
    return {each.name: each for each in found}


def test_both_kinds_of_model_stand_beside_what_needs_none(judged: dict[str, Judged]) -> None:
    assert set(judged) == {"buy_and_hold", "vol_target", "ma_cross", "gaussian_hmm", "jump"}
    assert {each.figures.bars for each in judged.values()} == {BARS - BARS // 2}
    assert all(math.isfinite(each.edge_se) and each.figures.sharpe_se > 0 for each in judged.values())


def test_holding_has_no_edge_over_itself_and_pays_once(judged: dict[str, Judged]) -> None:
    hold = judged["buy_and_hold"]
    assert (hold.edge, hold.edge_se) == (0.0, 0.0)
    rows, _ = _rows()
    market = np.expm1(rows[BARS // 2 :, FEATURES.index("log_return")])
    market[0] = -WALK.cost_bps / 10_000.0
    assert hold.figures.total_return == pytest.approx(np.prod(1.0 + market) - 1.0)


def test_a_model_of_a_market_with_regimes_is_worth_something_and_says_how_sure_that_is(
    judged: dict[str, Judged],
) -> None:
    hmm = judged["gaussian_hmm"]
    assert hmm.trust is not None
    assert hmm.edge > 2 * hmm.edge_se > 0
    assert hmm.trust.held_out.nats_per_bar > 5 * hmm.trust.held_out.error > 0
    assert hmm.trust.lag.agreement > 0.7
    assert hmm.trust.refits > 0.8
    assert hmm.trust.refit_agreement > 0.8
    jump = judged["jump"].trust
    assert jump is not None
    assert jump.dwell_bars > 5


def test_higher_costs_leave_less_to_whoever_trades(judged: dict[str, Judged]) -> None:
    dear, _ = judge(*_rows(), BAR_MS, FIT, POLICY, replace(WALK, cost_bps=20.0))
    after = {each.name: each for each in dear}
    for name in ("ma_cross", "gaussian_hmm"):
        assert after[name].figures.total_return < judged[name].figures.total_return


def test_a_market_without_regimes_yields_no_claim() -> None:
    chance = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(0.001 * chance.standard_normal(1_600)))
    rows = compute(close, close * 1.0005, close * 0.9995, close, np.ones(1_600))
    found, refused = judge(rows, np.arange(1_600) * BAR_MS, BAR_MS, FIT, POLICY, WALK)
    models = [each for each in found if each.trust is not None]
    assert len(models) + len(refused) == 2
    assert all(each.figures.sharpe < 3 * each.figures.sharpe_se for each in models)


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        judge(*_rows(120), BAR_MS, FIT, POLICY, WALK)


def test_a_portfolio_of_one_symbol_twice_is_that_symbol(judged: dict[str, Judged]) -> None:
    one = tuple(judged.values())
    both = {each.name: each for each in together([one, one], WALK.bars_per_year)}
    for name, each in judged.items():
        assert both[name].figures.sharpe == pytest.approx(each.figures.sharpe)
        assert both[name].edge == pytest.approx(each.edge)


def test_a_portfolio_needs_the_same_bars(judged: dict[str, Judged]) -> None:
    shorter = [replace(each, net=each.net[1:]) for each in judged.values()]
    with pytest.raises(ValueError, match="same bars"):
        together([tuple(judged.values()), shorter], WALK.bars_per_year)
