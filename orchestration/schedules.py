"""Schedules: each visible and switchable in the UI. A tick's run key makes it repeatable without a second run."""

from datetime import datetime

import dagster as dg

from assets.partitions import recent
from orchestration.jobs import (
    advice_job,
    allocation_job,
    backfill_job,
    drift_job,
    league_job,
    parity_job,
    reconcile_job,
    research_job,
    retention_job,
    universe_job,
)

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
#: Yesterday is fetched again with today: bars that were late close yesterday's gaps.
DAYS = 2


def range_tags(first_day: str, last_day: str) -> dict[str, str]:
    """Return the tags that make one run of a partitioned job take all days from the first to the last."""
    return {RANGE_START: first_day, RANGE_END: last_day}


def build_schedules(status: dg.DefaultScheduleStatus) -> list[dg.ScheduleDefinition]:
    """Return all schedules; ``status`` is how they stand before anyone switches them."""

    @dg.schedule(job=universe_job, cron_schedule="10 */2 * * *", execution_timezone="UTC", default_status=status)
    def universe_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Look at what the venue lists, every two hours: three clean scans fit into a quarantine of six."""
        return dg.RunRequest(run_key=_tick(context).isoformat())

    @dg.schedule(job=backfill_job, cron_schedule="5 * * * *", execution_timezone="UTC", default_status=status)
    def backfill_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Fetch what is missing of yesterday and today, every hour."""
        return _ranged(context)

    @dg.schedule(job=research_job, cron_schedule="25 */6 * * *", execution_timezone="UTC", default_status=status)
    def training_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Fit, judge and promote, every six hours, on fresh bars."""
        return _ranged(context)

    @dg.schedule(job=allocation_job, cron_schedule="*/15 * * * *", execution_timezone="UTC", default_status=status)
    def allocation_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Move capital, every quarter of an hour: the pause between two steps of a strategy."""
        return dg.RunRequest(run_key=_tick(context).isoformat())

    @dg.schedule(job=advice_job, cron_schedule="4-59/10 * * * *", execution_timezone="UTC", default_status=status)
    def advice_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Advise on the next entries, every ten minutes: before the advice from the last time ends."""
        return dg.RunRequest(run_key=_tick(context).isoformat())

    @dg.schedule(job=reconcile_job, cron_schedule="7-59/15 * * * *", execution_timezone="UTC", default_status=status)
    def reconcile_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Compare engine, venue and warehouse, every quarter of an hour."""
        return dg.RunRequest(run_key=_tick(context).isoformat())

    @dg.schedule(job=league_job, cron_schedule="12 * * * *", execution_timezone="UTC", default_status=status)
    def league_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Read the shadow league, every hour, after the bars it is recomputed from."""
        return dg.RunRequest(run_key=_tick(context).isoformat())

    @dg.schedule(job=drift_job, cron_schedule="20 * * * *", execution_timezone="UTC", default_status=status)
    def drift_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Look for drift, every hour, after the bars it is seen in."""
        return dg.RunRequest(run_key=_tick(context).isoformat())

    @dg.schedule(job=parity_job, cron_schedule="35 * * * *", execution_timezone="UTC", default_status=status)
    def parity_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Compare live with its backtest, every hour, after the bars both traded on."""
        return dg.RunRequest(run_key=_tick(context).isoformat())

    @dg.schedule(job=retention_job, cron_schedule="40 3 * * *", execution_timezone="UTC", default_status=status)
    def retention_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Delete old runs, every night."""
        return dg.RunRequest(run_key=_tick(context).isoformat())

    return [
        universe_schedule,
        backfill_schedule,
        training_schedule,
        allocation_schedule,
        advice_schedule,
        reconcile_schedule,
        league_schedule,
        drift_schedule,
        parity_schedule,
        retention_schedule,
    ]


def _tick(context: dg.ScheduleEvaluationContext) -> datetime:
    return context.scheduled_execution_time


def _ranged(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    at = _tick(context)
    first, last = recent(at.date(), DAYS)
    return dg.RunRequest(run_key=at.isoformat(), tags=range_tags(first, last))
