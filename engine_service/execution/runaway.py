"""A sender out of control is cut off: it keeps asking for orders that it is refused for their pace.

The rates let so many orders leave and refuse the others, one by one and for ever. A program in a loop does not hear
that. At ``RUNAWAY_REFUSALS`` refused orders a minute it is stopped, and what works of it is cancelled but for
protective orders; a person finds out why and lets it go on. One of the strategies is switched off and the others
trade on. A sender under any other name, or none, may have a thousand of them: then trading halts.
"""

from __future__ import annotations

from engine_service.domain import events as e
from engine_service.domain.ids import ENGINE
from engine_service.domain.state import StrategySettings
from engine_service.execution.cancel import cancel_all
from engine_service.execution.core import EngineCore
from engine_service.risk.context import RiskContext, RiskRefused
from engine_service.risk.permissions import RUNAWAY_REFUSALS

PACE = frozenset({"ORDER_RATE_EXCEEDED", "DUPLICATE_ORDER"})
#: Who counts as one sender: all names that are no strategy's.
UNKNOWN = ""


def count_refusal(core: EngineCore, ctx: RiskContext, refusal: RiskRefused) -> None:
    """Count a refusal of pace; stop its sender in this very event loop turn, in the same commit, at one too many.

    Raises:
        Unavailable: the journal failed.
    """
    if refusal.code not in PACE:
        return
    strategy = ctx.request.strategy
    settings = core.state.strategy(strategy)
    sender = UNKNOWN if settings is None else strategy
    if not core.gate.pace.runs_away(sender, ctx.now_s) or core.state.halted:
        return
    reason = f"{RUNAWAY_REFUSALS} orders in a minute were refused for their pace: is {strategy} in a loop?"
    if settings is None:
        _halt(core, ctx, reason)
    else:
        _switch_off(core, ctx, settings, reason)


def _halt(core: EngineCore, ctx: RiskContext, reason: str) -> None:
    core.record(
        e.TradingHalted(at_ms=ctx.now_ms, reason=reason, principal=ENGINE),
        e.Anomaly(at_ms=ctx.now_ms, kind="runaway", subject=ctx.request.strategy, detail=reason),
    )
    core.spawn("runaway", _cancel_orders(core, "", "trading was halted"))


def _switch_off(core: EngineCore, ctx: RiskContext, settings: StrategySettings, reason: str) -> None:
    strategy = settings.strategy
    changed = e.StrategyChanged(
        at_ms=ctx.now_ms,
        strategy=strategy,
        enabled=False,
        dry_run=settings.dry_run,
        budget=settings.budget,
        weight=settings.weight,
        model_version=settings.model_version,
        principal=ENGINE,
        reason=reason,
    )
    core.record(changed, e.Anomaly(at_ms=ctx.now_ms, kind="strategy_runaway", subject=strategy, detail=reason))
    # After a person enabled it again, it takes a whole storm anew.
    core.gate.pace.refusals.pop(strategy, None)
    core.spawn(f"runaway:{strategy}", _cancel_orders(core, strategy, "the strategy was switched off"))


async def _cancel_orders(core: EngineCore, strategy: str, reason: str) -> None:
    await cancel_all(core, principal=ENGINE, reason=reason, strategy=strategy, keep_reduce_only=True)
