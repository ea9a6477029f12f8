"""Running totals of what is at risk and what it is worth: derived from the books, the open orders and the marks.

Exposure of a line counts the position and every order that may still trade, at the worst of "all buys fill" and
"all sells fill". Totals are kept along, so that a check is a look-up however many orders are open. A holding
without a price yet is valued at what it cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine_service.domain.events import OrderFilled
from engine_service.domain.ids import Market, venue_of
from engine_service.domain.marks import Mark, MarkBook, asset_symbol
from engine_service.domain.money import ONE, ZERO, exactly, quantise
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide
from engine_service.domain.portfolio import Portfolio, holding_key, strategy_key


@dataclass(slots=True, kw_only=True)
class Line:
    """One thing at risk. ``price`` is reporting currency per unit; ``cost`` is in the reporting currency.

    ``quote`` is what a futures position is priced in, empty until there is one.
    """

    key: str
    venue: str
    market: Market
    at_risk: bool
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    price: Decimal | None = None
    quote: str = ""
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    value: Decimal = ZERO
    worth: Decimal = ZERO
    worst: Decimal = ZERO

    def refresh(self) -> None:
        """Work out value, worth and worst case anew."""
        self.value = self.cost if self.price is None else quantise(self.quantity * self.price)
        self.worth = self.value - self.cost if self.key.endswith("|futures") else self.value
        self.worst = worst_case(self.value, self.buys, self.sells) if self.at_risk else ZERO


@dataclass(slots=True, kw_only=True)
class StrategyLine:
    """The same for one strategy's own part of a line."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    worst: Decimal = ZERO

    def refresh(self, price: Decimal | None) -> None:
        value = self.cost if price is None else quantise(self.quantity * price)
        self.worst = worst_case(value, self.buys, self.sells)


@dataclass(slots=True)
class Totals:
    """Sums over lines, in the reporting currency."""

    worst: Decimal = ZERO
    by_venue: dict[str, Decimal] = field(default_factory=dict)
    by_strategy: dict[str, Decimal] = field(default_factory=dict)
    derivatives: dict[str, Decimal] = field(default_factory=dict)
    worth: Decimal = ZERO


def worst_case(value: Decimal, buys: Decimal, sells: Decimal) -> Decimal:
    """Return the larger exposure of "all buys fill" and "all sells fill"."""
    return max(abs(value + buys), abs(value - sells))


