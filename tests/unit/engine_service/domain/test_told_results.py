"""A futures venue tells the profit that each trade brought: the books take its figure, and the cost takes the rest."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.cost_book import CostBook
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderSide
from engine_service.domain.portfolio import Portfolio
from engine_service.exchange_sim.enums import PositionSide
from engine_service.exchange_sim.futures_ledger import FuturesLedger
from engine_service.storage.codec import decode, encode

D = Decimal
BTC = "BTCUSDT.BINANCE"


def filled(signed: Decimal, price: Decimal, told: Decimal | None, number: int = 1) -> e.OrderFilled:
    fill = Fill(
        venue="BINANCE",
        market=Market.FUTURES,
        symbol=BTC,
        trade_id=str(number),
        client_order_id="c",
        venue_order_id="v",
        side=OrderSide.BUY if signed > 0 else OrderSide.SELL,
        price=price,
        quantity=abs(signed),
        realised=UNSET if told is None else told,
    )
    return e.OrderFilled(
        at_ms=0, client_order_id="c", fill=fill, base="BTC", quote="USDT", quote_rate=D(1), fee_rate=D(1), strategy="s"
    )


def wallet(books: Portfolio) -> Decimal:
    return books.holding("BINANCE", Market.FUTURES, "USDT")


STEPS = st.lists(
    st.tuples(st.integers(-40, 40).filter(bool), st.integers(1_000_000, 9_999_999)), min_size=1, max_size=60
)


@given(STEPS)
def test_the_wallet_is_the_venues_after_every_trade_to_the_last_digit(steps: list[tuple[int, int]]) -> None:
    books, venue = Portfolio(), FuturesLedger()
    for number, (size, ticks) in enumerate(steps):
        signed, price = D(size) / 1000, D(ticks) / 100
        told = venue.trade("me", "BTCUSDT", PositionSide.BOTH, signed, price, "USDT", 0)
        books.book_fill(filled(signed, price, told, number))
        assert wallet(books) == venue.wallets["me", "USDT"]
        held = venue.holding("me", "BTCUSDT", PositionSide.BOTH)
        assert (books.position(BTC), books.derivatives[BTC].book.cost) == (held.quantity, held.cost)
        assert books.identity_error == 0


def test_what_rounding_takes_from_a_result_stays_in_the_cost_of_the_rest() -> None:
    book = CostBook()
    book.settled(D(3), D(100), D(0))
    told = (D(50) - D(100) / 3).quantize(D("1e-8"), ROUND_HALF_EVEN)
    assert book.settled(D(-1), D(-50), told) == told
    assert book.cost == D(100) - D(50) + told
    assert book.settled(D(-2), D(-100), D(50) - told) == D(50) - told
    assert (book.quantity, book.cost, book.realised) == (D(0), D(0), D(50))


@given(STEPS, st.randoms(use_true_random=False))
def test_trades_told_in_any_order_leave_the_books_of_the_venue(steps: list[tuple[int, int]], chance: Random) -> None:
    books, venue, trades = Portfolio(), FuturesLedger(), []
    for number, (size, ticks) in enumerate(steps):
        signed, price = D(size) / 1000, D(ticks) / 100
        told = venue.trade("me", "BTCUSDT", PositionSide.BOTH, signed, price, "USDT", 0)
        trades.append(filled(signed, price, told, number))
    chance.shuffle(trades)
    for trade in trades:
        books.book_fill(trade)
        assert books.identity_error == 0
    held = venue.holding("me", "BTCUSDT", PositionSide.BOTH)
    assert wallet(books) == books.realised == venue.wallets["me", "USDT"]
    assert books.position(BTC) == held.quantity
    # Exact but for what looked like rounding when the trades told so far closed all.
    assert abs(books.derivatives[BTC].book.cost - held.cost) <= D("1e-6")


def test_while_a_trade_is_missing_what_it_brought_stays_in_the_cost() -> None:
    """Bought one at 100 and (not told yet) one at 200, sold one at 180: the venue made 30 of an average of 150."""
    book = CostBook()
    book.settled(D(1), D(100), D(0))
    assert book.settled(D(-1), D(-180), D(30)) == D(30)
    assert (book.quantity, book.cost, book.realised) == (D(0), D(-50), D(30))
    book.settled(D(1), D(200), D(0))
    assert (book.quantity, book.cost, book.realised) == (D(1), D(150), D(30))


@pytest.mark.parametrize(("told", "cost"), [("10.0000003", D(0)), ("10.0000005", D("5e-7"))])
def test_no_more_than_a_venues_rounding_goes_when_all_is_closed(told: str, cost: Decimal) -> None:
    book = CostBook()
    book.settled(D(20), D(100), D(0))
    assert book.settled(D(-20), D(-110), D(told)) == D(told)
    assert (book.quantity, book.cost, book.realised) == (D(0), cost, D(told))


@given(STEPS)
def test_the_result_foretold_is_the_one_that_is_booked(steps: list[tuple[int, int]]) -> None:
    book = CostBook()
    for size, ticks in steps:
        quantity, value = D(size), D(size) * ticks
        foretold = book.result_of(quantity, value)
        assert abs(book.move(quantity, value) - foretold) <= D("2e-18")


@pytest.mark.parametrize(("signed", "price", "told"), [("-1", "50", "16.66666668"), ("-5", "50", "50.00000001")])
def test_a_trade_taken_back_leaves_nothing(signed: str, price: str, told: str) -> None:
    books = Portfolio()
    books.book_fill(filled(D(3), D("33.33333333"), D(0), 1))
    cost = books.derivatives[BTC].book.cost
    sold = filled(D(signed), D(price), D(told), 2)
    books.book_fill(sold)
    assert wallet(books) == D(told)
    assert sold.fill.opposite.realised == -D(told)
    books.book_fill(replace(sold, fill=sold.fill.opposite))
    assert (books.position(BTC), books.derivatives[BTC].book.cost) == (D(3), cost)
    assert (wallet(books), books.realised, books.identity_error) == (D(0), D(0), D(0))


def test_a_trade_without_a_told_result_is_written_as_it_always_was() -> None:
    """Snapshots and journals of before keep their hashes."""
    fill = filled(D(1), D(2), None).fill
    assert b"realised" not in encode(fill)
    assert decode(Fill, encode(fill)) == fill
    told = filled(D(1), D(2), D("0.5")).fill
    assert decode(Fill, encode(told)) == told
