"""Equity as a recorded fact: peak and day's start for the drawdown and daily-loss rails, the breaker, the curve."""

from __future__ import annotations

from msgspec import UNSET

from engine_service.domain import events as e
from engine_service.domain.money import exactly
from engine_service.execution.core import EngineCore

DAY_MS = 86_400_000


async def record_equity(core: EngineCore) -> e.EquityRecorded:
    """Record equity at the newest marks; call it on a timer, at start and before a day ends.

    Raises:
        Unavailable: the journal failed.
    """
    core.state.exposure.reprice()
    sample = equity_now(core)
    await core.commit(sample)
    return sample


@exactly
def equity_now(core: EngineCore) -> e.EquityRecorded:
    """Work out the sample to record and feed the equity breaker. A new UTC day starts from this equity."""
    books, seen, now = core.state.portfolio, core.state.image.equity, core.clock.now_ms()
    equity, day = core.state.exposure.equity, _venue_ms(core) // DAY_MS
    core.gate.equity_seen(equity, books.transfers, core.clock.monotonic_s())
    return e.EquityRecorded(
        at_ms=now,
        equity=equity,
        peak=equity if seen is None else max(seen.peak, equity),
        day_start=seen.day_start if seen is not None and _day_of(seen) == day else equity,
        realised_pnl=books.realised,
        unrealised_pnl=equity - books.book_value,
        fees=books.fees,
        funding=books.funding,
        transfers=books.transfers,
        day=day,
    )


def _venue_ms(core: EngineCore) -> int:
    """Return the time by the venue's clock: a wall clock that jumps over midnight must not forgive what was lost."""
    venue = next(iter(core.venues.values()), None)
    return core.clock.now_ms() if venue is None else venue.venue_time_ms()


def _day_of(seen: e.EquityRecorded) -> int:
    return seen.at_ms // DAY_MS if seen.day is UNSET else seen.day
