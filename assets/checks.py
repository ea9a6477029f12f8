"""Blocking quality checks: a table that fails stops what is built on it, and its day is put in quarantine."""

import dagster as dg

from assets.describe import as_table
from assets.partitions import days_of_check
from assets.ports import Clock
from assets.quality_rules import (
    Verdict,
    bar_batch,
    bar_suite,
    check_days,
    feature_batch,
    feature_suite,
    fill_batch,
    fill_suite,
)
from assets.tables import BARS, FEATURE_ROWS, FILLS
from warehouse.store import Warehouse
from warehouse.table_spec import TableSpec


@dg.asset_check(asset="bars", blocking=True, description="Prices, volumes and times of closed bars are possible.")
def bars_are_sound(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
) -> dg.AssetCheckResult:
    days = days_of_check(context, _stored(warehouse, BARS))
    now_ms = clock.now_ms()
    return _result(check_days(warehouse, BARS, days, bar_suite(), lambda rows: bar_batch(rows, now_ms)))


@dg.asset_check(asset="features", blocking=True, description="Feature rows are complete, finite and unique.")
def features_are_sound(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    days = days_of_check(context, _stored(warehouse, FEATURE_ROWS))
    return _result(check_days(warehouse, FEATURE_ROWS, days, feature_suite(), feature_batch))


@dg.asset_check(asset="fills", blocking=True, description="Fills have positive amounts and one row per trade.")
def fills_are_sound(warehouse: dg.ResourceParam[Warehouse], clock: dg.ResourceParam[Clock]) -> dg.AssetCheckResult:
    now_ms = clock.now_ms()
    days = _stored(warehouse, FILLS)[-2:]
    return _result(check_days(warehouse, FILLS, days, fill_suite(), lambda rows: fill_batch(rows, now_ms)))


CHECKS = [bars_are_sound, features_are_sound, fills_are_sound]


def _stored(warehouse: Warehouse, table: TableSpec) -> list[str]:
    return sorted(warehouse.reader(table).manifest().partitions)


def _result(verdict: Verdict) -> dg.AssetCheckResult:
    """Return the verdict with its findings as a table; an expectation that raised is an error of the check."""
    findings = [
        {
            "expectation": finding.expectation,
            "about": finding.about,
            "severity": finding.severity,
            "unexpected": finding.unexpected,
            "samples": finding.samples[:200],
            "error": finding.error[:300],
        }
        for finding in verdict.findings
    ]
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "rows": verdict.rows,
            "expectations": sum(len(report.findings) for report in verdict.reports),
            "seconds": round(sum(report.seconds for report in verdict.reports), 3),
            "quarantined": ", ".join(verdict.quarantined) or "none",
            "findings": as_table(findings),
        },
    )
