"""Lots by hand: which of them a sale takes, in full and in part, long and short, and what merging the oldest keeps."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.domain.cost_book import MAX_LOTS, CostBook

D = Decimal


def book_of(*moves: tuple[str, str]) -> CostBook:
    book = CostBook()
    for quantity, value in moves:
        book.move(D(quantity), D(value))
    return book


def lots(book: CostBook) -> list[tuple[Decimal, Decimal]]:
    return [(lot.quantity, lot.cost) for lot in book.lots]


def test_a_part_of_the_oldest_lot_is_sold_first() -> None:
    book = book_of(("4", "40"), ("2", "30"), ("-1", "-12"))
    assert lots(book) == [(D(3), D(30)), (D(2), D(30))]
    assert book.realised_fifo == 2
    book.move(D(-4), D(-60))
    assert lots(book) == [(D(1), D(15))]
    assert book.realised_fifo == 2 + 60 - 30 - 15
    assert (book.quantity, book.average_cost) == (D(1), book.cost)


def test_a_short_is_bought_back_from_its_oldest_lot() -> None:
    book = book_of(("-4", "-40"), ("-2", "-30"), ("1", "8"))
    assert lots(book) == [(D(-3), D(-30)), (D(-2), D(-30))]
    assert book.realised_fifo == 2
    book.move(D(3), D(33))
    assert lots(book) == [(D(-2), D(-30))]
    assert book.realised_fifo == 2 - 3


def test_a_position_that_flips_is_closed_in_full_and_opened_with_the_rest() -> None:
    book = book_of(("2", "20"))
    assert book.move(D(-5), D(-60)) == 4
    assert (book.quantity, book.cost, book.realised, lots(book)) == (D(-3), D(-36), D(4), [(D(-3), D(-36))])
    assert book.move(D(0), D(7)) == 0
    assert (book.quantity, book.cost) == (D(-3), D(-36))


def test_a_cost_that_does_not_divide_leaves_nothing_behind() -> None:
    book = book_of(("3", "10"), ("-1", "-4"))
    assert book.cost == D("6.666666666666666667")
    assert book.lots[0].cost == D("6.666666666666666667")
    book.move(D(-2), D(-8))
    assert (book.quantity, book.cost, book.average_cost, book.lots) == (D(0), D(0), None, [])
    assert (book.realised, book.realised_fifo) == (D(2), D(2))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_two_oldest_lots_are_merged_and_the_others_stay(sign: int) -> None:
    book = book_of(*((str(sign * number), str(sign * number * 7)) for number in range(1, MAX_LOTS + 2)))
    assert MAX_LOTS == 256
    assert len(book.lots) == MAX_LOTS
    assert lots(book)[:2] == [(D(sign * 3), D(sign * 21)), (D(sign * 3), D(sign * 21))]
    assert lots(book)[-1] == (D(sign * 257), D(sign * 257 * 7))
    exact = book_of(*(("1", "1"),) * MAX_LOTS)
    assert lots(exact) == [(D(1), D(1))] * MAX_LOTS
