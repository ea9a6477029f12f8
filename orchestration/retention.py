"""What is forgotten, and what is put right after a crash, in Dagster's own records."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.intervals import utc

KEEP_RUNS_DAYS = 90
BATCH = 200
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def delete_old_runs(instance: dg.DagsterInstance, now_ms: int, keep_days: int) -> int:
    """Delete finished runs that were last touched more than ``keep_days`` days ago; return how many."""
    filters = dg.RunsFilter(statuses=_FINISHED, updated_before=utc(now_ms) - timedelta(days=keep_days))
    records = instance.get_run_records(filters=filters, limit=BATCH)
    for record in records:
        instance.delete_run(record.dagster_run.run_id)
    return len(records)


def fail_orphans(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs that a host or code server took down with it; return their ids.

    Call it before the daemon starts: no run can be alive then, whatever its record says, and such a run would
    keep its slot for ever.
    """
    orphans = instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    for run in orphans:
        instance.report_run_failed(run, f"the host was restarted while this run was under way (found {at})")
    return [run.run_id for run in orphans]
