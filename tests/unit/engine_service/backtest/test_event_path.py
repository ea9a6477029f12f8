"""The backtest: the engine's own rails, books and fills on recorded bars."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from engine_service.backtest.event_path import run_backtest
from engine_service.backtest.options import BacktestOptions
from engine_service.backtest.series import BadBars
from engine_service.domain.order_status import OrderSide, OrderStatus
from strategies.contracts import Bar, Signal
from strategies.features import FEATURES, compute
from strategies.ma_cross import MovingAverageCross
from strategies.regime_policy import RegimePolicy
from strategies.regimes.model import RegimeModel
from tests.unit.strategies.series import DRIFT, VOLATILITY, Series, regime_series

D = Decimal
RISING, FALLING = 1, 2
SYMBOL = "BTCUSDT.BINANCE"


def free(**changes: Any) -> BacktestOptions:
    """Return options without fee and spread."""
    return replace(BacktestOptions(quantity=D(1), fee_bps=D(0), half_spread_bps=D(0)), **changes)


def bars(prices: Sequence[float], symbol: str = SYMBOL) -> list[Bar]:
    """Return minute bars that open at the close before and close at ``prices``."""
    opened = [prices[0], *prices[:-1]]
    return [
        Bar(
            symbol=symbol,
            open_at_ms=1_760_000_040_000 + index * 60_000,
            close_at_ms=1_760_000_040_000 + (index + 1) * 60_000,
            open=start,
            high=max(start, end),
            low=min(start, end),
            close=end,
            volume=100.0,
        )
        for index, (start, end) in enumerate(zip(opened, prices, strict=True))
    ]


def walk(count: int, seed: int = 7) -> list[float]:
    rng = random.Random(seed)
    level, prices = 100.0, []
    for _ in range(count):
        level *= math.exp(rng.gauss(0.0, 0.004))
        prices.append(round(level, 2))
    return prices


@dataclass
class Scripted:
    """A strategy that wants what the script says at each bar (``None``: nothing new)."""

    targets: Sequence[float | None]
    strategy_id: str = "scripted"
    warm_up: int = 0
    seen: int = field(default=0)

    def on_bar(self, bar: Bar) -> Signal | None:
        target = self.targets[self.seen] if self.seen < len(self.targets) else None
        self.seen += 1
        if target is None:
            return None
        return Signal(
            strategy=self.strategy_id, symbol=bar.symbol, at_ms=bar.close_at_ms, target=target, confidence=1.0
        )


def known_model(series: Series) -> RegimeModel:
    """Return the model that knows the series' own regimes: their moments, no fitting."""
    features = compute(series.open, series.high, series.low, series.close, series.volume)
    known = np.isfinite(features).all(axis=1)
    rows, regimes = features[known], series.regimes[known]
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    standard = (rows - mean) / scale
    parts = [standard[regimes == regime] for regime in range(3)]
    stay = 1 - 1 / 80
    return RegimeModel(
        features=FEATURES,
        startprob=np.full(3, 1 / 3),
        transmat=np.full((3, 3), (1 - stay) / 2) + np.eye(3) * (stay - (1 - stay) / 2),
        means=np.stack([part.mean(axis=0) for part in parts]),
        covars=np.stack([part.var(axis=0) + 0.05 for part in parts]),
        scaler_mean=mean,
        scaler_scale=scale,
        expected_return=np.array(DRIFT),
        volatility=np.array(VOLATILITY),
        labels=("calm", "rising", "falling"),
        trained_from_ms=0,
        trained_to_ms=1,
        bars=len(rows),
        data_hash="known",
        seed=0,
    )


def test_a_round_trip_costs_the_spread_and_the_fees_to_the_last_digit() -> None:
    options = BacktestOptions(quantity=D(2), fee_bps=D(10), half_spread_bps=D(0))
    result = run_backtest(bars([100.0, 110.0, 120.0]), lambda _: [Scripted([1.0, None, 0.0])], options)
    assert [(fill.side, fill.price, fill.quantity) for fill in result.fills] == [
        (OrderSide.BUY, D("100.0"), D(2)),
        (OrderSide.SELL, D("120.0"), D(2)),
    ]
    assert result.fees == D("0.2") + D("0.24")
    assert result.realised == D(40)
    assert result.equity_final == D(100_000) + D(40) - D("0.44")


def test_a_spread_is_paid_on_both_sides() -> None:
    options = BacktestOptions(quantity=D(1), fee_bps=D(0), half_spread_bps=D(50))
    result = run_backtest(bars([100.0, 100.0]), lambda _: [Scripted([1.0, 0.0])], options)
    assert [fill.price for fill in result.fills] == [D("100.5"), D("99.5")]
    assert result.equity_final == D(100_000) - D(1)


def test_filling_at_the_next_open_uses_no_price_of_the_signals_own_bar() -> None:
    gapped = bars([100.0, 100.0, 100.0])
    gapped[1] = Bar(
        symbol=SYMBOL,
        open_at_ms=gapped[1].open_at_ms,
        close_at_ms=gapped[1].close_at_ms,
        open=105.0,
        high=106.0,
        low=99.0,
        close=100.0,
        volume=1.0,
    )
    options = free(quantity=D(1), fill_at="open")
    result = run_backtest(gapped, lambda _: [Scripted([1.0])], options)
    assert [(fill.price, fill.at_ms) for fill in result.fills] == [(D("105.0"), gapped[1].open_at_ms)]


