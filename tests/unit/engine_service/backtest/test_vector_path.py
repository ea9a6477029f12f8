"""The fast path gives the event path's fills and money to the last digit, whatever the bars and the settings."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine_service.backtest.event_path import FundingRate, Wish, trade_wishes
from engine_service.backtest.figures import figures_of
from engine_service.backtest.options import BacktestOptions
from engine_service.backtest.series import BarSeries
from engine_service.backtest.signals import wishes_for
from engine_service.backtest.vector_path import EventPathNeeded, FundsShort, trade_crossings
from strategies.research.catalogue import StrategyChoice
from tests.unit.engine_service.backtest.builders import BAR_MS, START_MS, columns, walk

D = Decimal
MONEY = {"USDT": D(10**9)}
MONEY_FIGURES = ("bars", "orders", "fills", "fees", "funding", "realised_pnl", "equity_final")
FLOAT_FIGURES = ("sharpe", "sharpe_se", "max_drawdown", "turnover", "exposure")


def compare(
    series: dict[str, BarSeries],
    choice: StrategyChoice,
    options: BacktestOptions,
    funding: dict[str, list[FundingRate]] | None = None,
) -> int:
    """Run both paths, demand the same of them and return the number of fills."""
    wishes = {symbol: wishes_for(one, choice) for symbol, one in series.items()}
    event = trade_wishes(series, wishes, options, funding)
    vector = trade_crossings(series, choice, options, funding)
    assert event.refused == {}
    assert list(event.fill_rows()) == list(vector.fill_rows())
    ours, theirs = figures_of(event), figures_of(vector)
    assert {name: ours[name] for name in MONEY_FIGURES} == {name: theirs[name] for name in MONEY_FIGURES}
    assert [ours[name] for name in FLOAT_FIGURES] == [theirs[name] for name in FLOAT_FIGURES]
    np.testing.assert_array_equal(event.equity, vector.equity)
    return vector.fill_count


amounts = st.decimals(min_value="0.00000001", max_value="25", places=8)
bps = st.decimals(min_value="0", max_value="40", places=3)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(5, 160),
    digits=st.integers(0, 10),
    level=st.sampled_from([0.0003, 1.0, 117.0, 98_000.0]),
    fast=st.integers(1, 6),
    longer=st.integers(1, 12),
    quantity=amounts,
    fee_bps=bps,
    half_spread_bps=bps,
    fill_at=st.sampled_from(["close", "open"]),
    long_only=st.booleans(),
    market=st.sampled_from(["spot", "futures"]),
)
def test_both_paths_agree_to_the_last_digit_on_any_bars(
    seed: int,
    bars: int,
    digits: int,
    level: float,
    fast: int,
    longer: int,
    quantity: Decimal,
    fee_bps: Decimal,
    half_spread_bps: Decimal,
    fill_at: Literal["close", "open"],
    long_only: bool,
    market: Literal["spot", "futures"],
) -> None:
    closes = np.maximum(walk(bars, seed, level=level, digits=digits), 10.0**-digits)
    choice = StrategyChoice(name="ma_cross", settings={"fast": str(fast), "slow": str(fast + longer)})
    options = BacktestOptions(
        market=market,
        balances=MONEY,
        quantity=quantity,
        fee_bps=fee_bps,
        half_spread_bps=half_spread_bps,
        fill_at=fill_at,
        long_only=long_only,
    )
    one = columns(closes)
    if bars > fast + longer:
        compare({one.symbol: one}, choice, options)


@pytest.mark.parametrize("fill_at", ["close", "open"])
def test_both_paths_agree_on_a_thousand_crossings_with_the_costs_of_a_real_venue(
    fill_at: Literal["close", "open"],
) -> None:
    one = columns(walk(20_000, level=40_000.0))
    choice = StrategyChoice(name="ma_cross", settings={"fast": "5", "slow": "13"})
    options = BacktestOptions(
        market="futures",
        balances=MONEY,
        quantity=D("0.137"),
        fee_bps=D("4.5"),
        half_spread_bps=D("0.7"),
        fill_at=fill_at,
    )
    assert compare({one.symbol: one}, choice, options) > 1000


def test_both_paths_agree_on_several_symbols_that_begin_and_end_at_different_times() -> None:
    early = columns(walk(900, 1))
    late = columns(walk(500, 2, level=7.0, digits=5), "ETHUSDT.BINANCE", start_ms=START_MS + 300 * BAR_MS)
    choice = StrategyChoice(name="ma_cross", settings={"fast": "4", "slow": "9"})
    options = BacktestOptions(market="futures", balances=MONEY, quantity=D(3), fee_bps=D(5))
    assert compare({early.symbol: early, late.symbol: late}, choice, options) > 100


def test_both_paths_pay_the_same_funding_on_what_was_held_before_the_settlement() -> None:
    one = columns(walk(600))
    rates = [FundingRate(START_MS + BAR_MS * bar, D("0.0001") * (-1) ** bar * (bar % 7)) for bar in range(8, 600, 8)]
    choice = StrategyChoice(name="ma_cross", settings={"fast": "4", "slow": "9"})
    options = BacktestOptions(market="futures", balances=MONEY, quantity=D(3), fee_bps=D(5), half_spread_bps=D(2))
    compare({one.symbol: one}, choice, options, {one.symbol: rates})
    paid = trade_crossings({one.symbol: one}, choice, options, {one.symbol: rates}).funding
    assert paid != 0


def test_a_long_pays_positive_funding_and_a_short_receives_it() -> None:
    one = columns([100.0] * 4)
    rates = {one.symbol: [FundingRate(int(one.close_at[2]), D("0.001"))]}
    options = BacktestOptions(market="futures", balances=MONEY, quantity=D(2), fee_bps=D(0), half_spread_bps=D(0))
    for target, paid in ((1.0, D("0.2")), (-1.0, D("-0.2"))):
        result = trade_wishes({one.symbol: one}, {one.symbol: [Wish(0, target, "x")]}, options, rates)
        assert (result.funding, result.equity_final) == (paid, MONEY["USDT"] - paid)
        assert result.equity.tolist() == [1e9, 1e9, 1e9 - float(paid), 1e9 - float(paid)]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cash=st.integers(20, 260),
    fee_bps=st.sampled_from([D(0), D(5), D(300)]),
    fill_at=st.sampled_from(["close", "open"]),
    market=st.sampled_from(["spot", "futures"]),
    symbols=st.integers(1, 3),
    funded=st.booleans(),
)
# The first order buys: its margin of 40 is there, its fee of 6 is not.
@example(seed=3, cash=43, fee_bps=D(300), fill_at="close", market="futures", symbols=1, funded=False)
def test_the_order_that_cannot_be_paid_for_is_the_first_one_the_exchange_refuses(
    seed: int,
    cash: int,
    fee_bps: Decimal,
    fill_at: Literal["close", "open"],
    market: Literal["spot", "futures"],
    symbols: int,
    funded: bool,
) -> None:
    names = ["ADAUSDT.BINANCE", "BTCUSDT.BINANCE", "ETHUSDT.BINANCE"][:symbols]
    series = {name: columns(walk(120, seed + at), name) for at, name in enumerate(names)}
    rates = {name: [FundingRate(START_MS + BAR_MS * bar, D("0.02")) for bar in range(0, 120, 8)] for name in names}
    funding = rates if funded and market == "futures" else None
    options = BacktestOptions(
        market=market,
        balances={"USDT": D(cash)},
        quantity=D(2),
        fee_bps=fee_bps,
        half_spread_bps=D(0),
        fill_at=fill_at,
    )
    choice = StrategyChoice(name="ma_cross", settings={"fast": "3", "slow": "8"})
    event = trade_wishes(series, {name: wishes_for(one, choice) for name, one in series.items()}, options, funding)
    unpaid = [order.created_at_ms for order in event.orders if order.code.endswith("INSUFFICIENT_FUNDS")]
    if unpaid:
        with pytest.raises(FundsShort, match=f"at {unpaid[0]} ms"):
            trade_crossings(series, choice, options, funding)
    else:
        compare(series, choice, options, funding)


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [
        ("vol_target", {"quantity": D(1)}),
        ("ma_cross", {"notional": D(100)}),
        ("ma_cross", {"quantity": D(1), "limits": {"max_notional": 5}}),
    ],
)
def test_what_only_the_event_path_can_do_is_refused(strategy: str, changes: dict[str, object]) -> None:
    one = columns(walk(200))
    with pytest.raises(EventPathNeeded, match="event path"):
        trade_crossings({one.symbol: one}, StrategyChoice(name=strategy), BacktestOptions(**changes))  # type: ignore[arg-type]  # varied by test
