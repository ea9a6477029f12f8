"""How an order's bracket looks on the wire: its levels, where its legs live, and whether it protects now."""

from __future__ import annotations

from engine_service.api.shapes import BracketView
from engine_service.api.views import order_view
from engine_service.domain.money import plain
from engine_service.domain.order import Order
from engine_service.execution.core import EngineCore
from engine_service.execution.protect import is_protected, protection


def bracket_view(core: EngineCore, entry: Order) -> BracketView | None:
    """Return the bracket of an entry; ``None`` for an order without one."""
    if entry.bracket is None:
        return None
    cid = entry.client_order_id
    armed, figures = core.state.image.brackets.get(cid), protection(core, entry)
    if armed is None or figures is None:
        ended = cid in core.state.image.closed_brackets
        return {"id": cid, "status": "closed" if ended else "waiting", "protected": False, "legs": []}
    return {
        "id": cid,
        "status": "armed",
        "mode": armed.mode,
        "quantity": plain(armed.quantity),
        "remaining": plain(figures.remaining),
        "take_profit": None if armed.take_profit is None else plain(armed.take_profit),
        "stop_loss": None if armed.stop_loss is None else plain(armed.stop_loss),
        "protected": is_protected(core, entry),
        "legs": [order_view(leg) for leg in (*figures.legs, *figures.exits)],
    }
