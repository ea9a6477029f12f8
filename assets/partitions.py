"""Days are the only partitions. One run takes any number of them."""

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg

DAYS_WITH_TODAY = 1


def daily(first_day: date) -> dg.DailyPartitionsDefinition:
    """Return the UTC days from ``first_day`` to today, the running day included."""
    return dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), timezone="UTC", end_offset=DAYS_WITH_TODAY)


def days_of_check(context: dg.AssetCheckExecutionContext, stored: Sequence[str]) -> list[str]:
    """Return the days a check is about: those of its run, else the newest two that are stored."""
    step = context.op_execution_context
    if step.has_partition_key or step.has_partition_key_range:
        return list(step.partition_keys)
    return list(stored)[-2:]


def recent(today: date, days: int) -> tuple[str, str]:
    """Return the first and last partition of the newest ``days`` days, today's included."""
    return (today - timedelta(days=days - 1)).isoformat(), today.isoformat()