def test_futures_go_short_and_spot_does_not() -> None:
    script = [-1.0, None, 0.0]
    prices = bars([100.0, 90.0, 80.0])
    short = run_backtest(prices, lambda _: [Scripted(script)], free(market="futures", quantity=D(1)))
    assert (len(short.fills), short.realised) == (2, D(20))
    flat = run_backtest(prices, lambda _: [Scripted(script)], free(quantity=D(1)))
    assert flat.fills == ()


def test_the_engines_rails_refuse_here_too() -> None:
    options = free(quantity=D(10), limits={"max_notional": 400})
    result = run_backtest(bars([100.0, 101.0]), lambda _: [Scripted([1.0])], options)
    assert result.fills == ()
    assert dict(result.refused) == {"NOTIONAL_TOO_LARGE": 1}
    assert [order.status for order in result.orders] == [OrderStatus.DENIED]


def test_equity_is_opening_plus_realised_plus_open_profit_minus_fees_at_every_bar() -> None:
    options = BacktestOptions(quantity=D(3))
    result = run_backtest(bars(walk(600)), lambda _: [MovingAverageCross(5, 13)], options)
    assert len(result.fills) > 20
    cash, held = D(100_000), D(0)
    fills = list(result.fills)
    closes = {bar.close_at_ms: bar for bar in bars(walk(600))}
    for at_ms, equity in zip(result.times.tolist(), result.equity.tolist(), strict=True):
        while fills and fills[0].at_ms <= at_ms:
            fill = fills.pop(0)
            cash -= fill.notional * fill.side.sign + fill.fee
            held += fill.quantity * fill.side.sign
        mark = D(repr(closes[at_ms].close))
        assert abs(D(equity) - (cash + held * mark)) < D("0.000001")
    assert abs(D(result.equity[-1]) - result.equity_final) < D("0.05")


def test_a_regime_policy_trades_the_regimes_it_filters_and_pays_for_it() -> None:
    series = regime_series(3_000, seed=5)
    model = known_model(series)
    result = run_backtest(
        series.bars(), lambda _: [RegimePolicy(model, "rm-test")], BacktestOptions(quantity=D(10), fee_bps=D(1))
    )
    held = {0: 0, 1: 0, 2: 0}
    opened, position = {fill.at_ms: fill for fill in result.fills}, D(0)
    for bar, regime in zip(series.bars(), series.regimes, strict=True):
        fill = opened.get(bar.close_at_ms)
        position += fill.quantity * fill.side.sign if fill else 0
        held[int(regime)] += position > 0
    assert len(result.fills) >= 6
    assert held[RISING] > 2 * held[FALLING]
    assert result.fees > 0


def test_the_same_bars_give_the_same_result_digit_for_digit_in_any_order_given() -> None:
    one, other = bars(walk(300)), bars(walk(300, seed=9), "ETHUSDT.BINANCE")
    options = BacktestOptions(notional=D(1000))
    first = run_backtest(one + other, lambda _: [MovingAverageCross(5, 13)], options)
    second = run_backtest(list(reversed(other + one)), lambda _: [MovingAverageCross(5, 13)], options)
    assert {fill.symbol for fill in first.fills} == {SYMBOL, "ETHUSDT.BINANCE"}
    assert (first.orders, first.fills, first.equity_final) == (second.orders, second.fills, second.equity_final)
    assert first.equity.tolist() == second.equity.tolist()


def test_the_rails_see_what_else_is_held_at_its_newest_price() -> None:
    other = "ETHUSDT.BINANCE"
    held, wanted = bars([100.0, 100.0, 150.0, 150.0]), bars([10.0, 10.0, 10.0, 10.0], other)
    scripts: dict[str, list[float | None]] = {SYMBOL: [1.0], other: [None, 1.0, 2.0]}
    options = free(market="futures", quantity=D(1), limits={"total_exposure_cap": 130})
    result = run_backtest(held + wanted, lambda symbol: [Scripted(scripts[symbol])], options)
    assert [(fill.symbol, fill.price) for fill in result.fills] == [(SYMBOL, D(100)), (other, D(10))]
    assert dict(result.refused) == {"EXPOSURE_TOTAL_CAP": 1}


def test_what_was_sold_again_no_longer_counts_whatever_it_is_worth_by_then() -> None:
    other = "ETHUSDT.BINANCE"
    sold, wanted = bars([100.0, 100.0, 900.0]), bars([10.0, 10.0, 10.0], other)
    scripts: dict[str, list[float | None]] = {SYMBOL: [1.0, 0.0], other: [None, None, 1.0]}
    for market in ("spot", "futures"):
        options = free(market=market, quantity=D(1), limits={"total_exposure_cap": 130})
        result = run_backtest(sold + wanted, lambda symbol: [Scripted(scripts[symbol])], options)
        assert [fill.symbol for fill in result.fills] == [SYMBOL, SYMBOL, other]


@pytest.mark.parametrize("sizes", [{}, {"quantity": D(1), "notional": D(1)}])
def test_the_size_is_said_once(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        run_backtest(bars([100.0]), lambda _: [], replace(BacktestOptions(), **sizes))


@pytest.mark.parametrize(
    ("price", "name"),
    [(0.0, "BARS_IMPOSSIBLE"), (-1.0, "BARS_IMPOSSIBLE"), (math.nan, "BARS_NOT_FINITE"), (math.inf, "BARS_NOT_FINITE")],
)
def test_a_bar_that_cannot_be_is_refused_by_name(price: float, name: str) -> None:
    with pytest.raises(BadBars, match=name):
        run_backtest(bars([100.0, price]), lambda _: [], BacktestOptions(quantity=D(1)))
