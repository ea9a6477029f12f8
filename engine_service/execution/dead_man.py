"""The dead-man switch: the venue cancels an instrument's open orders unless it hears of us in time.

Armed for every instrument with a working order, let go of once it has none. Binance USD-M counts down per symbol and
cancels ordinary orders; conditional (algo) orders are another service's and stay, so that the stop of a bracket still
protects the position whose entry orders were taken away. A venue without a switch has nothing to arm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from engine_service.domain import events as e
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderType
from engine_service.execution.core import EngineCore
from engine_service.risk.context import CONDITIONAL
from engine_service.storage.port import Recorded
from engine_service.venues.abilities import DeadManVenue
from engine_service.venues.reports import ReadFailed

#: The countdown is started again this often within its own length: two lost requests in a row do no harm.
REFRESHES: Final = 3


class DeadManSwitch:
    """Which instruments the venue watches over, and the one thing to do every so often."""

    def __init__(self, core: EngineCore, venue: DeadManVenue, after_s: float) -> None:
        self._core = core
        self._venue = venue
        self._after_ms = round(after_s * 1000)
        self.armed: set[str] = set()
        self._uncovered = asyncio.Event()

    @property
    def refresh_s(self) -> float:
        return self._after_ms / 1000 / REFRESHES

    def on_event(self, recorded: Recorded) -> None:
        """Bus handler: an order is about to be sent. The first one of an instrument does not wait for the next round,
        or it would stay at the venue if the engine died before that."""
        event = recorded.event
        order = self._core.state.order(event.client_order_id) if isinstance(event, e.OrderSubmitted) else None
        if order is not None and order.type is OrderType.LIMIT and order.symbol not in self.armed:
            self._uncovered.set()

    async def wait_for_uncovered(self) -> None:
        """Return once an order is on its way in an instrument that nobody counts down for."""
        await self._uncovered.wait()

    async def refresh(self) -> dict[str, str]:
        """Start every countdown again that is needed, stop those that are not; return why one could not be set."""
        self._uncovered.clear()
        wanted = self._wanted()
        failed = await self._start(wanted)
        for symbol in sorted(self.armed - wanted):
            # Not armed from here on: an order that comes while the venue is being told is one to cover.
            self.armed.discard(symbol)
            answer = await self._venue.set_dead_man(symbol, 0)
            if isinstance(answer, ReadFailed):
                failed[symbol] = answer.reason
                self.armed.add(symbol)
        return failed

    async def cover(self) -> dict[str, str]:
        """Start the countdowns that are missing; return why one could not be set."""
        self._uncovered.clear()
        return await self._start(self._wanted() - self.armed)

    def _wanted(self) -> set[str]:
        return {order.symbol for order in self._core.state.open_orders.values() if _counts(order)}

    async def _start(self, symbols: Iterable[str]) -> dict[str, str]:
        failed: dict[str, str] = {}
        for symbol in sorted(symbols):
            answer = await self._venue.set_dead_man(symbol, self._after_ms)
            if isinstance(answer, ReadFailed):
                failed[symbol] = answer.reason
            else:
                self.armed.add(symbol)
        return failed


def _counts(order: Order) -> bool:
    return order.type not in CONDITIONAL
