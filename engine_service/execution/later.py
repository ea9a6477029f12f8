"""Cancels that follow from facts: an order that came back from the dead, a wish made while it was in doubt."""

from __future__ import annotations

from engine_service.execution.core import EngineCore


def cancel_later(core: EngineCore, client_order_id: str, reason: str) -> None:
    """Cancel an order in the background."""
    # Cancelling reads and applies reports, and those lead here: imported when used, or the modules would be a ring.
    from engine_service.execution.cancel import cancel_now  # noqa: PLC0415

    core.spawn(f"cancel:{client_order_id}", cancel_now(core, client_order_id, reason, unattended=True))
