"""Jobs: few and large. Each runs in one process; days are partitions, symbols are not."""

from typing import Any

import dagster as dg

from assets.delivery import deliver
from assets.ports import Clock, Engine
from governance.audit import DecisionLog
from governance.registry import ModelRegistry
from orchestration.retention import KEEP_RUNS_DAYS, delete_old_runs

RESEARCH = ("universe", "bars", "features", "training", "evaluation", "promotion")
#: A run that takes longer is ended by the run monitor.
LIMITS_S = {"research_job": 7200, "backfill_job": 14400}


def asset_job(name: str, assets: tuple[str, ...], description: str) -> Any:  # Dagster exports no name for its type
    """Return a job that makes the named assets in one process, ended by the run monitor after its limit."""
    tags = {"dagster/max_runtime": str(LIMITS_S.get(name, 1800))}
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*assets),
        description=description,
        executor_def=dg.in_process_executor,
        tags=tags,
    )


research_job = asset_job(
    "research_job", RESEARCH, "From the universe to a promoted model; days by partition range tags."
)
universe_job = asset_job("universe_job", ("universe",), "Look at what the venue lists.")
backfill_job = asset_job(
    "backfill_job", ("bars", "features"), "Fetch missing bars of some days and compute their features."
)
training_job = asset_job(
    "training_job", ("training", "evaluation", "promotion"), "Fit, judge and, where the gates allow, promote."
)
partial_fit_job = asset_job(
    "partial_fit_job",
    ("learning", "evaluation"),
    "Let a version learn on from the bars since its training, and judge the new candidate, so that it can be promoted.",
)
promotion_job = asset_job(
    "promotion_job", ("promotion",), "Put an evaluated version through the gates; the engine gets what they allow."
)
drift_job = asset_job(
    "drift_job", ("drift",), "Look whether the champion foretells new bars worse than those it learned from."
)
reconcile_job = asset_job("reconcile_job", ("fills", "reconciliation"), "Compare engine, venue and warehouse.")
league_job = asset_job("league_job", ("league",), "Read the shadow league and recompute it from stored bars.")
advice_job = asset_job(
    "advice_job", ("advice",), "Tell the engine how to send the next entries and how large, where that is switched on."
)
parity_job = asset_job("parity_job", ("parity",), "Compare each day's live fills with the backtest of the same bars.")
allocation_job = asset_job("allocation_job", ("allocation",), "Move capital between the strategies.")


class RollbackConfig(dg.Config):
    """Who goes back, and why; both are recorded."""

    by: str = "operator"
    reason: str = "rolled back by hand"


@dg.op
def roll_back(
    context: dg.OpExecutionContext,
    config: RollbackConfig,
    registry: dg.ResourceParam[ModelRegistry],
    decisions: dg.ResourceParam[DecisionLog],
    engine: dg.ResourceParam[Engine],
    clock: dg.ResourceParam[Clock],
) -> None:
    """Give the engine the champion before the present one and move the pointer back."""
    version = registry.previous()
    now_ms = clock.now_ms()
    record = {"from": registry.champion(), "to": version, "by": config.by, "reason": config.reason}
    decisions.append("rollback", now_ms, record)
    deliver(engine, registry, version, f"roll-back: {config.reason}"[:200])
    registry.roll_back(at_ms=now_ms, by=config.by, reason=config.reason)
    context.log.info(f"{version} is the champion again")


@dg.job(
    executor_def=dg.in_process_executor,
    description="Make the previous champion the champion again, in the engine and in the registry.",
)
def rollback_job() -> None:
    """Roll the model back."""
    roll_back()


@dg.op
def prune_runs(context: dg.OpExecutionContext, clock: dg.ResourceParam[Clock]) -> None:
    """Forget finished runs that nobody looks at any more."""
    deleted = delete_old_runs(context.instance, clock.now_ms(), KEEP_RUNS_DAYS)
    context.log.info(f"{deleted} runs older than {KEEP_RUNS_DAYS} days were deleted")


@dg.job(executor_def=dg.in_process_executor, description="Delete Dagster's records of old runs.")
def retention_job() -> None:
    """Keep the run database small."""
    prune_runs()


JOBS = [
    research_job,
    universe_job,
    backfill_job,
    training_job,
    partial_fit_job,
    promotion_job,
    drift_job,
    reconcile_job,
    allocation_job,
    league_job,
    parity_job,
    advice_job,
    rollback_job,
    retention_job,
]
