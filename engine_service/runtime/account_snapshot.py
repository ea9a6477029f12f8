"""The venue's view of the account, kept for a moment so that pages do not spend the venue's request budget."""

from __future__ import annotations

from typing import Any

from engine_service.domain.money import plain
from engine_service.runtime.engine import Engine
from engine_service.venues.port import AccountSnapshot

MAX_AGE_MS = 10_000


async def snapshot_view(engine: Engine, *, force: bool) -> dict[str, Any]:
    """Return balances, positions and open orders by the venue's own account.

    Raises:
        VenueUnavailable: the venue gave no usable answer.
    """
    core = engine.core
    kept = engine.snapshot
    if force or kept is None or core.clock.now_ms() - kept.at_ms > MAX_AGE_MS:
        kept = engine.snapshot = await core.venue(core.default_venue).account(engine.market)
    return _view(kept)


def _view(snapshot: AccountSnapshot) -> dict[str, Any]:
    return {
        "venue": snapshot.venue,
        "market": snapshot.market.value,
        "at_ms": snapshot.at_ms,
        "balances": [
            {"asset": balance.asset, "free": plain(balance.free), "locked": plain(balance.locked)}
            for balance in snapshot.balances
        ],
        "positions": [
            {
                "symbol": position.symbol,
                "signed_quantity": plain(position.signed_quantity),
                "entry_price": plain(position.entry_price),
                "mark_price": plain(position.mark_price),
                "unrealised_pnl": plain(position.unrealised_pnl),
            }
            for position in snapshot.positions
        ],
        "open_orders": [
            {
                "client_order_id": report.client_order_id,
                "venue_order_id": report.venue_order_id,
                "symbol": report.symbol,
                "side": report.side.value,
                "status": report.status.value,
                "quantity": plain(report.quantity),
                "executed_quantity": plain(report.executed_quantity),
            }
            for report in snapshot.open_orders
        ],
    }
