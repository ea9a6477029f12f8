"""Running totals of what is at risk and what it is worth: derived from the books, the open orders and the marks.

Exposure of a line counts the position and every order that may still trade, at the worst of "all buys fill" and
"all sells fill". Totals are kept along, so that a check is a look-up however many orders are open. A holding
without a price yet is valued at what it cost. Sums are as exact as the caller's decimal context: ``apply``, the rails
and the process itself set ``EXACT``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache

from engine_service.domain.events import OrderFilled
from engine_service.domain.exposure_lines import AfterOrder, Line, StrategyLine, Totals, worst_case
from engine_service.domain.ids import FUTURES, REMEMBERED, SPOT, Market, local_symbol, venue_of
from engine_service.domain.marks import Mark, MarkBook, asset_symbol
from engine_service.domain.money import ONE, ZERO, exactly, quantise
from engine_service.domain.order import Order
from engine_service.domain.order_status import BUY, OrderSide
from engine_service.domain.portfolio import Portfolio, holding_key, strategy_key


class ExposureBook:
    """Exposure and worth by line, venue, strategy and in total."""

    def __init__(self, reporting: str = "USDT") -> None:
        self.reporting = reporting
        self.lines: dict[str, Line] = {}
        self.totals = Totals()
        self.reserved: dict[str, Decimal] = {}
        self._marks: MarkBook | None = None
        #: Coins held as collateral of futures, by the symbol that prices them.
        self._collateral: dict[str, list[Line]] = {}
        self._asked: tuple[str, str, OrderSide, Decimal] | None = None
        self._answer = AfterOrder(ZERO, ZERO, ZERO, ZERO)

    # --- reading ------------------------------------------------------------------------------------------

    @property
    def equity(self) -> Decimal:
        """Return what everything is worth at the newest marks, in the reporting currency."""
        return self.totals.worth

    @property
    def is_priced(self) -> bool:
        """Tell whether everything that is held has a price."""
        return all(line.price is not None or not line.quantity for line in self.lines.values())

    def after_order(self, order_line: str, venue: str, side: OrderSide, value: Decimal) -> AfterOrder:
        """Return what exposure would be if an order of ``value`` were added.

        Several rails ask the same of one order, with the same objects: the last answer is kept until anything moves.
        """
        asked = self._asked
        if (
            asked is None
            or asked[3] is not value
            or asked[2] is not side
            or asked[0] != order_line
            or asked[1] != venue
        ):
            self._answer = self._after_order(order_line, venue, side, value)
            self._asked = (order_line, venue, side, value)
        return self._answer

    def _after_order(self, order_line: str, venue: str, side: OrderSide, value: Decimal) -> AfterOrder:
        line, totals = self.lines.get(order_line), self.totals
        before, after = ZERO, abs(value)
        if line is not None:
            before, after = line.worst, _with_order(line.value, line.buys, line.sells, side, value)
        added = after - before
        return AfterOrder(after, totals.by_venue.get(venue, ZERO) + added, totals.worst + added, added)

    def worst(self, order_line: str) -> Decimal:
        """Return the present worst-case exposure of a line."""
        line = self.lines.get(order_line)
        return ZERO if line is None else line.worst

    def strategy_after_order(self, strategy: str, order_line: str, side: OrderSide, value: Decimal) -> Decimal:
        """Return the strategy's exposure if an order of ``value`` were added."""
        total = self.totals.by_strategy.get(strategy, ZERO)
        line = self.lines.get(order_line)
        own = None if line is None else line.owners.get(strategy)
        if line is None or own is None:
            return total + value
        return total - own.worst + _with_order(own.value, own.buys, own.sells, side, value)

    def strategy_exposure(self, strategy: str) -> Decimal:
        """Return the present worst-case exposure of a strategy."""
        return self.totals.by_strategy.get(strategy, ZERO)

    def available(self, portfolio: Portfolio, venue: str, market: Market, asset: str) -> Decimal:
        """Return how much of an asset no open order holds back, in units of the asset."""
        held = portfolio.holding(venue, market, asset)
        return held - self.reserved.get(holding_key(venue, market, asset), ZERO)

    def derivative_gross(self, venue: str = "") -> Decimal:
        """Return the gross value of futures positions and open futures orders."""
        by_venue = self.totals.derivatives
        if venue:
            return by_venue.get(venue, ZERO)
        total = ZERO
        for gross in by_venue.values():
            total += gross
        return total

    def line_of(self, order: Order) -> str:
        """Return the key of the line an order trades."""
        return line_key(order.symbol, order.market, order.base, self.reporting)

    # --- open orders --------------------------------------------------------------------------------------

    def reserve(self, order: Order) -> None:
        """Count an open order."""
        self._count(order, ONE)

    def release(self, order: Order) -> None:
        """Stop counting an order as it was when it was reserved."""
        if order.is_open:
            self._count(order, -ONE)

    @contextmanager
    def without(self, orders: Iterable[Order]) -> Iterator[None]:
        """Judge something as if these orders held nothing back. For one event loop turn: nothing may await in it."""
        counted = [order for order in orders if order.is_open]
        for order in counted:
            self.release(order)
        try:
            yield
        finally:
            for order in counted:
                self.reserve(order)

    def _count(self, order: Order, sign: Decimal) -> None:
        value, funds = order.reserved_value * sign, order.reserved_funds * sign
        if order.reserve_asset and funds:
            key = holding_key(order.venue, order.market, order.reserve_asset)
            self.reserved[key] = self.reserved.get(key, ZERO) + funds
        if not value:
            return
        line = self._line(self.line_of(order), order.venue, order.market, at_risk=True)
        own = _own(line, order.strategy)
        if order.side is BUY:
            line.buys, own.buys = line.buys + value, own.buys + value
        else:
            line.sells, own.sells = line.sells + value, own.sells + value
        self._refresh(line)

    # --- books and marks ----------------------------------------------------------------------------------

    def watch(self, marks: MarkBook) -> None:
        """Follow a mark book: every line is revalued when its price moves."""
        self._marks = marks
        marks.listen(self._on_mark)
        self.reprice()

    @exactly
    def rebuild(self, portfolio: Portfolio) -> None:
        """Take positions, holdings and strategies from the books."""
        for key in portfolio.holdings:
            venue, market, asset = key.split("|")
            self.after_holding(portfolio, venue, Market(market), asset)
        for symbol in portfolio.derivatives:
            self.after_derivative(portfolio, symbol)
        for position in portfolio.strategies.values():
            key = line_key(position.symbol, position.market, position.base, self.reporting)
            line = self._line(key, venue_of(position.symbol), position.market, at_risk=True)
            _take_strategy(line, portfolio, position.strategy, position.market, position.symbol)
            self._refresh(line)

    def after_fill(self, portfolio: Portfolio, event: OrderFilled) -> None:
        """Follow a booked fill."""
        fill, base, quote = event.fill, event.base, event.quote
        venue, market, symbol, fee_asset = fill.venue, fill.market, fill.symbol, fill.fee_asset
        key = line_key(symbol, market, base, self.reporting)
        line = self.lines.get(key) or self._line(key, venue, market, at_risk=True)
        _take_strategy(line, portfolio, event.strategy, market, symbol)
        if market is FUTURES:
            self.after_derivative(portfolio, symbol)
        else:
            self.after_holding(portfolio, venue, market, base)
        self.after_holding(portfolio, venue, market, quote)
        if fee_asset and fee_asset != quote and (fee_asset != base or market is FUTURES):
            self.after_holding(portfolio, venue, market, fee_asset)
        if market is SPOT and base in {"", self.reporting}:
            # No holding stands behind this line, so nothing above valued it anew.
            self._refresh(line)

    def after_holding(self, portfolio: Portfolio, venue: str, market: Market, asset: str) -> None:
        """Follow a change of one asset."""
        key = holding_key(venue, market, asset)
        book = portfolio.holdings.get(key)
        if book is None:
            return
        at_risk = market is SPOT and asset != self.reporting
        if at_risk:
            key = line_key(asset_symbol(asset, self.reporting, venue), market, asset, self.reporting)
        line = self.lines.get(key) or self._line(key, venue, market, at_risk=at_risk)
        line.quantity, line.cost = book.quantity, book.cost
        if line.price is None:
            line.price = ONE if asset == self.reporting else self._rate(venue, asset)
        self._refresh(line)

    def after_derivative(self, portfolio: Portfolio, symbol: str) -> None:
        """Follow a change of one futures position."""
        position = portfolio.derivatives[symbol]
        book, quote = position.book, position.quote
        key = instrument_line(symbol, FUTURES)
        line = self.lines.get(key) or self._line(key, venue_of(symbol), FUTURES, at_risk=True)
        line.quantity, line.quote = book.quantity, quote
        if quote == self.reporting and line.price is not None:
            # Its price is its mark's, and that is followed mark by mark.
            line.cost = quantise(book.cost) if book.cost else ZERO
        else:
            line.cost = quantise(book.cost * (self._rate(line.venue, quote) or ONE))
            line.price = self._price_of(line) or line.price
        self._refresh(line)

    @exactly
    def reprice(self) -> None:
        """Value every line anew, those without a pair of their own through a bridge."""
        for line in self.lines.values():
            price = self._price_of(line)
            if price is not None:
                line.price = price
                self._refresh(line)

    def _on_mark(self, mark: Mark) -> None:
        if not mark.is_valid:
            return
        for held in self._collateral.get(mark.symbol, ()):
            self._take_price(held, self._price_of(held))
        line = self.lines.get(instrument_line(mark.symbol, mark.market))
        if line is None:
            return
        # A spot line is named after the very pair that prices it; a position's price needs its quote's value too.
        own = mark.market is SPOT or line.quote == self.reporting
        self._take_price(line, mark.price if own else self._price_of(line))

    def _take_price(self, line: Line, price: Decimal | None) -> None:
        if price is not None and price != line.price:
            line.price = price
            self._refresh(line)

    def _price_of(self, line: Line) -> Decimal | None:
        if self._marks is None:
            return None
        if not line.is_derivative:
            return self._rate(line.venue, line.asset)
        price = self._marks.price(line.symbol, FUTURES)
        if price is None or not line.quote or line.quote == self.reporting:
            return price
        return quantise(price * (self._rate(line.venue, line.quote) or ONE))

    def _rate(self, venue: str, asset: str) -> Decimal | None:
        if asset == self.reporting:
            return ONE
        return None if self._marks is None else self._marks.rate(venue, asset)

    # --- totals -------------------------------------------------------------------------------------------

    def _line(self, key: str, venue: str, market: Market, *, at_risk: bool) -> Line:
        line = self.lines.get(key)
        if line is not None:
            return line
        symbol, _, asset = key.rpartition("|")
        if at_risk:
            asset = local_symbol(symbol).removesuffix(self.reporting)
        line = self.lines[key] = Line(
            key=key, venue=venue, market=market, at_risk=at_risk, symbol=symbol if at_risk else "", asset=asset
        )
        line.price = self._price_of(line)
        if not at_risk and asset != self.reporting:
            self._collateral.setdefault(asset_symbol(asset, self.reporting, venue), []).append(line)
        return line

    def _refresh(self, line: Line) -> None:
        worst, worth, totals = line.worst, line.worth, self.totals
        line.refresh()
        self._asked = None
        totals.worth += line.worth - worth
        if not line.at_risk:
            return
        added = line.worst - worst
        if added:
            venue = line.venue
            totals.worst += added
            totals.by_venue[venue] += added
            if line.market is FUTURES:
                totals.derivatives[venue] += added
        for strategy, own in line.owners.items():
            before = own.worst
            own.refresh(line)
            added = own.worst - before
            if added:
                totals.by_strategy[strategy] += added


