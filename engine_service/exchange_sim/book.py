"""A symbol's book: levels quoted by the market maker around the price, and the orders that accounts rest in it.

Whole numbers throughout: prices in ticks, quantities in steps. The market maker quotes anew at every tick of the
market, so at one price the accounts' orders are older and come first.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

from engine_service.exchange_sim.enums import Side

LEVELS = 60
# Distance between levels near the top, and half the quoted spread, as fractions of the price.
_LEVEL_GAP_FRAC = 0.00005
_SPREAD_FRAC = 0.00001
# Levels further from the top hold more.
_GROWTH_PER_LEVEL = 0.12
# Levels further from the top lie further apart, too.
_SPREADING = tuple(1.0 + i / 12.0 for i in range(LEVELS))
# Size factors that levels cycle through: uneven like a real book, the same in every run.
_UNEVEN = tuple(0.55 + 0.9 * ((i * 37) % 101) / 100 for i in range(101))


@dataclass(slots=True)
class Resting:
    """An account's order in the book. `steps` is what it still offers; `price_ticks` its limit."""

    order_id: int
    account_id: str
    price_ticks: int
    sequence: int
    steps: int


class MakerQuotes:
    """The market maker's levels, best first, each a mutable [price_ticks, steps].

    A side is worked out when somebody looks at it: most of the symbols move without anyone looking.
    """

    def __init__(self, level_steps: int) -> None:
        """`level_steps`: typical quantity of the best level."""
        self._sizes = [level_steps * (1.0 + _GROWTH_PER_LEVEL * i) for i in range(LEVELS)]
        self._turn = 0
        self._gap = 1.0
        self._best: dict[int, int] = {}
        self._sides: dict[int, list[list[int]]] = {-1: [], 1: []}

    @property
    def bids(self) -> list[list[int]]:
        return self._side(-1)

    @property
    def asks(self) -> list[list[int]]:
        return self._side(1)

    def quote_around(self, price_ticks: int, buyer_takes: bool) -> None:
        """Quote so that the last trade, at `price_ticks`, was at the best ask (or bid, if the seller took)."""
        spread = max(1, round(price_ticks * _SPREAD_FRAC))
        best_bid = price_ticks - spread if buyer_takes else price_ticks
        self._gap = max(1.0, price_ticks * _LEVEL_GAP_FRAC)
        self._turn += 1
        self._best = {-1: best_bid, 1: best_bid + spread}

    def _side(self, direction: int) -> list[list[int]]:
        best = self._best.pop(direction, None)
        if best is None:
            return self._sides[direction]
        gap, start = self._gap, self._start(direction)
        found = self._sides[direction] = [
            [price, self._steps(i, start)]
            for i in range(LEVELS)
            if (price := best + direction * int(gap * i * _SPREADING[i])) > 0
        ]
        return found

    def best(self, side: Side) -> tuple[int, int]:
        """The first level of a side that still offers something; zeros where there is none."""
        direction = -side.sign
        best = self._best.get(direction, 0)
        if best > 0:
            return best, self._steps(0, self._start(direction))
        return next(((price, steps) for price, steps in self._side(direction) if steps), (0, 0))

    def _start(self, direction: int) -> int:
        return self._turn * 7 + (direction > 0)

    def _steps(self, level: int, start: int) -> int:
        return max(1, int(self._sizes[level] * _UNEVEN[(start + level * 13) % 101]))

    def levels(self, taker: Side) -> list[list[int]]:
        """What a taker of that side meets."""
        return self.asks if taker is Side.BUY else self.bids


class RestingOrders:
    """Orders of accounts, by price then time."""

    def __init__(self) -> None:
        self._sides: dict[Side, list[tuple[int, int, Resting]]] = {Side.BUY: [], Side.SELL: []}
        self._by_id: dict[int, tuple[Side, tuple[int, int, Resting]]] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, side: Side, order_id: int, account_id: str, price_ticks: int, steps: int) -> None:
        """Rest an order behind those of its price."""
        self._sequence += 1
        resting = Resting(order_id, account_id, price_ticks, self._sequence, steps)
        entry = (-side.sign * price_ticks, self._sequence, resting)
        bisect.insort(self._sides[side], entry)
        self._by_id[order_id] = (side, entry)

    def remove(self, order_id: int) -> None:
        """Take an order out; nothing happens if it does not rest."""
        found = self._by_id.pop(order_id, None)
        if found is None:
            return
        side, entry = found
        del self._sides[side][bisect.bisect_left(self._sides[side], entry)]

    def get(self, order_id: int) -> Resting | None:
        found = self._by_id.get(order_id)
        return found[1][2] if found else None

    def best_first(self, side: Side) -> Iterator[Resting]:
        """Orders resting on a side, in the order in which they would trade."""
        return (entry[2] for entry in self._sides[side])

    def is_empty(self, side: Side) -> bool:
        return not self._sides[side]


def shown_levels(quotes: MakerQuotes, resting: RestingOrders, side: Side) -> dict[int, int]:
    """Steps by price in ticks of one side, best first: the maker's levels and the accounts' orders together."""
    maker = quotes.bids if side is Side.BUY else quotes.asks
    levels = {price: steps for price, steps in maker if steps}
    if resting.is_empty(side):
        return levels
    for order in resting.best_first(side):
        if order.steps:
            levels[order.price_ticks] = levels.get(order.price_ticks, 0) + order.steps
    return dict(sorted(levels.items(), reverse=side is Side.BUY))
