"""Why a paper exchange would not take an order: the venue's filters, funds, and order kinds. No I/O."""

from __future__ import annotations

from decimal import Decimal

from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.order_status import BUY, MARKET_ORDER
from engine_service.venues.paper.account import PaperAccount
from engine_service.venues.paper.fill_model import (
    CONDITIONAL,
    WITH_LIMIT,
    Book,
    Costs,
    crosses,
    is_triggered,
    take_quote,
)


class PaperRefusal(Exception):
    """The order is not taken; ``code`` says why in the words a venue adapter would use."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


def check_filters(order: Order, instrument: Instrument) -> None:
    """Check price and quantity against tick, step and minimum.

    Raises:
        PaperRefusal: one of them is not acceptable.
    """
    price = order.limit_price
    if order.type in WITH_LIMIT and (price is None or price <= 0 or price % instrument.tick):
        raise PaperRefusal("VENUE_FILTER_FAILURE", "the price is not on the tick")
    quantity = order.quantity
    if quantity is None:
        return
    if quantity <= 0 or quantity < instrument.min_quantity or quantity % instrument.step:
        raise PaperRefusal("VENUE_FILTER_FAILURE", "the quantity is not on the step or too small")


def size(order: Order, instrument: Instrument, book: Book) -> Decimal:
    """Return the quantity of an order in base; one sized in quote is what its amount buys from the book.

    Raises:
        PaperRefusal: the order has no size, or its amount buys nothing.
    """
    if order.quantity is not None:
        return order.quantity
    if order.quote_quantity is None:
        raise PaperRefusal("VENUE_BAD_REQUEST", "the order has no size")
    slices = take_quote(book.against(order.side), order.quote_quantity, instrument.step)
    quantity = sum((level.quantity for level in slices), ZERO)
    if quantity <= 0:
        raise PaperRefusal("VENUE_FILTER_FAILURE", "the amount buys nothing")
    return quantity


def check_affordable(
    order: Order, instrument: Instrument, book: Book, quantity: Decimal, account: PaperAccount, costs: Costs
) -> None:
    """Check that an order of ``quantity`` base is of a kind the book allows and that the account can pay for it.

    Raises:
        PaperRefusal: it is not, or cannot.
    """
    best = book.against(order.side)[0].price
    price = order.limit_price or order.stop_price or best
    if order.type is not MARKET_ORDER:
        _check_kind(order, book, best)
    notional = quantity * price
    if notional < instrument.min_notional:
        raise PaperRefusal("VENUE_FILTER_FAILURE", "the notional is too small")
    if order.reduce_only:
        _check_reducing(order, instrument, quantity, account)
    asset, amount = account.cost(instrument, order.side, quantity, price)
    if order.side is BUY and asset == instrument.quote:
        amount += costs.fee(notional, maker=False)
    # What asks for nothing, such as most of what closes a position, is taken whatever is left.
    if amount and account.free(asset) < amount:
        raise PaperRefusal("VENUE_INSUFFICIENT_FUNDS", f"not enough {asset} is free")


def _check_kind(order: Order, book: Book, best: Decimal) -> None:
    if order.type in WITH_LIMIT and order.post_only and crosses(order.side, order.limit_price, best):
        raise PaperRefusal("VENUE_WOULD_TAKE", "the order would trade at once")
    if order.type in CONDITIONAL and is_triggered(order, (book.bids[0].price + book.asks[0].price) / 2):
        raise PaperRefusal("VENUE_WOULD_TRIGGER", "the trigger is passed already")


def _check_reducing(order: Order, instrument: Instrument, quantity: Decimal, account: PaperAccount) -> None:
    held = account.held(instrument)
    if held * order.side.sign >= 0 or quantity > abs(held):
        raise PaperRefusal("VENUE_REDUCE_ONLY", "the order would not reduce the position")
