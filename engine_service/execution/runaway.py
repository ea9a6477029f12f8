"""A sender out of control is cut off: it keeps asking for orders that it is refused.

The rails let so many orders leave and refuse the others, one by one and for ever. A program in a loop does not hear
that, and has an order more with every exit that frees some of its budget. At ``RUNAWAY_REFUSALS`` a minute it is
stopped, and what works of it is cancelled but for protective orders; a person finds out why and lets it go on.

One of the strategies is switched off and the others trade on; refusals of all rails count, as it speaks far less
often than that, up to its own rate. A sender under any other name, or none, may have a thousand of them: then trading
halts, and only refusals of pace count.
"""

from __future__ import annotations

from decimal import Decimal

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
    strategy, pace = ctx.request.strategy, core.gate.pace
    settings = core.state.strategy(strategy)
    if core.state.halted or ctx.request.reduce_only:
        return
    if settings is None:
        if refusal.code in PACE and pace.runs_away(UNKNOWN, ctx.now_s):
            _halt(core, ctx)
        return
    policy = ctx.policy
    limit = max(RUNAWAY_REFUSALS, policy.strategy_order_rate_per_min or policy.order_rate_per_min)
    if settings.enabled and pace.runs_away(strategy, ctx.now_s, limit):
        _switch_off(core, ctx, settings, limit)


def _halt(core: EngineCore, ctx: RiskContext) -> None:
    name = ctx.request.strategy
    reason = f"{RUNAWAY_REFUSALS} orders in a minute were refused for their pace: is {name} in a loop?"
    core.record(
        e.TradingHalted(at_ms=ctx.now_ms, reason=reason, principal=ENGINE),
        e.Anomaly(at_ms=ctx.now_ms, kind="runaway", subject=name, detail=reason),
    )
    core.spawn("runaway", _cancel_orders(core, "", "trading was halted"))


def _switch_off(core: EngineCore, ctx: RiskContext, settings: StrategySettings, limit: Decimal) -> None:
    strategy = settings.strategy
    reason = f"{limit} of its orders were refused within a minute: is {strategy} in a loop?"
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
