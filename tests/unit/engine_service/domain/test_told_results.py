"""A futures venue rounds the profit that it books: the books take its figure, and the cost what rounding leaves."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

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


def test_a_result_of_another_order_of_trades_is_not_taken() -> None:
    book = CostBook()
    book.moved(D(1), D(100))
    assert book.settled(D(-1), D(-150), D("12.5")) == D(50)
    assert (book.cost, book.realised) == (D(0), D(50))


def test_a_trade_taken_back_leaves_nothing_of_its_rounding() -> None:
    books = Portfolio()
    books.book_fill(filled(D(3), D("33.33333333"), D(0), 1))
    cost = books.derivatives[BTC].book.cost
    sold = filled(D(-1), D(50), D("16.66666668"), 2)
    books.book_fill(sold)
    assert wallet(books) == D("16.66666668")
    assert sold.fill.opposite.realised == D("-16.66666668")
    books.book_fill(replace(sold, fill=sold.fill.opposite))
    assert books.position(BTC) == 3
    assert abs(books.derivatives[BTC].book.cost - cost - wallet(books)) == 0
    assert books.identity_error == 0


def test_a_trade_without_a_told_result_is_written_as_it_always_was() -> None:
    """Snapshots and journals of before keep their hashes."""
    fill = filled(D(1), D(2), None).fill
    assert b"realised" not in encode(fill)
    assert decode(Fill, encode(fill)) == fill
    told = filled(D(1), D(2), D("0.5")).fill
    assert decode(Fill, encode(told)) == told
