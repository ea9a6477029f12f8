"""A sender out of control is cut off: it keeps asking for orders that it is refused for their pace.

The rates let so many orders leave and refuse the others, one by one and for ever. A program in a loop does not hear
that. At ``RUNAWAY_REFUSALS`` refused orders a minute trading halts, as if a person had done it, and what works is
cancelled but for protective orders; a person finds out why and resumes.
"""

from __future__ import annotations

from engine_service.domain import events as e
from engine_service.domain.ids import ENGINE
from engine_service.execution.cancel import cancel_all
from engine_service.execution.core import EngineCore
from engine_service.risk.context import RiskContext, RiskRefused
from engine_service.risk.permissions import RUNAWAY_REFUSALS

PACE = frozenset({"ORDER_RATE_EXCEEDED", "DUPLICATE_ORDER"})


def count_refusal(core: EngineCore, ctx: RiskContext, refusal: RiskRefused) -> None:
    """Count a refusal of pace; halt in this very event loop turn, in the same commit, when it was one too many.

    Raises:
        Unavailable: the journal failed.
    """
    if refusal.code not in PACE or not core.gate.pace.runs_away(ctx.now_s) or core.state.halted:
        return
    strategy = ctx.request.strategy
    reason = f"{RUNAWAY_REFUSALS} orders in a minute were refused for their pace: is {strategy} in a loop?"
    core.record(
        e.TradingHalted(at_ms=ctx.now_ms, reason=reason, principal=ENGINE),
        e.Anomaly(at_ms=ctx.now_ms, kind="runaway", subject=strategy, detail=reason),
    )
    core.spawn("runaway", _cancel_orders(core))


async def _cancel_orders(core: EngineCore) -> None:
    await cancel_all(core, principal=ENGINE, reason="trading was halted", keep_reduce_only=True)
