"""Where take-profit and stop-loss of a filled entry stand."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketOptions:
    """Distances from the entry's average price, in basis points."""

    take_profit_bps: Decimal = Decimal(20)
    stop_loss_bps: Decimal = Decimal(30)


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketLevels:
    """Prices in quote per base, not yet rounded to the tick."""

    take_profit: Decimal
    stop_loss: Decimal

    def hit(self, mark: Decimal, *, is_long: bool) -> Literal["take_profit", "stop_loss"] | None:
        """Return which level a mark price has reached; the stop wins where both have."""
        if (mark <= self.stop_loss) if is_long else (mark >= self.stop_loss):
            return "stop_loss"
        if (mark >= self.take_profit) if is_long else (mark <= self.take_profit):
            return "take_profit"
        return None


def levels(entry_price: Decimal, *, is_long: bool, options: BracketOptions) -> BracketLevels:
    """Return the levels around an entry: profit above and stop below a long, the other way round for a short."""
    side = 1 if is_long else -1
    return BracketLevels(
        take_profit=entry_price * (1 + side * options.take_profit_bps / BPS),
        stop_loss=entry_price * (1 - side * options.stop_loss_bps / BPS),
    )
