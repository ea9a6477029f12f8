"""What protects an entry: a take-profit and a stop-loss, as prices or as distances from the average fill. Pure."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine_service.domain.money import BPS, exactly
from engine_service.domain.order_status import OrderSide

#: Distances of a bracket that names neither: basis points from the average fill.
DEFAULT_TAKE_PROFIT_BPS = Decimal(20)
DEFAULT_STOP_LOSS_BPS = Decimal(30)


class BracketPlan(Struct, frozen=True, kw_only=True, gc=False):
    """What was asked for with the entry. Of each pair the price counts where both are given; quote per base."""

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit_bps: Decimal = DEFAULT_TAKE_PROFIT_BPS
    stop_loss_bps: Decimal = DEFAULT_STOP_LOSS_BPS

    @exactly
    def levels(self, entry_price: Decimal, side: OrderSide) -> BracketPrices:
        """Return both prices for an entry of ``side``: profit above and stop below a long, reversed for a short."""
        sign = side.sign
        return BracketPrices(
            take_profit=self.take_profit or entry_price * (1 + sign * self.take_profit_bps / BPS),
            stop_loss=self.stop_loss or entry_price * (1 - sign * self.stop_loss_bps / BPS),
        )


class BracketPrices(Struct, frozen=True, kw_only=True, gc=False):
    """Prices in quote per base, not yet rounded to the tick."""

    take_profit: Decimal
    stop_loss: Decimal

    def enclose(self, price: Decimal, side: OrderSide) -> bool:
        """Tell whether a price lies between the two, so that neither would fire at once."""
        low, high = (self.stop_loss, self.take_profit) if side is OrderSide.BUY else (self.take_profit, self.stop_loss)
        return low < price < high

    def hit(self, mark: Decimal, side: OrderSide) -> str:
        """Return which level a mark price has reached, ``take_profit`` or ``stop_loss``; the stop wins; else empty."""
        sign = side.sign
        if (mark - self.stop_loss) * sign <= 0:
            return "stop_loss"
        return "take_profit" if (mark - self.take_profit) * sign >= 0 else ""
