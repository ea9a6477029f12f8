"""The dead-man switch: the venue cancels an instrument's open orders unless it hears of us in time.

Armed for every instrument with a working order, let go of once it has none. Binance USD-M counts down per symbol and
cancels ordinary orders; conditional (algo) orders are another service's and stay, so that the stop of a bracket still
protects the position whose entry orders were taken away. A venue without a switch has nothing to arm.
"""

from __future__ import annotations

from typing import Final

from engine_service.domain.order import Order
from engine_service.execution.core import EngineCore
from engine_service.risk.context import CONDITIONAL
from engine_service.venues.abilities import DeadManVenue
from engine_service.venues.port import ReadFailed

#: The countdown is started again this often within its own length: two lost requests in a row do no harm.
REFRESHES: Final = 3


class DeadManSwitch:
    """Which instruments the venue watches over, and the one thing to do every so often."""

    def __init__(self, core: EngineCore, venue: DeadManVenue, after_s: float) -> None:
        self._core = core
        self._venue = venue
        self._after_ms = round(after_s * 1000)
        self.armed: set[str] = set()

    @property
    def refresh_s(self) -> float:
        return self._after_ms / 1000 / REFRESHES

    async def refresh(self) -> dict[str, str]:
        """Start every countdown again that is needed, stop those that are not; return why one could not be set."""
        wanted = {order.symbol for order in self._core.state.open_orders.values() if _counts(order)}
        failed: dict[str, str] = {}
        for symbol in sorted(wanted | self.armed):
            after_ms = self._after_ms if symbol in wanted else 0
            answer = await self._venue.set_dead_man(symbol, after_ms)
            if isinstance(answer, ReadFailed):
                failed[symbol] = answer.reason
            elif after_ms:
                self.armed.add(symbol)
            else:
                self.armed.discard(symbol)
        return failed


def _counts(order: Order) -> bool:
    return order.type not in CONDITIONAL
