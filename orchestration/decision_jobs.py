"""Jobs and schedules of the decision rules: apart from research and trading, so that neither ever waits for them."""

import dagster as dg

from assets.decision_settings import DecisionSettings
from orchestration.jobs import asset_job

screening_job = asset_job(
    "screening_job", ("screening",), "Alpha long and short of every active instrument, with reasons."
)
slippage_job = asset_job(
    "slippage_job", ("slippage_model",), "Learn from our own fills what an order costs beyond its price."
)
situations_job = asset_job(
    "situations_job",
    ("situations",),
    "Look for the configured situations on the newest bars, and at what became of them.",
)
bandit_job = asset_job(
    "bandit_job",
    ("bandit", "policy_improvement"),
    "Learn from outcomes where attention and size should go.",
)
stress_job = asset_job(
    "stress_job", ("stress",), "What the newest version and the champion could lose in markets that did not happen."
)
pooling_job = asset_job(
    "pooling_job", ("pooling",), "Leave this node's view of the regimes for the others, and pool theirs."
)

DECISION_JOBS = [screening_job, slippage_job, situations_job, bandit_job, stress_job, pooling_job]
#: What these jobs make.
DECISIONS = ("screening", "slippage_model", "situations", "bandit", "policy_improvement", "stress", "pooling")


def every(minutes: int) -> str:
    """Return the cron line of a tick every so many minutes, 1 to 60."""
    return "0 * * * *" if minutes >= 60 else f"*/{minutes} * * * *"


def build_decision_schedules(
    settings: DecisionSettings, status: dg.DefaultScheduleStatus
) -> list[dg.ScheduleDefinition]:
    """Return the schedules; ``status`` is how they stand before anyone switches them."""

    @dg.schedule(
        job=screening_job,
        cron_schedule=every(settings.screener.every_minutes),
        execution_timezone="UTC",
        default_status=status,
    )
    def screening_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Screen the active instruments, every few minutes (config/screener.yaml)."""
        return _tick(context)

    @dg.schedule(
        job=slippage_job,
        cron_schedule=every(settings.slippage.every_minutes),
        execution_timezone="UTC",
        default_status=status,
    )
    def slippage_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Learn slippage again from the fills that are stored (config/slippage.yaml)."""
        return _tick(context)

    @dg.schedule(
        job=situations_job,
        cron_schedule=every(settings.situations.every_minutes),
        execution_timezone="UTC",
        default_status=status,
    )
    def situations_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Look for situations on the bars that closed since the last look (config/situations.yaml)."""
        return _tick(context)

    @dg.schedule(
        job=bandit_job,
        cron_schedule=every(settings.learning.bandit.every_minutes),
        execution_timezone="UTC",
        default_status=status,
    )
    def bandit_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Learn from the outcomes that came in (config/decisions.yaml)."""
        return _tick(context)

    @dg.schedule(
        job=stress_job,
        cron_schedule=f"50 */{settings.stress.every_hours} * * *",
        execution_timezone="UTC",
        default_status=status,
    )
    def stress_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Stress the newest version and the champion, after training (config/stress.yaml)."""
        return _tick(context)

    @dg.schedule(
        job=pooling_job,
        cron_schedule=every(settings.pooling.every_minutes),
        execution_timezone="UTC",
        default_status=status,
    )
    def pooling_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Pool what the nodes know (config/pooling.yaml)."""
        return _tick(context)

    return [
        screening_schedule,
        slippage_schedule,
        situations_schedule,
        bandit_schedule,
        stress_schedule,
        pooling_schedule,
    ]


def _tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())
