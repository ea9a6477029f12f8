"""The fill rules: walking a book, waiting in a queue, trading inside a bar."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.venues.paper.fill_model import (
    Book,
    Costs,
    Level,
    PriceBar,
    Queue,
    book_around,
    take,
    take_quote,
    traded_in_bar,
    trigger_in_bar,
    without,
)
from tests.unit.engine_service.venues.builders import limit_order

D = Decimal
ASKS = (Level(D(101), D(1)), Level(D(102), D(2)), Level(D(103), D(5)))
BIDS = (Level(D(100), D(1)), Level(D(99), D(2)))
BOOK = Book(BIDS, ASKS)


def test_a_large_order_walks_the_levels_and_pays_more_for_each() -> None:
    assert take(ASKS, OrderSide.BUY, D(4), None) == [Level(D(101), D(1)), Level(D(102), D(2)), Level(D(103), D(1))]


def test_a_limit_stops_the_walk_at_its_price() -> None:
    assert take(ASKS, OrderSide.BUY, D(4), D(102)) == [Level(D(101), D(1)), Level(D(102), D(2))]


def test_what_the_book_does_not_hold_is_not_traded() -> None:
    assert sum(level.quantity for level in take(BIDS, OrderSide.SELL, D(10), None)) == D(3)


def test_an_order_in_quote_never_costs_more_than_it_says() -> None:
    slices = take_quote(ASKS, D(250), D("0.001"))
    assert slices == [Level(D(101), D(1)), Level(D(102), D("1.460"))]
    assert sum(level.price * level.quantity for level in slices) <= D(250)


amounts = st.decimals(min_value=D("0.01"), max_value=D(20), places=2)


@given(quantity=amounts, limit=st.none() | st.decimals(min_value=D(90), max_value=D(110), places=1))
def test_no_slice_is_beyond_the_limit_nor_larger_than_what_is_shown(quantity: D, limit: D | None) -> None:
    slices = take(ASKS, OrderSide.BUY, quantity, limit)
    assert all(limit is None or level.price <= limit for level in slices)
    assert sum((level.quantity for level in slices), D(0)) <= min(quantity, D(8))
    left = without(ASKS, slices)
    assert sum((level.quantity for level in (*left, *slices)), D(0)) == D(8)


def test_the_spread_around_a_bar_is_paid_on_both_sides_and_lies_on_the_tick() -> None:
    book = book_around(D("100.005"), Costs(half_spread_bps=D(10)), D("0.01"))
    assert (book.bids[0].price, book.asks[0].price) == (D("99.90"), D("100.11"))


def test_without_a_spread_both_sides_are_the_bars_price() -> None:
    book = book_around(D("100.005"), Costs(half_spread_bps=D(0)), D("0.01"))
    assert book.bids[0].price == book.asks[0].price == D("100.005")


def test_a_resting_order_waits_until_what_stood_before_it_has_traded() -> None:
    order = limit_order(limit_price=D(100))
    queue = Queue(order, Book((Level(D(100), D(3)),), ASKS))
    assert queue.traded(order, D(2), Level(D(100), D(2))) == D(0)
    assert queue.traded(order, D(2), Level(D(100), D(2))) == D(1)
    assert queue.traded(order, D(1), Level(D(100), D(5))) == D(1)


def test_a_print_through_the_price_fills_whatever_stood_before() -> None:
    order = limit_order(limit_price=D(100))
    queue = Queue(order, Book((Level(D(100), D(3)),), ASKS))
    assert queue.traded(order, D(2), Level(D(99), D(1))) == D(1)
    assert queue.traded(order, D(2), Level(D(101), D(9))) == D(0)


BAR = PriceBar(open=D(100), high=D(105), low=D(95), close=D(102), volume=D(10))


@pytest.mark.parametrize(
    ("side", "limit", "expected"),
    [
        (OrderSide.BUY, D(96), D(2)),
        (OrderSide.BUY, D(95), None),  # touched is not through
        (OrderSide.SELL, D(104), D(2)),
        (OrderSide.SELL, D(105), None),
    ],
)
def test_a_bar_fills_a_resting_order_only_when_it_went_through_its_price(
    side: OrderSide, limit: D, expected: D | None
) -> None:
    traded = traded_in_bar(limit_order(side=side, limit_price=limit), D(2), BAR)
    assert (traded.quantity if traded else None) == expected
    assert traded is None or traded.price == limit


def test_a_bar_fills_no_more_than_it_traded() -> None:
    traded = traded_in_bar(limit_order(limit_price=D(100)), D(50), BAR)
    assert traded == Level(D(100), D(10))


@pytest.mark.parametrize(
    ("kind", "side", "stop", "price"),
    [
        (OrderType.STOP_MARKET, OrderSide.SELL, D(97), D(97)),
        (OrderType.STOP_MARKET, OrderSide.SELL, D(101), D(100)),  # opened beyond: the gap is paid
        (OrderType.STOP_MARKET, OrderSide.BUY, D(103), D(103)),
        (OrderType.TAKE_PROFIT_MARKET, OrderSide.SELL, D(104), D(104)),
        (OrderType.TAKE_PROFIT_MARKET, OrderSide.SELL, D(110), None),
        (OrderType.STOP_MARKET, OrderSide.SELL, D(90), None),
    ],
)
def test_a_trigger_inside_a_bar_is_worth_its_price_or_the_open_behind_it(
    kind: OrderType, side: OrderSide, stop: D, price: D | None
) -> None:
    order = limit_order(type=kind, side=side, stop_price=stop)
    assert trigger_in_bar(order, BAR) == price
