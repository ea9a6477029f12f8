"""The books: hand calculations for named cases, and random programs against the identity and a plain ledger."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_service.domain import events as e
from engine_service.domain.cost_book import MAX_LOTS, CostBook
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import EXACT
from engine_service.domain.order_status import OrderSide
from engine_service.domain.portfolio import Portfolio

D = Decimal


def deposit(
    books: Portfolio,
    asset: str,
    amount: str,
    rate: str = "1",
    kind: e.AdjustmentKind = e.AdjustmentKind.OPENING,
    market: Market = Market.SPOT,
) -> None:
    books.book_adjustment(
        e.BalanceAdjusted(
            at_ms=0, venue="BINANCE", market=market, asset=asset, amount=D(amount), rate=D(rate), kind=kind
        )
    )


def trade(
    books: Portfolio,
    side: OrderSide,
    quantity: str | Decimal,
    price: str | Decimal,
    *,
    base: str = "BTC",
    quote: str = "USDT",
    quote_rate: str = "1",
    fee: str | Decimal = "0",
    fee_asset: str = "USDT",
    fee_rate: str | Decimal = "1",
    market: Market = Market.SPOT,
    strategy: str = "manual",
) -> None:
    fill = Fill(
        venue="BINANCE",
        market=market,
        symbol=f"{base}{quote}.BINANCE",
        trade_id="1",
        client_order_id="c",
        venue_order_id="v",
        side=side,
        price=D(price),
        quantity=D(quantity),
        fee=D(fee),
        fee_asset=fee_asset,
    )
    books.book_fill(
        e.OrderFilled(
            at_ms=0,
            client_order_id="c",
            fill=fill,
            base=base,
            quote=quote,
            quote_rate=D(quote_rate),
            fee_rate=D(fee_rate),
            strategy=strategy,
        )
    )


BUY, SELL = OrderSide.BUY, OrderSide.SELL


def test_a_round_trip_with_quote_fees_by_hand() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000")
    trade(books, BUY, "2", "100", fee="0.2")
    trade(books, BUY, "1", "130", fee="0.13")
    trade(books, SELL, "1.5", "120", fee="0.18")
    assert books.realised == D("15")
    assert books.fees == D("0.51")
    assert books.holding("BINANCE", Market.SPOT, "USDT") == D("849.49")
    assert books.holdings["BINANCE|spot|BTC"].cost == D("165")
    assert books.identity_error == 0


def test_first_in_first_out_takes_the_oldest_lots() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000")
    trade(books, BUY, "1", "100")
    trade(books, BUY, "1", "200")
    trade(books, SELL, "1.5", "300")
    holding = books.holdings["BINANCE|spot|BTC"]
    assert holding.realised == D("225")
    assert holding.realised_fifo == D("250")


def test_a_fee_in_the_bought_asset_leaves_less_of_it() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000")
    trade(books, BUY, "1", "100", fee="0.001", fee_asset="BTC", fee_rate="100")
    assert books.holding("BINANCE", Market.SPOT, "BTC") == D("0.999")
    assert books.holdings["BINANCE|spot|BTC"].cost == D("99.9")
    assert books.fees == D("0.1")
    assert books.identity_error == 0


def test_a_fee_in_a_third_coin_realises_what_that_coin_gained() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000")
    deposit(books, "BNB", "1", rate="300")
    trade(books, BUY, "1", "100", fee="0.01", fee_asset="BNB", fee_rate="400")
    assert books.fees == D("4")
    assert books.realised == D("1")
    assert books.identity_error == 0


def test_a_rebate_is_a_negative_fee() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000")
    trade(books, BUY, "1", "100", fee="-0.05")
    assert books.fees == D("-0.05")
    assert books.holding("BINANCE", Market.SPOT, "USDT") == D("900.05")
    assert books.identity_error == 0


def test_buying_ether_with_bitcoin_realises_the_bitcoin() -> None:
    books = Portfolio()
    deposit(books, "BTC", "1", rate="40000")
    trade(books, BUY, "10", "0.05", base="ETH", quote="BTC", quote_rate="50000")
    assert books.realised == D("5000")
    assert books.holdings["BINANCE|spot|ETH"].cost == D("25000")
    assert books.holding("BINANCE", Market.SPOT, "BTC") == D("0.5")
    assert books.identity_error == 0


def test_closing_a_position_removes_all_of_its_cost_whatever_the_rounding() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000")
    trade(books, BUY, "3", "33.333333333333333333")
    for _ in range(3):
        trade(books, SELL, "1", "33")
    assert books.holdings["BINANCE|spot|BTC"].cost == 0
    assert books.identity_error == 0


def test_deposits_and_withdrawals_are_transfers_and_no_profit() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000")
    deposit(books, "USDT", "500", kind=e.AdjustmentKind.TRANSFER)
    deposit(books, "USDT", "-200", kind=e.AdjustmentKind.TRANSFER)
    assert (books.starting_equity, books.transfers, books.realised) == (D("1000"), D("300"), D("0"))
    assert books.identity_error == 0


def test_withdrawing_a_coin_realises_its_gain_once() -> None:
    books = Portfolio()
    deposit(books, "BTC", "1", rate="100")
    deposit(books, "BTC", "-0.5", rate="120", kind=e.AdjustmentKind.TRANSFER)
    assert (books.transfers, books.realised) == (D("-60"), D("10"))
    assert books.identity_error == 0


def test_a_futures_position_flips_and_its_result_reaches_the_wallet() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000", market=Market.FUTURES)
    trade(books, BUY, "2", "100", market=Market.FUTURES, fee="0.1")
    trade(books, SELL, "5", "110", market=Market.FUTURES, fee="0.2")
    assert books.position("BTCUSDT.BINANCE") == D("-3")
    assert books.derivatives["BTCUSDT.BINANCE"].book.cost == D("-330")
    assert books.holding("BINANCE", Market.FUTURES, "USDT") == D("1019.7")
    trade(books, BUY, "3", "120", market=Market.FUTURES)
    assert books.position("BTCUSDT.BINANCE") == 0
    assert books.realised == D("-10")
    assert books.identity_error == 0


def test_funding_moves_the_wallet_and_is_told_apart_from_profit() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000", market=Market.FUTURES)
    paid = e.FundingPaid(
        at_ms=0, venue="BINANCE", symbol="BTCUSDT.BINANCE", asset="USDT", amount=D("-1.5"), rate=D(1), income_id="1"
    )
    books.book_funding(paid)
    assert (books.funding, books.realised) == (D("1.5"), D("0"))
    assert books.holding("BINANCE", Market.FUTURES, "USDT") == D("998.5")
    assert books.identity_error == 0


def test_each_strategy_has_its_own_part_of_a_position() -> None:
    books = Portfolio()
    deposit(books, "USDT", "1000")
    trade(books, BUY, "1", "100", strategy="ma_cross")
    trade(books, BUY, "2", "100", strategy="hmm_regime", fee="0.002", fee_asset="BTC", fee_rate="100")
    trade(books, SELL, "1", "110", strategy="ma_cross")
    ma_cross = books.strategies["ma_cross|spot|BTCUSDT.BINANCE"]
    hmm = books.strategies["hmm_regime|spot|BTCUSDT.BINANCE"]
    assert (ma_cross.book.quantity, ma_cross.book.realised) == (D("0"), D("10"))
    assert (hmm.book.quantity, hmm.fees, hmm.fills) == (D("1.998"), D("0.2"), 1)


def test_lots_stay_bounded_and_keep_the_whole_cost() -> None:
    book = CostBook()
    for _ in range(MAX_LOTS + 50):
        book.move(D("1"), D("10"))
    assert len(book.lots) == MAX_LOTS
    assert sum(lot.cost for lot in book.lots) == book.cost


# --- random programs -------------------------------------------------------------------------------------------

amounts = st.decimals(min_value=D("0.00000001"), max_value=D("5"), places=8)
prices = st.decimals(min_value=D("0.01"), max_value=D("70000"), places=8)
fees = st.decimals(min_value=D("-0.01"), max_value=D("0.05"), places=8)
rates = st.decimals(min_value=D("0.5"), max_value=D("600"), places=18)


@st.composite
def steps(draw: st.DrawFn) -> tuple[object, ...]:
    kind = draw(st.sampled_from(["fill", "fill", "fill", "fill", "transfer", "funding"]))
    if kind == "transfer":
        return (kind, draw(st.sampled_from(["USDT", "BTC", "BNB"])), draw(amounts), draw(st.booleans()), draw(rates))
    if kind == "funding":
        return (kind, draw(fees), draw(rates))
    market = draw(st.sampled_from(list(Market)))
    pair = draw(st.sampled_from([("BTC", "USDT"), ("ETH", "USDT"), ("ETH", "BTC"), ("BNB", "USDC")]))
    fee_asset = draw(st.sampled_from([*pair, "BNB"]))
    side = draw(st.sampled_from(list(OrderSide)))
    return ("fill", market, pair, side, draw(amounts), draw(prices), draw(fees), fee_asset, draw(rates), draw(rates))


@settings(max_examples=300, deadline=None)
@given(st.lists(steps(), max_size=30))
def test_the_identity_is_exact_and_quantities_equal_a_plain_ledger(program: list[tuple[object, ...]]) -> None:
    books = Portfolio()
    ledger: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    deposit(books, "USDT", "10000")
    ledger[("spot", "USDT")] += D("10000")
    with localcontext(EXACT):
        for step in program:
            run(books, ledger, step)
            assert books.identity_error == 0
            assert books.book_value == books.summed_book_value()
        for (market, asset), quantity in ledger.items():
            held = books.holding("BINANCE", Market(market), asset)
            if market == "spot":
                assert held == quantity


def run(books: Portfolio, ledger: dict[tuple[str, str], Decimal], step: tuple[object, ...]) -> None:
    match step:
        case ("transfer", str() as asset, Decimal() as amount, bool() as out, Decimal() as rate):
            signed = -amount if out else amount
            rate = D(1) if asset == "USDT" else rate
            deposit(books, asset, str(signed), str(rate), e.AdjustmentKind.TRANSFER)
            ledger[("spot", asset)] += signed
        case ("funding", Decimal() as amount, Decimal() as rate):
            funding = e.FundingPaid(
                at_ms=0, venue="BINANCE", symbol="X", asset="BNB", amount=amount, rate=rate, income_id="1"
            )
            books.book_funding(funding)
        case ("fill", Market() as market, (str() as base, str() as quote), OrderSide() as side, *figures):
            q, p, fee, fee_asset, r, fr = figures
            assert isinstance(q, Decimal)
            assert isinstance(p, Decimal)
            assert isinstance(fee, Decimal)
            quote_rate = "1" if quote == "USDT" else str(r)
            fee_rate = "1" if fee_asset == "USDT" else str(fr)
            trade(
                books,
                side,
                q,
                p,
                base=base,
                quote=quote,
                quote_rate=quote_rate,
                fee=fee,
                fee_asset=str(fee_asset),
                fee_rate=fee_rate,
                market=market,
            )
            if market is Market.SPOT:
                ledger[("spot", base)] += q * side.sign
                ledger[("spot", quote)] -= q * p * side.sign
                ledger[("spot", str(fee_asset))] -= fee
        case _:
            pytest.fail(f"no such step: {step}")
