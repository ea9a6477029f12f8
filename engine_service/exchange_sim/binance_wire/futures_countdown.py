"""USD-M's dead-man switch (`countdownCancelAll`)."""

from __future__ import annotations

import asyncio

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.exchange import Exchange


class Countdowns:
    """Timers that cancel an account's open orders of a symbol unless they are set anew in time."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def set(self, account_id: str, symbol: str, after_ms: int) -> None:
        """Start again with a new time; 0 stops the timer."""
        running = self._timers.pop((account_id, symbol), None)
        if running is not None:
            running.cancel()
        if after_ms:
            loop = asyncio.get_running_loop()
            self._timers[account_id, symbol] = loop.call_later(after_ms / 1000, self._strike, account_id, symbol)

    def _strike(self, account_id: str, symbol: str) -> None:
        del self._timers[account_id, symbol]
        self._exchange.orders.cancel_all(account_id, Market.FUTURES, symbol)
