"""The venue's view of the account, kept for a moment so that pages do not spend the venue's request budget."""

from __future__ import annotations

from engine_service.runtime.engine import Engine
from engine_service.venues.reports import AccountSnapshot

MAX_AGE_MS = 10_000


async def account_snapshot(engine: Engine, *, force: bool) -> AccountSnapshot:
    """Return balances, positions and open orders by the venue's own account.

    Raises:
        VenueUnavailable: the venue gave no usable answer.
    """
    core = engine.core
    kept = engine.snapshot
    if force or kept is None or core.clock.now_ms() - kept.at_ms > MAX_AGE_MS:
        kept = engine.snapshot = await core.venue(core.default_venue).account(engine.market)
    return kept
