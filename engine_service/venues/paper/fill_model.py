"""How a paper order trades: against a displayed book, against printed trades, and inside a recorded bar. Pure.

The same rules fill the live paper venue and the backtest, so the two can be compared trade by trade:

- An aggressive order walks the displayed levels, worst price first excluded by its limit; what the book does not
  hold is not traded.
- A resting order trades at its own price, and only after what stood before it at that price has traded
  (``Queue``), or when the market printed through it.
- In a recorded bar a resting order trades when the bar went through its price (touching is not enough), and never
  more than the bar's volume. A triggered order trades at its trigger, or at the open where the bar opened beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import force_setattr

from engine_service.domain.money import BPS, ZERO, multiple_down, multiple_up
from engine_service.domain.order import Order
from engine_service.domain.order_status import BUY, OrderSide, OrderType

UNLIMITED = Decimal(10) ** 15
STOPS = frozenset({OrderType.STOP_MARKET, OrderType.STOP_LIMIT})
TAKE_PROFITS = frozenset({OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT})
CONDITIONAL = STOPS | TAKE_PROFITS
WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})


class Level(Struct, frozen=True, gc=False):
    """A price in quote and the base quantity displayed or traded there."""

    price: Decimal
    quantity: Decimal


class Book(Struct, frozen=True, gc=False):
    """Displayed levels, best first. ``at_ms`` is when it was true."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    at_ms: int = 0

    def against(self, side: OrderSide) -> tuple[Level, ...]:
        """Return the side an aggressive order of ``side`` trades with."""
        return self.asks if side is BUY else self.bids

    def beside(self, side: OrderSide) -> tuple[Level, ...]:
        """Return the side on which an order of ``side`` rests."""
        return self.bids if side is BUY else self.asks

    def after(self, side: OrderSide, traded: Sequence[Level]) -> Book:
        """Return the book after an aggressive order of ``side`` traded."""
        if side is BUY:
            return Book(self.bids, without(self.asks, traded), self.at_ms)
        return Book(without(self.bids, traded), self.asks, self.at_ms)


class Costs(Struct, frozen=True, gc=False):
    """What trading costs.

    ``half_spread_bps`` lies between a bar's price and either side of the book assumed around it; it is not used
    where a real book is known. Fees are in basis points of the notional and paid in quote.
    """

    half_spread_bps: Decimal = Decimal(1)
    taker_fee_bps: Decimal = Decimal(10)
    maker_fee_bps: Decimal = Decimal(10)
    _taker_share: Decimal = ZERO
    _maker_share: Decimal = ZERO

    def __post_init__(self) -> None:
        force_setattr(self, "_taker_share", self.taker_fee_bps / BPS)
        force_setattr(self, "_maker_share", self.maker_fee_bps / BPS)

    def fee(self, notional: Decimal, *, maker: bool) -> Decimal:
        """Return the fee of one trade in quote."""
        return notional * (self._maker_share if maker else self._taker_share)


class PriceBar(Struct, frozen=True, gc=False):
    """The part of a bar that fills depend on, in exact decimals; ``volume`` in base."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = UNLIMITED


def book_around(price: Decimal, costs: Costs, tick: Decimal, at_ms: int = 0) -> Book:
    """Return the book assumed around a bar's price: one deep level each side, half a spread away, on the tick."""
    if costs.half_spread_bps == 0:
        bid = ask = price
    else:
        away = price * costs.half_spread_bps / BPS
        bid, ask = multiple_down(price - away, tick), multiple_up(price + away, tick)
    best = (Level(bid, UNLIMITED),)
    return Book(best, best if bid == ask else (Level(ask, UNLIMITED),), at_ms)


def crosses(side: OrderSide, limit: Decimal | None, price: Decimal) -> bool:
    """Tell whether an order of ``side`` with ``limit`` would trade at ``price``; no limit trades at any."""
    if limit is None:
        return True
    return price <= limit if side is BUY else price >= limit


def take(levels: Sequence[Level], side: OrderSide, quantity: Decimal, limit: Decimal | None) -> list[Level]:
    """Return what an aggressive order of ``quantity`` (base) trades, level by level."""
    traded, left = [], quantity
    for level in levels:
        if left <= ZERO or (limit is not None and not crosses(side, limit, level.price)):
            break
        slice_quantity = left if left <= level.quantity else level.quantity
        traded.append(Level(level.price, slice_quantity))
        left -= slice_quantity
    return traded


def take_quote(levels: Sequence[Level], quote: Decimal, step: Decimal) -> list[Level]:
    """Return what a market order worth ``quote`` trades; never more than it is worth, in whole steps."""
    traded, left = [], quote
    for level in levels:
        slice_quantity = min(level.quantity, multiple_down(left / level.price, step))
        if slice_quantity <= ZERO:
            break
        traded.append(Level(level.price, slice_quantity))
        left -= slice_quantity * level.price
    return traded


def without(levels: Sequence[Level], traded: Sequence[Level]) -> tuple[Level, ...]:
    """Return what is left of the displayed levels after ``traded``: the same size is not sold twice."""
    if len(traded) == 1 and traded[0].quantity < levels[0].quantity:
        best = levels[0]
        return (Level(best.price, best.quantity - traded[0].quantity), *levels[1:])
    left = list(levels)
    for index, slice_ in enumerate(traded):
        left[index] = Level(left[index].price, left[index].quantity - slice_.quantity)
    return tuple(level for level in left if level.quantity > ZERO)


def is_triggered(order: Order, price: Decimal) -> bool:
    """Tell whether the market at ``price`` triggers a conditional order."""
    if order.stop_price is None:
        return False
    rising = (order.side is BUY) == (order.type in STOPS)
    return price >= order.stop_price if rising else price <= order.stop_price


def trigger_in_bar(order: Order, bar: PriceBar) -> Decimal | None:
    """Return the price at which a bar triggers an order: its trigger, or the open where that lies beyond it."""
    stop = order.stop_price
    if stop is None:
        return None
    if is_triggered(order, bar.open):
        return bar.open
    return stop if is_triggered(order, bar.high) or is_triggered(order, bar.low) else None


def traded_in_bar(order: Order, left: Decimal, bar: PriceBar) -> Level | None:
    """Return what a resting limit order of ``left`` base trades in a bar that went through its price."""
    limit = order.limit_price
    if limit is None:
        return None
    through = bar.low < limit if order.side is BUY else bar.high > limit
    quantity = min(left, bar.volume)
    return Level(limit, quantity) if through and quantity > ZERO else None


class Queue:
    """What stands before a resting order at its price, worn down by the trades printed there."""

    __slots__ = ("ahead",)

    def __init__(self, order: Order, book: Book) -> None:
        shown = (level.quantity for level in book.beside(order.side) if level.price == order.limit_price)
        self.ahead = next(shown, ZERO)

    def traded(self, order: Order, left: Decimal, print_: Level) -> Decimal:
        """Return how much of ``left`` a printed trade fills, and let the queue move."""
        limit = order.limit_price
        if limit is None:
            return ZERO
        if print_.price == limit:
            reaches = max(ZERO, print_.quantity - self.ahead)
            self.ahead = max(ZERO, self.ahead - print_.quantity)
            return min(left, reaches)
        through = print_.price < limit if order.side is BUY else print_.price > limit
        if not through:
            return ZERO
        self.ahead = ZERO
        return min(left, print_.quantity)
