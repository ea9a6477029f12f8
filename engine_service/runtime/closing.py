"""What a strategy can close, and how: several share one account, and on USD-M opposite positions net at the venue.

A USD-M account in one-way mode holds the sum. Two strategies on opposite sides may leave it flat, and neither could get
out by an order that only reduces what the account holds. So a close is reduce-only up to what the account holds; the
rest is an ordinary order, which every rail judges.
"""

from __future__ import annotations

from decimal import Decimal

from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ZERO, multiple_up
from engine_service.domain.order_status import OrderSide
from engine_service.domain.portfolio import strategy_key
from engine_service.execution.apply_report import EXTERNAL
from engine_service.execution.core import EngineCore
from engine_service.runtime.own_orders import bracket_task, on_its_way, signal_task

#: Positions of nobody's program. What they took from a strategy's is closed, and a close must not open it again.
_BY_HAND = frozenset({"manual", EXTERNAL})


def closable(core: EngineCore, strategy: str, symbol: str, market: Market) -> Decimal:
    """Return how much of a strategy's position is still there to be closed, signed.

    On USD-M: no more than all strategies hold in that direction together, less what a person has closed of it.
    """
    books, instrument = core.state.portfolio, core.instruments.get((symbol, market))
    own = books.strategies.get(strategy_key(strategy, market, symbol))
    held = ZERO if own is None else own.book.quantity
    if market is Market.SPOT:
        return held if instrument is None else min(held, books.holding(instrument.venue, market, instrument.base))
    sign = 1 if held >= 0 else -1
    if books.position(symbol) * sign >= abs(held):
        return held
    same = sum((max(ZERO, other * sign) for other in _strategies(core, symbol)), ZERO)
    return max(ZERO, min(abs(held), same + _by_hand(core, symbol) * sign)) * sign


def has_to_wait(core: EngineCore, symbol: str, side: OrderSide) -> bool:
    """Tell whether an ordinary USD-M order that closes has to wait for the others on their way.

    Where a person closed a part, the strategies share what is left, and two at a time could both close it.
    """
    if _by_hand(core, symbol) * side.sign <= 0:
        return False
    lines = core.state.image.brackets.values()
    tasks = [bracket_task(bracket.bracket_id) for bracket in lines if bracket.symbol == symbol]
    tasks += [signal_task(other.strategy, symbol) for other in core.state.portfolio.strategies.values()]
    return any(task in core.tasks for task in tasks) or bool(on_its_way(core, "", symbol, Market.FUTURES))


def _strategies(core: EngineCore, symbol: str) -> list[Decimal]:
    """Return the USD-M positions of the strategies in a symbol, signed."""
    return [
        position.book.quantity
        for position in core.state.portfolio.strategies.values()
        if position.symbol == symbol and position.market is Market.FUTURES and position.strategy not in _BY_HAND
    ]


def _by_hand(core: EngineCore, symbol: str) -> Decimal:
    """Return what the USD-M account holds beyond its strategies' figures, signed."""
    return core.state.portfolio.position(symbol) - sum(_strategies(core, symbol), ZERO)


def next_order(core: EngineCore, instrument: Instrument, side: OrderSide, quantity: Decimal) -> tuple[Decimal, bool]:
    """Return how much of a close goes next, 0 where the venue takes none of it, and whether it only reduces.

    The part that only reduces leaves enough for the other: the venue has a minimum for what does not only reduce.
    """
    least, lowest = smallest(core, instrument), max(instrument.min_quantity, instrument.market_min_quantity)
    if quantity < lowest:
        return ZERO, True
    if instrument.market is Market.SPOT:
        return (quantity if quantity >= least else ZERO), True
    there = max(ZERO, -core.state.portfolio.position(instrument.symbol) * side.sign)
    if quantity <= there:
        return quantity, True
    if quantity < least:
        return (there if there >= lowest else ZERO), True
    reducing = instrument.round_quantity(min(there, quantity - least), market_order=True)
    if reducing > 0 and reducing >= lowest:
        return reducing, True
    return quantity, False


def smallest(core: EngineCore, instrument: Instrument) -> Decimal:
    """Return the smallest quantity that the rails and the venue take at the present mark."""
    step = instrument.market_step or instrument.step
    least = max(step, instrument.min_quantity, instrument.market_min_quantity)
    mark = core.marks.price(instrument.symbol, instrument.market)
    rate = core.rate(instrument.venue, instrument.quote)
    if not mark or not rate:
        return least
    return max(least, multiple_up(core.gate.policy.smallest_value(instrument, rate) / (mark * rate), step))
