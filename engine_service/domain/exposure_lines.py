"""One thing at risk, and what each strategy has of it: the figures that totals are made of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec import Struct

from engine_service.domain.ids import FUTURES, Market
from engine_service.domain.money import ONE, ZERO, quantise


@dataclass(slots=True, kw_only=True)
class StrategyLine:
    """One strategy's own part of a line; the figures mean what they mean there."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    value: Decimal = ZERO
    worst: Decimal = ZERO

    def refresh(self, line: Line) -> None:
        """Work out value and worst case anew; a strategy that holds all of its line has the line's value."""
        price, quantity = line.price, self.quantity
        if price is None:
            value = self.cost
        elif quantity == line.quantity:
            value = line.value
        else:
            value = _value(quantity, price)
        self.value = value
        self.worst = worst_case(value, self.buys, self.sells) if self.buys or self.sells else abs(value)


@dataclass(slots=True, kw_only=True)
class Line:
    """One thing at risk. ``price`` is reporting currency per unit; ``cost`` is in the reporting currency.

    ``symbol`` is the instrument of a line at risk, ``asset`` what a holding is valued as; ``quote`` is what a futures
    position is priced in, empty until there is one. ``owners`` are the strategies' parts, by name.
    """

    key: str
    venue: str
    market: Market
    at_risk: bool
    symbol: str = ""
    asset: str = ""
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    price: Decimal | None = None
    quote: str = ""
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    value: Decimal = ZERO
    worth: Decimal = ZERO
    worst: Decimal = ZERO
    owners: dict[str, StrategyLine] = field(default_factory=dict)

    @property
    def is_derivative(self) -> bool:
        """True for a futures position: its worth is its result, not its value."""
        return self.at_risk and self.market is FUTURES

    def refresh(self) -> None:
        """Work out value, worth and worst case anew."""
        price = self.price
        if price is None:
            value = self.value = self.cost
        else:
            value = self.value = _value(self.quantity, price)
        if not self.at_risk:
            self.worth = value
            return
        self.worth = value - self.cost if self.market is FUTURES else value
        self.worst = worst_case(value, self.buys, self.sells) if self.buys or self.sells else abs(value)


@dataclass(slots=True)
class Totals:
    """Sums over lines, in the reporting currency."""

    worst: Decimal = ZERO
    by_venue: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_strategy: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    derivatives: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    worth: Decimal = ZERO


class AfterOrder(Struct, frozen=True, gc=False):
    """Exposure if an order were added, in the reporting currency; ``added`` is what it adds to its line."""

    line: Decimal
    venue: Decimal
    total: Decimal
    added: Decimal


def worst_case(value: Decimal, buys: Decimal, sells: Decimal) -> Decimal:
    """Return the larger exposure of "all buys fill" and "all sells fill"."""
    if not sells:
        if not buys:
            return abs(value)
        long, short = abs(value + buys), abs(value)
    else:
        long, short = abs(value + buys), abs(value - sells)
    return long if long >= short else short


def _value(quantity: Decimal, price: Decimal) -> Decimal:
    if not quantity:
        return ZERO
    return quantise(quantity if price is ONE else quantity * price)