class ExposureBook:
    """Exposure and worth by line, venue, strategy and in total."""

    def __init__(self, reporting: str = "USDT") -> None:
        self.reporting = reporting
        self.lines: dict[str, Line] = {}
        self.strategy_lines: dict[str, dict[str, StrategyLine]] = {}
        self.totals = Totals()
        self.reserved: dict[str, Decimal] = {}
        self._marks: MarkBook | None = None
        self._asked: tuple[str, str, OrderSide, Decimal] | None = None
        self._answer = (ZERO, ZERO, ZERO)

    # --- reading ------------------------------------------------------------------------------------------

    @property
    def equity(self) -> Decimal:
        """Return what everything is worth at the newest marks, in the reporting currency."""
        return self.totals.worth

    @exactly
    def after_order(
        self, order_line: str, venue: str, side: OrderSide, value: Decimal
    ) -> tuple[Decimal, Decimal, Decimal]:
        """Return (line, venue, total) exposure if an order of ``value`` were added.

        Several rails ask the same of one order: the last answer is kept until anything moves.
        """
        asked = (order_line, venue, side, value)
        if asked != self._asked:
            self._answer = self._after_order(order_line, venue, side, value)
            self._asked = asked
        return self._answer

    def _after_order(
        self, order_line: str, venue: str, side: OrderSide, value: Decimal
    ) -> tuple[Decimal, Decimal, Decimal]:
        line = self.lines.get(order_line)
        before = ZERO if line is None else line.worst
        position, buys, sells = (ZERO, ZERO, ZERO) if line is None else (line.value, line.buys, line.sells)
        after = worst_case(position, buys + value * (side is OrderSide.BUY), sells + value * (side is OrderSide.SELL))
        added = after - before
        return after, self.totals.by_venue.get(venue, ZERO) + added, self.totals.worst + added

    def worst(self, order_line: str) -> Decimal:
        """Return the present worst-case exposure of a line."""
        line = self.lines.get(order_line)
        return ZERO if line is None else line.worst

    @exactly
    def strategy_after_order(self, strategy: str, order_line: str, side: OrderSide, value: Decimal) -> Decimal:
        """Return the strategy's exposure if an order of ``value`` were added."""
        own = self.strategy_lines.get(strategy, {}).get(order_line)
        total = self.totals.by_strategy.get(strategy, ZERO)
        if own is None:
            return total + value
        line = self.lines.get(order_line)
        price = None if line is None else line.price
        position = own.cost if price is None else quantise(own.quantity * price)
        buys = own.buys + value * (side is OrderSide.BUY)
        sells = own.sells + value * (side is OrderSide.SELL)
        return total - own.worst + worst_case(position, buys, sells)

    def strategy_exposure(self, strategy: str) -> Decimal:
        """Return the present worst-case exposure of a strategy."""
        return self.totals.by_strategy.get(strategy, ZERO)

    @exactly
    def available(self, portfolio: Portfolio, venue: str, market: Market, asset: str) -> Decimal:
        """Return how much of an asset no open order holds back, in units of the asset."""
        held = portfolio.holding(venue, market, asset)
        return held - self.reserved.get(holding_key(venue, market, asset), ZERO)

    @exactly
    def derivative_gross(self, venue: str = "") -> Decimal:
        """Return the gross value of futures positions and open futures orders."""
        by_venue = self.totals.derivatives
        return by_venue.get(venue, ZERO) if venue else sum(by_venue.values(), ZERO)

    def line_of(self, order: Order) -> str:
        """Return the key of the line an order trades."""
        return line_key(order.symbol, order.market, order.base, self.reporting)

    # --- open orders --------------------------------------------------------------------------------------

    @exactly
    def reserve(self, order: Order) -> None:
        """Count an open order."""
        self._count(order, ONE)

    @exactly
    def release(self, order: Order) -> None:
        """Stop counting an order as it was when it was reserved."""
        if order.is_open:
            self._count(order, -ONE)

    def _count(self, order: Order, sign: Decimal) -> None:
        value, funds = order.reserved_value * sign, order.reserved_funds * sign
        if order.reserve_asset and funds:
            key = holding_key(order.venue, order.market, order.reserve_asset)
            self.reserved[key] = self.reserved.get(key, ZERO) + funds
        if not value:
            return
        line = self._line(self.line_of(order), order.venue, order.market, at_risk=True)
        own = self._own(order.strategy, line.key)
        if order.side is OrderSide.BUY:
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
            self._take_strategy(portfolio, position.strategy, position.market, position.symbol, key)
            self._refresh(self._line(key, venue_of(position.symbol), position.market, at_risk=True))

    def after_fill(self, portfolio: Portfolio, event: OrderFilled) -> None:
        """Follow a booked fill."""
        fill = event.fill
        key = line_key(fill.symbol, fill.market, event.base, self.reporting)
        self._take_strategy(portfolio, event.strategy, fill.market, fill.symbol, key)
        touched = {event.quote, fill.fee_asset}
        if fill.market is Market.SPOT:
            touched.add(event.base)
        else:
            self.after_derivative(portfolio, fill.symbol)
        for asset in touched - {""}:
            self.after_holding(portfolio, fill.venue, fill.market, asset)
        if fill.market is Market.SPOT and event.base in {"", self.reporting}:
            # No holding stands behind this line, so nothing above valued it anew.
            self._refresh(self._line(key, fill.venue, fill.market, at_risk=True))

    @exactly
    def after_holding(self, portfolio: Portfolio, venue: str, market: Market, asset: str) -> None:
        """Follow a change of one asset."""
        book = portfolio.holdings.get(holding_key(venue, market, asset))
        if book is None:
            return
        at_risk = market is Market.SPOT and asset != self.reporting
        key = (
            line_key(asset_symbol(asset, self.reporting, venue), market, asset, self.reporting)
            if at_risk
            else holding_key(venue, market, asset)
        )
        line = self._line(key, venue, market, at_risk=at_risk)
        line.quantity, line.cost = book.quantity, book.cost
        if line.price is None:
            line.price = ONE if asset == self.reporting else self._rate(venue, asset)
        self._refresh(line)

    @exactly
    def after_derivative(self, portfolio: Portfolio, symbol: str) -> None:
        """Follow a change of one futures position."""
        position = portfolio.derivatives[symbol]
        line = self._line(f"{symbol}|futures", venue_of(symbol), Market.FUTURES, at_risk=True)
        rate = self._rate(line.venue, position.quote) or ONE
        line.quantity, line.cost, line.quote = (
            position.book.quantity,
            quantise(position.book.cost * rate),
            position.quote,
        )
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

    @exactly
    def _on_mark(self, mark: Mark) -> None:
        line = self.lines.get(f"{mark.symbol}|{mark.market}")
        if line is None or not mark.is_valid:
            return
        price = self._price_of(line)
        if price is not None and price != line.price:
            line.price = price
            self._refresh(line)

    def _price_of(self, line: Line) -> Decimal | None:
        if self._marks is None:
            return None
        if not line.at_risk:
            return self._rate(line.venue, line.key.rpartition("|")[2])
        symbol = line.key.partition("|")[0]
        local = symbol.partition(".")[0]
        if line.market is Market.SPOT:
            return self._rate(line.venue, local.removesuffix(self.reporting))
        price = self._marks.price(symbol, Market.FUTURES)
        rate = self._rate(line.venue, line.quote) if line.quote else ONE
        return price if price is None else quantise(price * (rate or ONE))

    def _rate(self, venue: str, asset: str) -> Decimal | None:
        if asset == self.reporting:
            return ONE
        return None if self._marks is None else self._marks.rate(venue, asset)

    def _take_strategy(self, portfolio: Portfolio, strategy: str, market: Market, symbol: str, key: str) -> None:
        own, position = self._own(strategy, key), portfolio.strategies[strategy_key(strategy, market, symbol)]
        own.quantity, own.cost = position.book.quantity, position.book.cost

    # --- totals -------------------------------------------------------------------------------------------

    def _line(self, key: str, venue: str, market: Market, *, at_risk: bool) -> Line:
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(key=key, venue=venue, market=market, at_risk=at_risk)
            line.price = self._price_of(line)
        return line

    def _own(self, strategy: str, key: str) -> StrategyLine:
        return self.strategy_lines.setdefault(strategy, {}).setdefault(key, StrategyLine())

    def _refresh(self, line: Line) -> None:
        worst, worth = line.worst, line.worth
        line.refresh()
        self._asked = None
        totals, added = self.totals, line.worst - worst
        totals.worth += line.worth - worth
        if added:
            totals.worst += added
            totals.by_venue[line.venue] = totals.by_venue.get(line.venue, ZERO) + added
            if line.market is Market.FUTURES:
                totals.derivatives[line.venue] = totals.derivatives.get(line.venue, ZERO) + added
        for strategy, lines in self.strategy_lines.items():
            own = lines.get(line.key)
            if own is None:
                continue
            before = own.worst
            own.refresh(line.price)
            totals.by_strategy[strategy] = totals.by_strategy.get(strategy, ZERO) + own.worst - before


def line_key(symbol: str, market: Market, base: str, reporting: str) -> str:
    """Return the exposure line of an instrument: ETHBTC on spot is exposure in ETH, ``ETHUSDT.VENUE|spot``."""
    if market is Market.SPOT and base and base != reporting:
        return f"{asset_symbol(base, reporting, venue_of(symbol))}|spot"
    return f"{symbol}|{market}"