def _with_order(position: Decimal, buys: Decimal, sells: Decimal, side: OrderSide, value: Decimal) -> Decimal:
    if side is BUY:
        return worst_case(position, buys + value, sells)
    return worst_case(position, buys, sells + value)


def _own(line: Line, strategy: str) -> StrategyLine:
    own = line.owners.get(strategy)
    if own is None:
        own = line.owners[strategy] = StrategyLine()
    return own


def _take_strategy(line: Line, portfolio: Portfolio, strategy: str, market: Market, symbol: str) -> None:
    own, book = _own(line, strategy), portfolio.strategies[strategy_key(strategy, market, symbol)].book
    own.quantity, own.cost = book.quantity, book.cost


@lru_cache(REMEMBERED)
def instrument_line(symbol: str, market: Market) -> str:
    """Return the key of an instrument's own line: ``BTCUSDT.VENUE|futures``."""
    return f"{symbol}|{market}"


@lru_cache(REMEMBERED)
def line_key(symbol: str, market: Market, base: str, reporting: str) -> str:
    """Return the exposure line of an instrument: ETHBTC on spot is exposure in ETH, ``ETHUSDT.VENUE|spot``."""
    if market is SPOT and base and base != reporting:
        return instrument_line(asset_symbol(base, reporting, venue_of(symbol)), market)
    return instrument_line(symbol, market)
