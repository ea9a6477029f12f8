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


def test_the_average_is_of_one_unit() -> None:
    assert book_of(("4", "40"), ("1", "20")).average_cost == 12


@pytest.mark.parametrize(
    ("held", "move", "result"),
    [
        (("4", "40"), ("-2", "-24"), "4"),
        (("4", "40"), ("-8", "-96"), "8"),
        (("-4", "-40"), ("2", "16"), "4"),
        (("3", "10"), ("-1", "-4"), "0.666666666666666667"),
        (("4", "40"), ("2", "24"), "0"),
        (("-4", "-40"), ("-2", "-24"), "0"),
        (("0", "0"), ("-2", "-24"), "0"),
        (("4", "40"), ("0", "0"), "0"),
    ],
)
def test_a_result_that_is_asked_for_is_the_one_that_the_move_brings(
    held: tuple[str, str], move: tuple[str, str], result: str
) -> None:
    book = book_of(held)
    quantity, value = D(move[0]), D(move[1])
    assert book.result_of(quantity, value) == D(result)
    assert (book.quantity, book.cost, book.realised) == (D(held[0]), D(held[1]), D(0))
    assert book.move(quantity, value) == D(result)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_with_the_venues_results_the_books_end_alike_in_whatever_order_trades_are_told(order: tuple[int, ...]) -> None:
    trades = [("2", "200", "0"), ("2", "240", "0"), ("-3", "-360", "31")]  # the venue's own 31, not our 30
    book = CostBook()
    for quantity, value, told in (trades[index] for index in order):
        assert book.settled(D(quantity), D(value), D(told)) == D(told)
    assert (book.quantity, book.cost, book.realised) == (D(1), D(200) + D(240) - D(360) + D(31), D(31))


@pytest.mark.parametrize(
    ("size", "off", "left"),
    [
        ("1", "0.00000011", "0"),
        ("1", "0.00000012", "0.00000012"),
        ("10", "0.0000002", "0"),
        ("10", "-0.0000002", "0"),
        ("10", "0.00000021", "0.00000021"),
        ("10", "-0.00000021", "-0.00000021"),
    ],
)
def test_what_a_venues_rounding_leaves_of_the_cost_goes_when_all_is_closed(size: str, off: str, left: str) -> None:
    book, quantity = CostBook(), D(size)
    book.settled(quantity, quantity * 100, D(0))
    book.settled(-quantity, -quantity * 100, D(off))
    assert (book.quantity, book.cost, book.realised) == (D(0), D(left), D(off))


def test_a_small_cost_of_what_is_still_held_stays() -> None:
    book = CostBook()
    book.settled(D("0.5"), D("0.00000005"), D(0))
    assert (book.quantity, book.cost) == (D("0.5"), D("0.00000005"))
