"""The causes of a gap between live and backtest: each named for what it is, and together the whole gap."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from strategies.research.parity import NOTHING, Cause, Decision, Filled, differences, gap

END = Decimal(110)
BUY = Filled(quantity=Decimal(2), value=Decimal("200.20"), fee=Decimal("0.20"))
BOTH = Decision(
    strategy="ma_cross",
    symbol="BTCUSDT.BINANCE",
    bar_open_ms=0,
    close=Decimal(100),
    mark=Decimal("100.05"),
    live=BUY,
    ideal=Filled(quantity=Decimal(2), value=Decimal("200.04"), fee=Decimal("0.15")),
)


def amounts(decision: Decision) -> dict[Cause, Decimal]:
    return {one.cause: one.amount for one in differences(decision, END)}


def test_a_decision_filled_in_both_differs_by_fee_spread_and_latency() -> None:
    assert amounts(BOTH) == {
        Cause.FEE: Decimal("-0.05"),
        Cause.LATENCY: Decimal("-0.10"),  # two units, sent when the market was 0.05 higher than at the close
        Cause.SPREAD: Decimal("-0.06"),  # 0.10 paid above the mark, where 0.04 above the close was assumed
    }


def test_a_sale_into_a_risen_market_gains_by_its_latency() -> None:
    sale = Filled(quantity=Decimal(-1), value=Decimal("-100.05"), fee=Decimal(0))
    ideal = Filled(quantity=Decimal(-1), value=Decimal(-100), fee=Decimal(0))
    assert amounts(replace(BOTH, live=sale, ideal=ideal)) == {Cause.LATENCY: Decimal("0.05")}


def test_half_the_size_earns_half_of_the_move() -> None:
    half = Filled(quantity=Decimal(1), value=Decimal("100.05"), fee=Decimal("0.15"))
    found = amounts(replace(BOTH, live=half))
    assert found[Cause.POSITION] == -1 * (END - 100)
    assert Cause.FEE not in found


def test_what_only_the_backtest_traded_is_missed_and_its_fee_is_saved() -> None:
    missed = replace(BOTH, live=NOTHING, alone=Cause.RAIL, detail="PRICE_BAND")
    assert amounts(missed) == {Cause.FEE: Decimal("0.15"), Cause.RAIL: Decimal("-19.96")}
    assert [one.detail for one in differences(missed, END)] == ["", "PRICE_BAND"]


def test_what_only_live_traded_keeps_its_own_cause() -> None:
    protective = replace(BOTH, ideal=NOTHING, alone=Cause.PROTECTION)
    assert amounts(protective) == {Cause.FEE: Decimal("-0.20"), Cause.PROTECTION: Decimal("19.80")}


def test_without_a_noted_mark_nothing_is_called_latency() -> None:
    assert amounts(replace(BOTH, mark=None)) == {Cause.FEE: Decimal("-0.05"), Cause.SPREAD: Decimal("-0.16")}


decimals = st.decimals(-1000, 1000, places=4)
fills = st.one_of(st.just(NOTHING), st.builds(Filled, quantity=decimals, value=decimals, fee=decimals))


@given(
    st.lists(
        st.builds(
            Decision,
            strategy=st.just("s"),
            symbol=st.sampled_from(["A.X", "B.X"]),
            bar_open_ms=st.just(0),
            close=decimals,
            mark=st.none() | decimals,
            live=fills,
            ideal=fills,
            alone=st.sampled_from(Cause),
        ),
        max_size=8,
    ),
    decimals,
    decimals,
)
def test_the_causes_are_the_whole_gap_to_the_last_digit(
    decisions: list[Decision], first: Decimal, second: Decimal
) -> None:
    ends = {"A.X": first, "B.X": second}
    told = [one for decision in decisions for one in differences(decision, ends[decision.symbol])]
    assert sum((one.amount for one in told), Decimal(0)) == gap(decisions, ends)
    assert all(one.amount for one in told)
