"""A bracket in figures: which orders belong to it, how much they closed, how much is left to protect. Reads only.

Every order of a bracket has an id derived from the entry's own, so that a restarted engine finds them by computing:
``take_profit.1`` and ``stop_loss.1`` are the first pair, ``.2`` the pair that replaced it, ``exit.1`` the first
closing at market.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from engine_service.domain import events as e
from engine_service.domain.bracket import BracketPrices
from engine_service.domain.ids import Market
from engine_service.domain.ids import client_order_id as derived_id
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ZERO, exactly
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_changes import RESTING
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution.core import EngineCore
from engine_service.venues.abilities import OcoVenue

TAKE_PROFIT, STOP_LOSS, EXIT = "take_profit", "stop_loss", "exit"
#: Where the two legs live: one list at the venue, two orders linked by the engine, or nowhere but in the engine.
NATIVE, LINKED, WATCHED = "native", "linked", "watched"
#: A leg that stands at the venue and needs nobody.
#: A leg of which something is being asked, or not known.
UNSETTLED = frozenset(
    {
        OrderStatus.INITIALIZED,
        OrderStatus.SUBMITTED,
        OrderStatus.PENDING_ACK,
        OrderStatus.IN_DOUBT,
        OrderStatus.PENDING_CANCEL,
        OrderStatus.PENDING_UPDATE,
        OrderStatus.RESURRECTED,
        OrderStatus.QUARANTINED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How a bracket stands, in base units: ``closed`` by its own orders, ``remaining`` to protect, rounded down."""

    attempt: int
    take_profit: Order | None
    stop_loss: Order | None
    exits: tuple[Order, ...]
    closed: Decimal
    remaining: Decimal
    outcome: str

    @property
    def legs(self) -> tuple[Order, ...]:
        return tuple(leg for leg in (self.take_profit, self.stop_loss) if leg is not None)

    @property
    def open_legs(self) -> tuple[Order, ...]:
        return tuple(leg for leg in self.legs if leg.is_open)

    @property
    def stop_rests(self) -> bool:
        """True while the venue itself will stop the loss of all that remains."""
        leg = self.stop_loss
        return leg is not None and leg.status in RESTING and (leg.remaining_quantity or ZERO) >= self.remaining


def leg_id(core: EngineCore, armed: e.BracketArmed, leg: str, number: int) -> str:
    """Return the id of one of a bracket's own orders."""
    return derived_id(
        core.instance_key,
        account=core.account,
        venue=core.venue_for(armed.symbol).info.name,
        market=armed.market,
        scope="bracket",
        key=armed.bracket_id,
        leg=f"{leg}.{number}",
    )


def mode_for(core: EngineCore, symbol: str, market: Market) -> str:
    """Return where the legs of a bracket on this instrument can live."""
    if market is Market.FUTURES:
        return LINKED
    return NATIVE if isinstance(core.venue_for(symbol), OcoVenue) else WATCHED


@exactly
def protectable(core: EngineCore, entry: Order, instrument: Instrument) -> Decimal:
    """Return what an entry brought, fees in the base asset taken off, rounded down to what can be closed again."""
    quantity = entry.filled_quantity
    if entry.market is Market.SPOT and entry.side is OrderSide.BUY:
        fills = core.state.fills_of(entry.client_order_id)
        quantity -= sum((fill.fee for fill in fills if fill.fee_asset == instrument.base), ZERO)
    return instrument.round_quantity(quantity, market_order=True)


@exactly
def figures_of(core: EngineCore, armed: e.BracketArmed, instrument: Instrument) -> Figures:
    """Work out how a bracket stands from its orders and from what the account still holds."""
    pairs = list(_pairs(core, armed))
    exits = tuple(_numbered(core, armed, EXIT))
    every = [leg for pair in pairs for leg in pair if leg is not None]
    every += exits
    closed = sum((order.filled_quantity for order in every), ZERO)
    left = min(armed.quantity - closed, _held(core, armed))
    filled = [order for order in every if order.filled_quantity > 0]
    newest = max(filled, key=lambda order: order.updated_at_ms).leg if filled else ""
    return Figures(
        attempt=len(pairs),
        take_profit=pairs[-1][0] if pairs else None,
        stop_loss=pairs[-1][1] if pairs else None,
        exits=exits,
        closed=closed,
        remaining=max(ZERO, instrument.round_quantity(left, market_order=True)),
        outcome=newest,
    )


def is_alone(core: EngineCore, armed: e.BracketArmed, figures: Figures) -> bool:
    """Tell whether the account holds nothing besides what remains: then the venue lets it be closed only once."""
    instrument = core.instrument(armed.symbol, armed.market)
    return instrument.round_quantity(_held(core, armed), market_order=True) <= figures.remaining


def prices_of(armed: e.BracketArmed) -> BracketPrices:
    """Return the levels of an order's bracket.

    Raises:
        ValueError: it has none; a bracket of an order always has both.
    """
    if armed.take_profit is None or armed.stop_loss is None:
        raise ValueError("a bracket without prices")
    return BracketPrices(take_profit=armed.take_profit, stop_loss=armed.stop_loss)


def leg_request(armed: e.BracketArmed, leg: str, quantity: Decimal) -> OrderRequest:
    """Return the order that one leg asks for: on spot a resting limit and a stop, on futures two triggers."""
    if leg == EXIT:
        kind = OrderType.MARKET
    elif leg == STOP_LOSS:
        kind = OrderType.STOP_MARKET
    else:
        kind = OrderType.LIMIT if armed.mode == NATIVE else OrderType.TAKE_PROFIT_MARKET
    price = None if leg == EXIT else armed.stop_loss if leg == STOP_LOSS else armed.take_profit
    return OrderRequest(
        symbol=armed.symbol,
        market=armed.market,
        side=armed.entry_side.opposite,
        type=kind,
        quantity=quantity,
        limit_price=price if kind is OrderType.LIMIT else None,
        stop_price=price if kind is not OrderType.LIMIT else None,
        post_only=kind is OrderType.LIMIT,
        reduce_only=True,
        strategy=armed.strategy,
        leg=leg,
        why={"bracket": armed.bracket_id},
    )


def _pairs(core: EngineCore, armed: e.BracketArmed) -> Iterator[tuple[Order | None, Order | None]]:
    number = 1
    while True:
        profit = core.order(leg_id(core, armed, TAKE_PROFIT, number))
        stop = core.order(leg_id(core, armed, STOP_LOSS, number))
        if profit is None and stop is None:
            return
        yield profit, stop
        number += 1


def _numbered(core: EngineCore, armed: e.BracketArmed, leg: str) -> Iterator[Order]:
    number = 1
    while (found := core.order(leg_id(core, armed, leg, number))) is not None:
        yield found
        number += 1


def _held(core: EngineCore, armed: e.BracketArmed) -> Decimal:
    """Return what the account holds in the bracket's direction, never negative."""
    books, instrument = core.state.portfolio, core.instrument(armed.symbol, armed.market)
    if armed.market is Market.SPOT:
        return max(ZERO, books.holding(instrument.venue, armed.market, instrument.base) * armed.entry_side.sign)
    return max(ZERO, books.position(armed.symbol) * armed.entry_side.sign)
