"""The money of a paper account: spot balances, or a linear futures wallet with one-way positions. No I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ONE, ZERO
from engine_service.domain.order_status import BUY, OrderSide
from engine_service.venues.paper.fill_model import Level
from engine_service.venues.reports import Balance, VenuePosition


@dataclass(slots=True)
class Position:
    """A signed quantity in base and its average entry price."""

    quantity: Decimal = ZERO
    entry: Decimal = ZERO

    def add(self, signed: Decimal, price: Decimal) -> Decimal:
        """Apply a trade and return the profit it realised in quote."""
        before = self.quantity
        after = before + signed
        realised = ZERO
        if before and before.is_signed() != signed.is_signed():
            closed = abs(before) if after.is_signed() != before.is_signed() else abs(signed)
            realised = closed * ((price - self.entry) if before > 0 else (self.entry - price))
        if not after:
            self.entry = ZERO
        elif not before or before.is_signed() != after.is_signed():
            self.entry = price
        elif abs(after) > abs(before):
            self.entry = (self.entry * abs(before) + price * abs(signed)) / abs(after)
        self.quantity = after
        return realised


class PaperAccount(ABC):
    """Cash and holdings. ``reserve`` and ``release`` keep what resting orders may still cost."""

    def __init__(self, balances: Mapping[str, Decimal]) -> None:
        self.cash: dict[str, Decimal] = dict(balances)
        self._locked: dict[str, tuple[str, Decimal]] = {}
        self._locked_total: dict[str, Decimal] = {}

    def free(self, asset: str) -> Decimal:
        return self.cash.get(asset, ZERO) - self._locked_total.get(asset, ZERO)

    def reserve(self, order_id: str, asset: str, amount: Decimal) -> None:
        """Lock ``amount`` of ``asset`` for an order, in place of what it had locked."""
        self.release(order_id)
        if amount > 0:
            self._locked[order_id] = (asset, amount)
            self._locked_total[asset] = self._locked_total.get(asset, ZERO) + amount

    def release(self, order_id: str) -> None:
        if order_id in self._locked:
            asset, amount = self._locked.pop(order_id)
            self._locked_total[asset] -= amount

    def balances(self) -> tuple[Balance, ...]:
        return tuple(
            Balance(asset=asset, free=self.free(asset), locked=self._locked_total.get(asset, ZERO))
            for asset, total in sorted(self.cash.items())
            if total
        )

    def credit(self, asset: str, amount: Decimal) -> None:
        """Book a payment that no trade made, such as funding; negative where it was paid by us."""
        self._add(asset, amount)

    @abstractmethod
    def cost(self, instrument: Instrument, side: OrderSide, quantity: Decimal, price: Decimal) -> tuple[str, Decimal]:
        """Return the asset and the amount that an order needs free."""

    @abstractmethod
    def trade(self, instrument: Instrument, side: OrderSide, level: Level, fee: Decimal) -> None:
        """Book one trade and its fee in quote."""

    @abstractmethod
    def positions(self, marks: Mapping[str, Decimal]) -> tuple[VenuePosition, ...]:
        """Return the open positions valued at ``marks``."""

    @abstractmethod
    def held(self, instrument: Instrument) -> Decimal:
        """Return the signed quantity held, in base."""

    def _add(self, asset: str, amount: Decimal) -> None:
        self.cash[asset] = self.cash.get(asset, ZERO) + amount


class SpotAccount(PaperAccount):
    """Assets are owned outright; nothing can be sold that is not there."""

    def cost(self, instrument: Instrument, side: OrderSide, quantity: Decimal, price: Decimal) -> tuple[str, Decimal]:
        if side is BUY:
            return instrument.quote, quantity * price
        return instrument.base, quantity

    def trade(self, instrument: Instrument, side: OrderSide, level: Level, fee: Decimal) -> None:
        self._add(instrument.base, level.quantity * side.sign)
        self._add(instrument.quote, -level.price * level.quantity * side.sign - fee)

    def positions(self, marks: Mapping[str, Decimal]) -> tuple[VenuePosition, ...]:
        return ()

    def held(self, instrument: Instrument) -> Decimal:
        return self.cash.get(instrument.base, ZERO)


class FuturesAccount(PaperAccount):
    """A wallet in quote and positions beside it; opening needs notional / leverage free."""

    def __init__(self, balances: Mapping[str, Decimal], leverage: Decimal = Decimal(5)) -> None:
        super().__init__(balances)
        #: What a unit of notional needs free. Times it, not by the leverage: a quotient costs three products.
        self._margin = ONE / leverage
        self._positions: dict[str, tuple[Instrument, Position]] = {}

    def free(self, asset: str) -> Decimal:
        free = self.cash.get(asset, ZERO) - self._locked_total.get(asset, ZERO)
        for instrument, position in self._positions.values():
            if instrument.quote == asset:
                free -= abs(position.quantity) * position.entry * self._margin
        return free

    def cost(self, instrument: Instrument, side: OrderSide, quantity: Decimal, price: Decimal) -> tuple[str, Decimal]:
        opening, held = quantity, self.held(instrument)
        if held and held.is_signed() is (side is BUY):
            opening = max(ZERO, quantity - abs(held))
        return instrument.quote, opening * price * self._margin

    def trade(self, instrument: Instrument, side: OrderSide, level: Level, fee: Decimal) -> None:
        held = self._positions.get(instrument.symbol)
        if held is None:
            held = self._positions[instrument.symbol] = (instrument, Position())
        signed = level.quantity if side is BUY else -level.quantity
        realised = held[1].add(signed, level.price)
        self._add(instrument.quote, realised - fee)

    def set_position(self, instrument: Instrument, quantity: Decimal, entry: Decimal) -> None:
        """Put a position back after a restart."""
        self._positions[instrument.symbol] = (instrument, Position(quantity, entry))

    def positions(self, marks: Mapping[str, Decimal]) -> tuple[VenuePosition, ...]:
        return tuple(
            _valued(symbol, position, marks.get(symbol, position.entry))
            for symbol, (_, position) in sorted(self._positions.items())
            if position.quantity
        )

    def held(self, instrument: Instrument) -> Decimal:
        found = self._positions.get(instrument.symbol)
        return found[1].quantity if found else ZERO


def _valued(symbol: str, position: Position, mark: Decimal) -> VenuePosition:
    return VenuePosition(
        symbol=symbol,
        signed_quantity=position.quantity,
        entry_price=position.entry,
        mark_price=mark,
        unrealised_pnl=(mark - position.entry) * position.quantity,
    )
