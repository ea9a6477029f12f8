"""A traded fact. Fills are a set: the same venue trade is booked once, however often it is reported."""

from __future__ import annotations

from decimal import Decimal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO
from engine_service.domain.order_status import OrderSide

#: What the id of a trade's opposite ends with.
REVERSED = ".reversed"


class Fill(Struct, frozen=True, kw_only=True, gc=False):
    """One trade of one order.

    ``price`` is in quote per base, ``quantity`` in base (or contracts). ``fee`` is in units of ``fee_asset`` and
    negative for a rebate. ``at_ms`` is the venue's time. ``liquidity`` is ``maker``, ``taker`` or empty. ``realised``
    is the profit that a futures venue booked into the wallet, in quote; left out, not null, where none was told.
    """

    venue: str
    market: Market
    symbol: str
    trade_id: str
    client_order_id: str
    venue_order_id: str
    side: OrderSide
    price: Decimal
    quantity: Decimal
    fee: Decimal = ZERO
    fee_asset: str = ""
    at_ms: int = 0
    liquidity: str = ""
    provisional: bool = False
    realised: Decimal | UnsetType = UNSET

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """Return what makes two reports the same trade; the side tells the two halves of a self-trade apart."""
        return (self.venue, self.market, self.symbol, self.trade_id, self.side)

    @property
    def opposite(self) -> Fill:
        """Return what takes it back: the same trade with its amounts negated, under an id of its own."""
        realised = UNSET if self.realised is UNSET else -self.realised
        return replace(
            self, trade_id=f"{self.trade_id}{REVERSED}", quantity=-self.quantity, fee=-self.fee, realised=realised
        )

    @property
    def notional(self) -> Decimal:
        return self.price * self.quantity
