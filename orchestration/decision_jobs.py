"""Jobs and schedules of the decision rules: apart from research and trading, so that neither ever waits for them."""

import dagster as dg

from assets.decision_settings import DecisionSettings
from orchestration.jobs import asset_job

screening_job = asset_job(
    "screening_job", ("screening",), "Alpha long and short of every active instrument, with reasons."
)

DECISION_JOBS = [screening_job]
#: What these jobs make.
DECISIONS = ("screening",)


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
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())

    return [screening_schedule]
