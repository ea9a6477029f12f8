"""From a wanted exposure to an order: what one strategy holds of one instrument, and what is missing or too much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ZERO, from_float
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType

#: Orders smaller than this multiple of the venue's minimum are not worth their fee.
MINIMUM_MARGIN = Decimal("1.1")
SHARE_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleeve:
    """One strategy's part of one instrument, in base units.

    ``held`` is signed, as is ``closable``: what of it is still there to be closed. ``free`` is what the account
    can sell.
    """

    strategy: str
    symbol: str
    market: Market
    held: Decimal
    closable: Decimal
    free: Decimal
    full_notional: Decimal
    may_short: bool


def order_for(
    sleeve: Sleeve, instrument: Instrument, mark: Decimal, target: float, why: Mapping[str, str]
) -> OrderRequest | None:
    """Return the market order that brings a sleeve to ``target`` (-1 to 1 of full size), or ``None``.

    An exit sells what is held and no more than the account has; an entry too small for the venue is left out. A sleeve
    of which a person has closed a part is not turned around: what the books say of it is not what the account holds.
    """
    wanted = _wanted(sleeve, mark, target)
    if sleeve.closable != sleeve.held and wanted * sleeve.held < 0:
        wanted = ZERO
    change = wanted - sleeve.held
    if change * sleeve.held < 0:
        change = wanted - sleeve.closable
        if change * sleeve.held >= 0:
            return None
    side = OrderSide.BUY if change > 0 else OrderSide.SELL
    reducing = _is_reducing(sleeve.held, wanted)
    quantity = abs(change)
    if side is OrderSide.SELL and sleeve.market is Market.SPOT:
        quantity = min(quantity, sleeve.free)
    quantity = instrument.round_quantity(quantity, market_order=True)
    if quantity <= 0 or quantity < instrument.min_quantity:
        return None
    if quantity * mark < instrument.min_notional * MINIMUM_MARGIN:
        return None
    return OrderRequest(
        symbol=sleeve.symbol,
        market=sleeve.market,
        side=side,
        type=OrderType.MARKET,
        quantity=quantity,
        reduce_only=reducing,
        strategy=sleeve.strategy,
        leg="exit" if reducing else "entry",
        why=why,
    )


def _wanted(sleeve: Sleeve, mark: Decimal, target: float) -> Decimal:
    share = from_float(abs(target), SHARE_STEP)
    signed = share if target >= 0 else -share
    if signed < 0 and not sleeve.may_short:
        signed = ZERO
    return signed * sleeve.full_notional / mark


def _is_reducing(held: Decimal, wanted: Decimal) -> bool:
    return held != 0 and held * wanted >= 0 and abs(wanted) < abs(held)
