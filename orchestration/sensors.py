"""Sensors: they read the engine's metrics and Dagster's own events, and keep the alert book true."""

from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg

from assets.ports import Clock
from engine_service.client.errors import EngineClientError
from orchestration.alerts import AlertBook, Condition, Notice
from orchestration.conditions import Samples, breakers_open, engine_down, orders_in_doubt, reconcile_trouble
from orchestration.environment import Configuration
from orchestration.resources import EngineNotStarted, connect

EVERY_S = 30
RUN_FAILED = "docs/runbooks/run-failed.md"
CHECK_FAILED = "docs/runbooks/check-failed.md"


def build_sensors(
    configuration: Configuration, checks: Sequence[dg.AssetCheckKey], status: dg.DefaultSensorStatus
) -> list[dg.SensorDefinition]:
    """Return all sensors; ``status`` is how they stand before anyone switches them."""
    return [
        _engine_down_sensor(configuration, status),
        _metric_sensor("breaker_open", breakers_open, configuration, status),
        _metric_sensor(
            "reconcile_lag",
            lambda samples: reconcile_trouble(samples, configuration.alerts.max_reconcile_lag_s),
            configuration,
            status,
        ),
        _metric_sensor("order_in_doubt", orders_in_doubt, configuration, status),
        _failed_run_sensor(status),
        _succeeded_run_sensor(status),
        _failing_check_sensor(checks, status),
    ]


def read_metrics(configuration: Configuration) -> Samples:
    """Return the engine's metrics.

    Raises:
        EngineNotStarted: no engine has run on this data folder yet.
        EngineClientError: it does not answer, or refuses.
    """
    environment = configuration.environment
    timeout_s = configuration.alerts.engine_timeout_s
    with connect(environment.engine_url, Path(environment.tokens), timeout_s=timeout_s, scope="read") as engine:
        return engine.get_metrics()


def _engine_down_sensor(configuration: Configuration, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="engine_down_sensor",
        minimum_interval_seconds=EVERY_S,
        default_status=status,
        description="Alerts when the engine does not answer, and when it does again.",
    )
    def engine_down_sensor(alert_book: dg.ResourceParam[AlertBook], clock: dg.ResourceParam[Clock]) -> dg.SkipReason:
        conditions: list[Condition] = []
        try:
            read_metrics(configuration)
        except EngineNotStarted as error:
            return dg.SkipReason(str(error))
        except EngineClientError as error:
            conditions = [engine_down(configuration.environment.engine_url, str(error))]
        return _said(alert_book.update("engine", conditions, clock.now_ms()))

    return engine_down_sensor


def _metric_sensor(
    name: str,
    judge: Callable[[Samples], list[Condition]],
    configuration: Configuration,
    status: dg.DefaultSensorStatus,
) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{name}_sensor",
        minimum_interval_seconds=EVERY_S,
        default_status=status,
        description=(judge.__doc__ or f"Alerts by the engine's metrics: {name}.").splitlines()[0],
    )
    def metric_sensor(alert_book: dg.ResourceParam[AlertBook], clock: dg.ResourceParam[Clock]) -> dg.SkipReason:
        try:
            samples = read_metrics(configuration)
        except (EngineNotStarted, EngineClientError) as error:
            # Nothing is known now: what was firing stays so, and engine_down_sensor tells of the engine.
            return dg.SkipReason(f"no metrics: {error}")
        return _said(alert_book.update(name.replace("_", "-"), judge(samples), clock.now_ms()))

    return metric_sensor


def _failed_run_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.run_failure_sensor(name="failed_run_sensor", default_status=status, description="Alerts when a run fails.")
    def failed_run_sensor(
        context: dg.RunFailureSensorContext,
        alert_book: dg.ResourceParam[AlertBook],
        clock: dg.ResourceParam[Clock],
    ) -> None:
        run = context.dagster_run
        summary = f"Run {run.run_id} of {run.job_name} failed: {context.failure_event.message or ''}"[:500]
        condition = Condition(key=run.job_name, severity="warn", summary=summary, runbook=RUN_FAILED)
        alert_book.raise_once("run-failed", condition, clock.now_ms())

    return failed_run_sensor


def _succeeded_run_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="succeeded_run_sensor",
        default_status=status,
        description="Resolves a job's alert when it succeeds again.",
    )
    def succeeded_run_sensor(
        context: dg.RunStatusSensorContext,
        alert_book: dg.ResourceParam[AlertBook],
        clock: dg.ResourceParam[Clock],
    ) -> None:
        alert_book.resolve(f"run-failed/{context.dagster_run.job_name}", clock.now_ms())

    return succeeded_run_sensor


def _failing_check_sensor(checks: Sequence[dg.AssetCheckKey], status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="failing_check_sensor",
        minimum_interval_seconds=EVERY_S,
        default_status=status,
        description="Alerts on failed checks, also those that do not block: their run counts as a success.",
    )
    def failing_check_sensor(
        context: dg.SensorEvaluationContext,
        alert_book: dg.ResourceParam[AlertBook],
        clock: dg.ResourceParam[Clock],
    ) -> dg.SkipReason:
        conditions = [
            Condition(key=name, severity="warn", summary=f"The check {name} fails.", runbook=CHECK_FAILED)
            for name, key in ((key.to_user_string(), key) for key in checks)
            if check_fails(context.instance, key)
        ]
        return _said(alert_book.update("check", conditions, clock.now_ms()))

    return failing_check_sensor


def check_fails(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> bool:
    """True where the newest evaluation of a check failed; a planned one is not an answer yet."""
    record = instance.get_latest_asset_check_evaluation_record(key)
    evaluation = record.event.asset_check_evaluation if record and record.event else None
    return evaluation is not None and not evaluation.passed


def _said(notices: Sequence[Notice]) -> dg.SkipReason:
    told = ", ".join(f"{notice.key} {notice.state}" for notice in notices)
    return dg.SkipReason(told or "all is well")
