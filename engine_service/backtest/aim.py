"""From what a strategy wants to the market order that brings it there: one symbol's targets as quantities."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from engine_service.backtest.options import BacktestOptions
from engine_service.backtest.planned import PlannedOrder
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.marks import MarkBook
from engine_service.domain.money import ZERO, from_float
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.domain.portfolio import Portfolio, strategy_key

SHARE_STEP = Decimal("0.0001")


class _Known(NamedTuple):
    """The order that a wish came to when the strategy held so much: a strategy that flips comes back to it."""

    held: Decimal
    wanted: Decimal
    why: Mapping[str, str]
    order: PlannedOrder | None


class Aim:
    """What one symbol's strategies want, as orders. All arithmetic is exact: call it in the ``EXACT`` context."""

    def __init__(self, instrument: Instrument, options: BacktestOptions) -> None:
        self._instrument = instrument
        self._options = options
        self._long_only = options.long_only or instrument.market is Market.SPOT
        self._keys: dict[str, str] = {}
        self._shares: dict[float, Decimal] = {}
        self._fixed: dict[float, Decimal] = {}
        self._known: dict[tuple[str, float], _Known] = {}

    def order(
        self, strategy: str, target: float, why: Mapping[str, str], books: Portfolio, marks: MarkBook
    ) -> PlannedOrder | None:
        """Return the market order that brings a strategy to its target, or ``None`` where it is there."""
        position = books.strategies.get(self._keys.get(strategy) or self._key(strategy))
        held = ZERO if position is None else position.book.quantity
        wanted = self._fixed.get(target)
        if wanted is None:
            wanted = self._wanted(target, marks)
        known = self._known.get((strategy, target))
        if known is None or known.held != held or known.wanted != wanted or known.why is not why:
            known = _Known(held, wanted, why, self._order(strategy, held, wanted, why))
            self._known[strategy, target] = known
        return known.order

    def _order(self, strategy: str, held: Decimal, wanted: Decimal, why: Mapping[str, str]) -> PlannedOrder | None:
        change = wanted - held
        quantity = self._instrument.round_quantity(abs(change), market_order=True)
        if quantity <= 0:
            return None
        reduces = held != 0 and held * wanted >= 0 and abs(wanted) < abs(held)
        request = OrderRequest(
            symbol=self._instrument.symbol,
            market=self._instrument.market,
            side=OrderSide.BUY if change > 0 else OrderSide.SELL,
            type=OrderType.MARKET,
            quantity=quantity,
            reduce_only=reduces,
            strategy=strategy,
            leg="exit" if abs(wanted) < abs(held) else "entry",
            why=why,
        )
        return PlannedOrder(request)

    def _wanted(self, target: float, marks: MarkBook) -> Decimal:
        if target < 0 and self._long_only:
            return ZERO
        options = self._options
        if options.quantity is not None:
            return self._fixed.setdefault(target, self._share(target) * options.quantity)
        price = marks.price(self._instrument.symbol, self._instrument.market)
        return self._share(target) * (options.notional or ZERO) / price if price else ZERO

    def _share(self, target: float) -> Decimal:
        share = self._shares.get(target)
        if share is None:
            share = from_float(abs(target), SHARE_STEP) * (1 if target >= 0 else -1)
            self._shares[target] = share
        return share

    def _key(self, strategy: str) -> str:
        key = self._keys[strategy] = strategy_key(strategy, self._instrument.market, self._instrument.symbol)
        return key
