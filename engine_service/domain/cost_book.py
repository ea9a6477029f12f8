"""Signed quantity and its cost: average cost, with first-in-first-out lots beside it. Sums never round.

Long quantities carry a positive cost, short ones a negative cost (what selling them brought). Costs leave in
proportion, quantised once to 18 digits, and closing removes all of it, so the books add up to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from msgspec import Struct

from engine_service.domain.money import ZERO, exactly, quantise

MAX_LOTS = 256
#: What a venue's rounding may leave of the cost when all is closed: results and entry prices have eight digits.
ROUNDED, ROUNDED_EACH = Decimal("1e-7"), Decimal("1e-8")


class Lot(Struct, kw_only=True, gc=False):
    """One purchase (or short sale) that is not closed yet; both figures are signed alike."""

    quantity: Decimal
    cost: Decimal


@dataclass(slots=True, kw_only=True)
class CostBook:
    """What is held of one thing and what it cost, in the currency of the values handed in.

    ``realised`` sums the average-cost results, ``realised_fifo`` the first-in-first-out results. At most
    ``MAX_LOTS`` lots are kept; beyond that the two oldest are merged.
    """

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    realised_fifo: Decimal = ZERO
    lots: list[Lot] = field(default_factory=list)

    @property
    def average_cost(self) -> Decimal | None:
        """Return the cost of one unit, or ``None`` when flat."""
        return self.cost / self.quantity if self.quantity else None

    @exactly
    def move(self, quantity: Decimal, value: Decimal) -> Decimal:
        """Add a signed quantity that was bought (sold) for a value of the same sign.

        Returns:
            The realised result of the part that closed something, at average cost.
        """
        return self.moved(quantity, value)

    def moved(self, quantity: Decimal, value: Decimal) -> Decimal:
        """Do what ``move`` does, as exactly as the caller's decimal context."""
        held = self.quantity
        if not quantity:
            return ZERO
        rest = held + quantity
        if not rest:
            return self._close_all(value, rest)
        if not held or held.is_signed() == quantity.is_signed():
            self._open(quantity, value)
            return ZERO
        if rest.is_signed() == held.is_signed():
            return self._close(quantity, value, rest)
        closing_value = quantise(value * abs(held) / abs(quantity))
        realised = self._close_all(closing_value, ZERO)
        self._open(rest, value - closing_value)
        return realised

    def settled(self, quantity: Decimal, value: Decimal, told: Decimal) -> Decimal:
        """Move as ``moved`` does, and book the result that a venue told in place of ours; the cost takes the rest.

        So cost and result are sums over the trades: whatever order these are told in, and whichever are taken back,
        the books end as the venue's. While trades are missing a flat position may have a cost: what they brought. What
        is no more than the venue's rounding goes when all is closed.
        """
        off = told - self.moved(quantity, value)
        if off:
            self.cost += off
            self.realised += off
        if self.cost and not self.quantity and abs(self.cost) <= ROUNDED + abs(quantity) * ROUNDED_EACH:
            self.cost = ZERO
        return told

    @exactly
    def result_of(self, quantity: Decimal, value: Decimal) -> Decimal:
        """Return what ``move`` would realise; nothing is booked."""
        held = self.quantity
        if not held or not quantity or held.is_signed() == quantity.is_signed():
            return ZERO
        closing = min(abs(quantity), abs(held))
        return -quantise(value * closing / abs(quantity)) - quantise(self.cost * closing / abs(held))

    def _open(self, quantity: Decimal, value: Decimal) -> None:
        self.quantity += quantity
        self.cost += value
        lots = self.lots
        if len(lots) >= MAX_LOTS:
            first, second = lots[0], lots[1]
            lots[:2] = [Lot(quantity=first.quantity + second.quantity, cost=first.cost + second.cost)]
        lots.append(Lot(quantity=quantity, cost=value))

    def _close(self, quantity: Decimal, value: Decimal, left: Decimal) -> Decimal:
        removed = quantise(self.cost * abs(quantity) / abs(self.quantity))
        return self._booked(-value, removed, self._take_lots(abs(quantity)), left)

    def _close_all(self, value: Decimal, left: Decimal) -> Decimal:
        lots = self.lots
        taken = lots[0].cost if len(lots) == 1 else sum((lot.cost for lot in lots), ZERO)
        lots.clear()
        return self._booked(-value, self.cost, taken, left)

    def _booked(self, brought: Decimal, removed: Decimal, lots: Decimal, left: Decimal) -> Decimal:
        self.quantity = left
        self.cost -= removed
        realised = brought - removed
        self.realised += realised
        self.realised_fifo += brought - lots
        return realised

    def _take_lots(self, quantity: Decimal) -> Decimal:
        """Remove an absolute quantity from the oldest lots and return their signed cost."""
        taken = ZERO
        while quantity > 0 and self.lots:
            lot = self.lots[0]
            size = abs(lot.quantity)
            if size <= quantity:
                quantity -= size
                taken += lot.cost
                del self.lots[0]
                continue
            part = quantise(lot.cost * quantity / size)
            lot.quantity += -quantity if lot.quantity > 0 else quantity
            lot.cost -= part
            return taken + part
        return taken
