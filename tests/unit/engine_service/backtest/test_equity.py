"""The curve gives the same points in pieces and at once, and the figures are those of their plain formulas."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from engine_service.backtest.equity import EquityCurve, cash_flows, flows_of
from engine_service.backtest.equity_summary import PIECE, STRETCH
from engine_service.backtest.figures import drawdown
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderSide
from strategies.research.metrics import sharpe_estimate
from tests.unit.engine_service.backtest.builders import BAR_MS, START_MS, columns, walk

D = Decimal
Floats = NDArray[np.float64]


def curve_of(closes: Floats, start: float, seed: int = 3, *, quantity: float = 1.0) -> EquityCurve:
    """Return the curve of an account that turns between long and short at random bars."""
    one = columns(closes)
    bars = np.flatnonzero(np.random.default_rng(seed).random(len(closes)) < 0.05)
    signed = np.where(np.arange(len(bars)) % 2, 2.0, -2.0) * quantity
    signed[:1] /= 2.0
    flows = cash_flows(bars, signed, one.close[bars], D(5))
    return EquityCurve({one.symbol: one}, {one.symbol: flows}, start)


def plain_drawdown(equity: Floats) -> float:
    return float((1.0 - equity / np.maximum.accumulate(equity)).max())


@pytest.mark.parametrize(
    "bars", [1, 2, STRETCH - 1, STRETCH, STRETCH + 1, PIECE, PIECE + 1, 2 * PIECE + 3 * STRETCH + 7]
)
def test_figures_in_pieces_are_those_of_the_whole_curve(bars: int) -> None:
    curve = curve_of(walk(bars, 5), 2_000.0)
    equity, summary = curve.equity, curve.summary
    assert summary.bars == len(equity) == bars
    assert summary.total / bars == pytest.approx(equity.mean(), rel=1e-13)
    whole = sharpe_estimate(np.diff(equity) / equity[:-1])
    pieces = summary.moments.sharpe()
    for name in ("per_bar", "bars", "skew", "kurtosis", "standard_error"):
        assert getattr(pieces, name) == pytest.approx(getattr(whole, name), rel=1e-10, abs=1e-15)
    assert drawdown(curve) == pytest.approx(plain_drawdown(equity), rel=1e-12, abs=1e-15)
    np.testing.assert_array_equal(curve.part(bars // 3, bars)[0], equity[bars // 3 :])


@pytest.mark.parametrize("seed", range(12))
def test_the_deepest_fall_is_found_wherever_it_lies(seed: int) -> None:
    chance = np.random.default_rng(seed)
    drift = np.repeat(chance.normal(0.0, 0.0004, 8), STRETCH)
    closes = 100.0 * np.exp(np.cumsum(drift + chance.normal(0.0, 0.003, len(drift))))
    one = columns(closes)
    held = cash_flows(np.array([0]), np.array([1.0]), closes[:1], D(0))
    curve = EquityCurve({one.symbol: one}, {one.symbol: held}, 150.0)
    assert drawdown(curve) == pytest.approx(plain_drawdown(curve.equity), rel=1e-12)


@pytest.mark.parametrize("at_open", [False, True])
@pytest.mark.parametrize(("late", "bars"), [(0, 300), (100, 150)])
def test_symbols_together_are_worth_what_each_is_at_its_newest_close(late: int, bars: int, at_open: bool) -> None:
    whole = columns(walk(300, 1))
    part = columns(walk(bars, 2, level=7.0), "ETHUSDT.BINANCE", start_ms=START_MS + late * BAR_MS)
    series = {one.symbol: one for one in (whole, part)}
    flows = {
        one.symbol: cash_flows(np.array([3, 90]), np.array([2.0, -5.0]), one.open[[3, 90]], D(5))
        for one in series.values()
    }
    together = EquityCurve(series, flows, 1_000.0, at_open=at_open)
    worth = {one.symbol: EquityCurve({one.symbol: one}, flows, 0.0, at_open=at_open).equity for one in series.values()}
    held = np.concatenate([np.zeros(late), worth[part.symbol], np.full(300 - late - bars, worth[part.symbol][-1])])
    assert together.times.tolist() == whole.close_at.tolist()
    np.testing.assert_allclose(together.equity, 1_000.0 + worth[whole.symbol] + held, rtol=1e-13)


def test_an_account_that_only_rises_never_fell() -> None:
    one = columns(np.linspace(100.0, 200.0, 3 * STRETCH))
    held = cash_flows(np.array([0]), np.array([1.0]), one.close[:1], D(0))
    assert drawdown(EquityCurve({one.symbol: one}, {one.symbol: held}, 1000.0)) == 0.0


@pytest.mark.parametrize("ruin", [0, 1, 5, PIECE - 1, PIECE, PIECE + 5])
def test_returns_end_before_the_account_is_ruined_and_its_fall_is_counted_whole(ruin: int) -> None:
    closes = 100.0 + np.random.default_rng(1).normal(0.0, 1.0, PIECE + 50)
    closes[ruin:] = 700.0
    one = columns(closes)
    short = cash_flows(np.array([0]), np.array([-1.0]), np.array([100.0]), D(0))
    curve = EquityCurve({one.symbol: one}, {one.symbol: short}, 500.0)
    alive = curve.equity[:ruin]
    whole = sharpe_estimate(np.diff(alive) / alive[:-1])
    assert curve.summary.moments.count == max(0, ruin - 1)
    assert curve.summary.moments.sharpe().per_bar == pytest.approx(whole.per_bar, rel=1e-10)
    if ruin:
        assert drawdown(curve) == pytest.approx(plain_drawdown(curve.equity))


def test_a_fee_that_the_curve_does_not_know_of_is_a_defect() -> None:
    one = columns([100.0, 101.0])
    fill = Fill(
        venue="BINANCE",
        market=Market.SPOT,
        symbol=one.symbol,
        trade_id="1",
        client_order_id="1",
        venue_order_id="1",
        side=OrderSide.BUY,
        price=D(100),
        quantity=D(2),
        fee=D("0.2"),
        fee_asset="USDT",
        at_ms=START_MS + BAR_MS,
        liquidity="taker",
    )
    assert flows_of(one, [fill], D(10), at_open=False).cash.tolist() == [-200.2]
    with pytest.raises(AssertionError, match="fees of"):
        flows_of(one, [fill], D(5), at_open=False)
