"""Drives a live exchange: wakes when the market is due to move, and moves it."""

from __future__ import annotations

import asyncio

from engine_service.domain.clock import Clock
from engine_service.exchange_sim.exchange import Exchange

# A wall clock that jumps must not leave the market asleep.
_LONGEST_SLEEP_S = 0.5


async def run_ticker(exchange: Exchange, clock: Clock) -> None:
    """Advance the market in step with the clock until cancelled."""
    while True:
        exchange.advance_to(clock.now_ms())
        wait_s = (exchange.next_tick_ms - clock.now_ms()) / 1000
        await asyncio.sleep(min(_LONGEST_SLEEP_S, max(0.001, wait_s)))
