"""What the account holds and what that cost: assets on spot, wallets and signed positions on futures.

Everything is booked in the asset that moved and, beside it, at its value in the reporting currency at that moment.
The one identity, exact to the last digit and checked after every event, needs no price:

    sum of costs - starting equity == realised - fees - funding + transfers

With prices it reads: equity - starting equity == realised + unrealised - fees - funding + transfers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Final

from msgspec import UNSET, UnsetType

from engine_service.domain.cost_book import CostBook
from engine_service.domain.events import (
    AdjustmentKind,
    BalanceAdjusted,
    FundingPaid,
    OrderFilled,
    PositionAdopted,
)
from engine_service.domain.ids import FUTURES, REMEMBERED, SPOT, Market
from engine_service.domain.money import ONE, ZERO, exactly, quantise
from engine_service.domain.order_status import BUY

_RESULTS: Final = frozenset(
    {AdjustmentKind.ROUNDING, AdjustmentKind.REBATE, AdjustmentKind.BONUS, AdjustmentKind.INSURANCE}
)


@dataclass(slots=True, kw_only=True)
class DerivativePosition:
    """A signed futures position; the book's costs are in ``quote``."""

    symbol: str
    quote: str
    book: CostBook = field(default_factory=CostBook)


@dataclass(slots=True, kw_only=True)
class StrategyPosition:
    """What one strategy's own orders did to one instrument; costs and fees in the reporting currency."""

    strategy: str
    symbol: str
    market: Market
    base: str = ""
    book: CostBook = field(default_factory=CostBook)
    fees: Decimal = ZERO
    fills: int = 0


@lru_cache(REMEMBERED)
def holding_key(venue: str, market: Market, asset: str) -> str:
    """Return the key of a holding: ``BINANCE|spot|BTC``."""
    return f"{venue}|{market}|{asset}"


@lru_cache(REMEMBERED)
def strategy_key(strategy: str, market: Market, symbol: str) -> str:
    """Return the key of a strategy's position: ``ma_cross|spot|BTCUSDT.BINANCE``."""
    return f"{strategy}|{market}|{symbol}"


@dataclass(slots=True, kw_only=True)
class Portfolio:
    """The books. Only ``book_*`` methods change them; totals are in the reporting currency."""

    reporting: str = "USDT"
    holdings: dict[str, CostBook] = field(default_factory=dict)
    derivatives: dict[str, DerivativePosition] = field(default_factory=dict)
    strategies: dict[str, StrategyPosition] = field(default_factory=dict)
    starting_equity: Decimal = ZERO
    book_value: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    transfers: Decimal = ZERO

    def holding(self, venue: str, market: Market, asset: str) -> Decimal:
        """Return how much of an asset is held, in units of the asset."""
        book = self.holdings.get(holding_key(venue, market, asset))
        return ZERO if book is None else book.quantity

    def position(self, symbol: str) -> Decimal:
        """Return the signed futures position in base units."""
        position = self.derivatives.get(symbol)
        return ZERO if position is None else position.book.quantity

    @property
    @exactly
    def identity_error(self) -> Decimal:
        """Return what the identity misses; anything but 0 is a defect of this program."""
        change = self.book_value - self.starting_equity
        return change - (self.realised - self.fees - self.funding + self.transfers)

    @exactly
    def summed_book_value(self) -> Decimal:
        """Return the sum of all costs, added up anew: what ``book_value`` keeps running."""
        return sum((book.cost for book in self.holdings.values()), ZERO)

    @exactly
    def book_fill(self, event: OrderFilled) -> None:
        """Book one trade: base, quote and fee asset on spot; position, wallet and fee on futures."""
        fill, rate = event.fill, event.quote_rate
        quantity, fee = fill.quantity if fill.side is BUY else -fill.quantity, fill.fee
        notional = fill.price * quantity
        value = notional if rate is ONE else _value(notional, rate)
        if fill.market is SPOT:
            self.realised += self._move(fill.venue, SPOT, event.base, quantity, value)
            self.realised += self._move(fill.venue, SPOT, event.quote, -notional, -value)
        else:
            self._book_derivative(fill.venue, fill.symbol, event, quantity, notional, fill.realised)
        fee_value = _value(fee, event.fee_rate)
        if fee:
            self.fees += fee_value
            self.realised += self._move(fill.venue, fill.market, fill.fee_asset, -fee, -fee_value)
        self._attribute(event, quantity, value, fee_value)

    @exactly
    def book_adjustment(self, event: BalanceAdjusted) -> None:
        """Book what moved without a trade at its value; whether it is a result is a matter of its kind."""
        value = _value(event.amount, event.rate)
        self.realised += self._move(event.venue, event.market, event.asset, event.amount, value)
        if event.kind is AdjustmentKind.OPENING:
            self.starting_equity += value
        elif event.kind in _RESULTS:
            self.realised += value
        else:
            self.transfers += value

    @exactly
    def book_funding(self, event: FundingPaid) -> None:
        """Book a funding payment into the futures wallet."""
        value = _value(event.amount, event.rate)
        self.realised += self._move(event.venue, FUTURES, event.asset, event.amount, value)
        self.funding -= value

    @exactly
    def book_adoption(self, event: PositionAdopted, venue: str) -> None:
        """Take over a futures position (or the difference to one) that no fill of ours made."""
        self._book_derivative(venue, event.symbol, event, event.quantity, event.quantity * event.price, event.realised)

    def _book_derivative(
        self,
        venue: str,
        symbol: str,
        event: OrderFilled | PositionAdopted,
        quantity: Decimal,
        notional: Decimal,
        told: Decimal | UnsetType = UNSET,
    ) -> None:
        position = self.derivatives.get(symbol)
        if position is None:
            position = self.derivatives[symbol] = DerivativePosition(symbol=symbol, quote=event.quote)
        book = position.book
        pnl = book.moved(quantity, notional) if told is UNSET else book.settled(quantity, notional, told)
        if pnl != 0:
            value = _value(pnl, event.quote_rate)
            self.realised += value + self._move(venue, FUTURES, event.quote, pnl, value)

    def _move(self, venue: str, market: Market, asset: str, amount: Decimal, value: Decimal) -> Decimal:
        """Move an asset at a value; return the result realised by parting with it at another cost."""
        key = holding_key(venue, market, asset)
        book = self.holdings.get(key)
        if book is None:
            book = self.holdings[key] = CostBook()
        if asset == self.reporting:
            book.quantity += amount
            book.cost += amount
            self.book_value += amount
            return amount - value
        before = book.cost
        realised = book.moved(amount, value)
        self.book_value += book.cost - before
        return realised

    def _attribute(self, event: OrderFilled, quantity: Decimal, value: Decimal, fee_value: Decimal) -> None:
        fill = event.fill
        key = strategy_key(event.strategy, fill.market, fill.symbol)
        position = self.strategies.get(key)
        if position is None:
            position = self.strategies[key] = StrategyPosition(
                strategy=event.strategy, symbol=fill.symbol, market=fill.market, base=event.base
            )
        position.book.moved(quantity, value)
        if fill.market is SPOT and fill.fee_asset == event.base:
            position.book.moved(-fill.fee, -fee_value)
        position.fees += fee_value
        position.fills += 1


def _value(amount: Decimal, rate: Decimal) -> Decimal:
    return amount if rate is ONE or rate == ONE else quantise(amount * rate)
