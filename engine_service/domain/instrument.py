"""What can be traded, and the venue's rules for it: tick, step, minimum and maximum."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine_service.domain.ids import Market, local_symbol, venue_of
from engine_service.domain.money import ZERO, multiple_down, multiple_up
from engine_service.domain.order_status import OrderSide


class Instrument(Struct, frozen=True, kw_only=True, gc=False):
    """One tradable thing on one market of one venue.

    ``tick`` is the price increment in quote units, ``step`` the quantity increment in base units (or contracts),
    ``market_step`` the increment for market orders where the venue has its own. Maxima of zero mean no limit.
    """

    symbol: str
    market: Market
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    min_quantity: Decimal = ZERO
    max_quantity: Decimal = ZERO
    market_step: Decimal = ZERO
    market_min_quantity: Decimal = ZERO
    market_max_quantity: Decimal = ZERO
    min_notional: Decimal = ZERO
    max_notional: Decimal = ZERO
    contract_size: Decimal = Decimal(1)
    trading: bool = True

    @property
    def venue(self) -> str:
        return venue_of(self.symbol)

    @property
    def local_symbol(self) -> str:
        return local_symbol(self.symbol)

    def round_quantity(self, quantity: Decimal, *, market_order: bool = False) -> Decimal:
        """Round a quantity DOWN to what the venue accepts."""
        rounded = multiple_down(quantity, self.step)
        if market_order and self.market_step > 0:
            rounded = multiple_down(rounded, self.market_step)
        return rounded

    def round_price(self, price: Decimal, side: OrderSide) -> Decimal:
        """Round a limit price in the caller's favour: a buy down, a sell up."""
        return multiple_down(price, self.tick) if side is OrderSide.BUY else multiple_up(price, self.tick)
