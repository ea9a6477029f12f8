"""What Dagster is given: it loads, its schedules make repeatable runs, its sensors keep the alert book true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest

from assets.ports import Clock
from orchestration.alerts import AlertBook
from orchestration.decision_jobs import DECISION_JOBS, DECISIONS
from orchestration.definitions import build
from orchestration.environment import ROOT, Configuration, load
from orchestration.instance import instance_config, prepare_instance, write_instance_config
from orchestration.jobs import RESEARCH
from orchestration.resources import LocalCompute
from orchestration.retention import delete_old_runs, fail_orphans
from orchestration.schedules import RANGE_END, RANGE_START
from orchestration.sensors import check_fails

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")


class FixedClock:
    """Time that stands still."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms


def configuration(home: Path, engine_url: str = "http://127.0.0.1:9", schedules: str = "on") -> Configuration:
    return load({"NHMM_HOME": str(home), "NHMM_ENGINE_URL": engine_url, "NHMM_SCHEDULES": schedules})


def definitions(home: Path, engine_url: str = "http://127.0.0.1:9", schedules: str = "on") -> dg.Definitions:
    return build(configuration(home, engine_url, schedules))


def test_the_definitions_load_and_hold_every_asset_and_check(tmp_path: Path) -> None:
    defs = definitions(tmp_path)
    dg.Definitions.validate_loadable(defs)
    keys = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    trading = {"fills", "reconciliation", "allocation", "advice", "parity"}
    assert keys == {*RESEARCH, *DECISIONS, *trading, "learning", "league", "drift"}
    repository = defs.get_repository_def()
    checks = {key.to_user_string() for key in repository.asset_graph.asset_check_keys}
    assert checks == {
        "bars:bars_are_sound",
        "drift:no_drift",
        "features:features_are_sound",
        "fills:fills_are_sound",
        "league:league_is_reproducible",
        "parity:parity_adds_up",
        "pooling:nodes_agree",
        "reconciliation:no_breaks",
        "training:no_lookahead",
    }


def test_each_decision_is_made_by_one_job_and_no_trading_or_research_job_makes_any(tmp_path: Path) -> None:
    repository = definitions(tmp_path).get_repository_def()
    made = {
        job.name: {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    }
    ours = [made[job.name] for job in DECISION_JOBS]
    assert sorted(name for some in ours for name in some) == sorted(DECISIONS)
    others = [some for name, some in made.items() if name not in {job.name for job in DECISION_JOBS}]
    assert not any(some & set(DECISIONS) for some in others)


def test_every_asset_explains_itself(tmp_path: Path) -> None:
    graph = definitions(tmp_path).get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.group_name != "default", key
        assert node.owners, key
        assert node.kinds, key


def test_all_partitioned_assets_take_a_range_in_one_run(tmp_path: Path) -> None:
    graph = definitions(tmp_path).get_repository_def().asset_graph
    partitioned = [graph.get(key) for key in graph.get_all_asset_keys() if graph.get(key).is_partitioned]
    assert {node.key.to_user_string() for node in partitioned} == {"bars", "features"}
    assert {node.backfill_policy for node in partitioned} == {dg.BackfillPolicy.single_run()}


def test_the_workspace_file_loads_from_the_root_without_an_installed_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DAGSTER_DISABLE_TELEMETRY": "1", "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_loading_the_definitions_loads_no_training_plotting_or_checking_library() -> None:
    heavy = ("great_expectations", "hmmlearn", "sklearn", "scipy", "matplotlib", "pandas", "apprise", "duckdb")
    script = (
        "import sys, orchestration.definitions as d; d.build(d.load({}))\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_a_wrong_variable_keeps_the_definitions_from_loading_and_names_itself() -> None:
    script = "import orchestration.definitions as d; print('imported'); d.defs()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "NHMM_BAR_INTERVAL": "7m"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == "imported", "importing reads nothing"
    assert "NHMM_BAR_INTERVAL = 7m" in done.stderr


# --- schedules -----------------------------------------------------------------------------------------------------


NAMES = (
    "universe",
    "backfill",
    "training",
    "allocation",
    "reconcile",
    "league",
    "drift",
    "parity",
    "advice",
    "retention",
)


def tick(defs: dg.Definitions, name: str, at: datetime) -> dg.RunRequest:
    schedule = defs.resolve_schedule_def(name)
    context = dg.build_schedule_context(scheduled_execution_time=at)
    (request,) = schedule.evaluate_tick(context).run_requests or ()
    return request


@pytest.mark.parametrize("name", [*NAMES, *(job.name.removesuffix("_job") for job in DECISION_JOBS)])
def test_a_tick_asks_for_one_run_and_the_same_tick_for_the_same(tmp_path: Path, name: str) -> None:
    defs = definitions(tmp_path)
    at = datetime(2026, 3, 1, 6, 5, tzinfo=UTC)
    first, again = (tick(defs, f"{name}_schedule", at) for _ in range(2))
    assert first.run_key == again.run_key == at.isoformat()


def test_backfill_and_training_take_yesterday_and_today_in_one_run(tmp_path: Path) -> None:
    defs = definitions(tmp_path)
    for name in ("backfill_schedule", "training_schedule"):
        tags = tick(defs, name, datetime(2026, 3, 1, 0, 5, tzinfo=UTC)).tags
        assert (tags[RANGE_START], tags[RANGE_END]) == ("2026-02-28", "2026-03-01")


@pytest.mark.parametrize(("switch", "running"), [("on", True), ("off", False)])
def test_schedules_and_sensors_start_as_told(tmp_path: Path, switch: str, running: bool) -> None:  # a case
    defs = definitions(tmp_path, schedules=switch)
    repository = defs.get_repository_def()
    assert len(repository.schedule_defs) == len(NAMES) + len(DECISION_JOBS)
    assert len(repository.sensor_defs) == 7
    schedules = {schedule.default_status for schedule in repository.schedule_defs}
    sensors = {sensor.default_status for sensor in repository.sensor_defs}
    assert schedules == {dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED}
    assert sensors == {dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED}


# --- sensors -------------------------------------------------------------------------------------------------------

METRICS = b"""# TYPE nhmm_breaker_open gauge
nhmm_breaker_open{breaker="equity"} 1.0
# TYPE nhmm_reconcile_lag_seconds gauge
nhmm_reconcile_lag_seconds{venue="BINANCE"} 500.0
"""


@pytest.fixture
def engine_url() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/metrics"
            assert self.headers["Authorization"] == "Bearer reader"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(METRICS)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def tokens(home: Path) -> None:
    (home / "engine").mkdir()
    (home / "engine" / "tokens.json").write_text(json.dumps({"read": "reader", "trade": "t", "admin": "a"}))


def sense(home: Path, name: str, engine_url: str) -> AlertBook:
    set_up = configuration(home, engine_url)
    book = AlertBook(home / "alerts" / "alerts.jsonl", set_up.alerts)
    clock: Clock = FixedClock()
    context = dg.build_sensor_context(resources={"alert_book": book, "clock": clock}, definitions=build(set_up))
    build(set_up).resolve_sensor_def(name).evaluate_tick(context)
    return book


def test_an_engine_that_does_not_answer_is_told_and_resolved_when_it_does(tmp_path: Path, engine_url: str) -> None:
    tokens(tmp_path)
    book = sense(tmp_path, "engine_down_sensor", "http://127.0.0.1:9")
    assert list(book.firing()) == ["engine/down"]
    assert list(sense(tmp_path, "engine_down_sensor", engine_url).firing()) == []


def test_no_alert_before_any_engine_ran_on_this_data(tmp_path: Path) -> None:
    assert list(sense(tmp_path, "engine_down_sensor", "http://127.0.0.1:9").firing()) == []


def test_an_open_breaker_and_a_late_reconciliation_are_told(tmp_path: Path, engine_url: str) -> None:
    tokens(tmp_path)
    sense(tmp_path, "breaker_open_sensor", engine_url)
    book = sense(tmp_path, "reconcile_lag_sensor", engine_url)
    assert sorted(book.firing()) == ["breaker-open/equity", "reconcile-lag/lag/BINANCE"]


def test_what_cannot_be_measured_now_is_not_resolved(tmp_path: Path, engine_url: str) -> None:
    tokens(tmp_path)
    sense(tmp_path, "breaker_open_sensor", engine_url)
    assert list(sense(tmp_path, "breaker_open_sensor", "http://127.0.0.1:9").firing()) == ["breaker-open/equity"]


def failing_job() -> dg.JobDefinition:
    @dg.op
    def fails() -> None:
        raise ValueError("on purpose")

    @dg.job(name="research_job")
    def job() -> None:
        fails()

    return job


def test_a_failed_run_is_told_once_per_job_and_resolved_by_a_success(tmp_path: Path) -> None:
    set_up = configuration(tmp_path)
    defs = build(set_up)
    book = AlertBook(tmp_path / "alerts.jsonl", set_up.alerts)
    instance = dg.DagsterInstance.ephemeral()
    result = failing_job().execute_in_process(instance=instance, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    failure = next(event for event in result.all_events if event.event_type is dg.DagsterEventType.RUN_FAILURE)
    resources = {"alert_book": book, "clock": FixedClock()}
    for _ in range(2):
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_run_sensor",
            dagster_instance=instance,
            dagster_run=run,
            dagster_event=failure,
            resources=resources,
        ).for_run_failure()
        defs.resolve_sensor_def("failed_run_sensor")(context)
    assert list(book.firing()) == ["run-failed/research_job"]

    success = dg.build_run_status_sensor_context(
        sensor_name="succeeded_run_sensor",
        dagster_instance=instance,
        dagster_run=run,
        dagster_event=failure,
        resources=resources,
    )
    defs.resolve_sensor_def("succeeded_run_sensor")(success)
    assert book.firing() == {}


def test_a_failed_check_that_does_not_block_is_seen() -> None:
    @dg.asset
    def thing() -> None:
        return

    outcome = {"passed": False}

    @dg.asset_check(asset=thing)
    def holds() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=outcome["passed"])

    instance = dg.DagsterInstance.ephemeral()
    (key,) = holds.check_keys
    assert not check_fails(instance, key), "never evaluated is not failed"
    for passed in (False, True):
        outcome["passed"] = passed
        assert dg.materialize([thing, holds], instance=instance).success, "the run itself succeeds"
        assert check_fails(instance, key) is not passed


# --- the instance ----------------------------------------------------------------------------------------------------


def test_the_instance_file_is_written_once_and_read_by_dagster(tmp_path: Path) -> None:
    folder = write_instance_config(tmp_path)
    written = (folder / "dagster.yaml").stat().st_mtime_ns
    assert write_instance_config(tmp_path) == folder
    assert (folder / "dagster.yaml").stat().st_mtime_ns == written
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
    assert instance_config(folder)["concurrency"]["runs"]["max_concurrent_runs"] == 3


def test_runs_that_a_crash_left_unfinished_are_failed_before_the_processes_start(tmp_path: Path) -> None:
    folder = write_instance_config(tmp_path)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        left = instance.create_run_for_job(failing_job(), status=dg.DagsterRunStatus.STARTED)
        waiting = instance.create_run_for_job(failing_job(), status=dg.DagsterRunStatus.NOT_STARTED)
    assert prepare_instance(tmp_path) == [left.run_id]
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        states = {run.run_id: run.status for run in instance.get_runs()}
        assert states == {left.run_id: dg.DagsterRunStatus.FAILURE, waiting.run_id: dg.DagsterRunStatus.NOT_STARTED}
        assert fail_orphans(instance) == []


def test_only_old_finished_runs_are_deleted() -> None:
    instance = dg.DagsterInstance.ephemeral()
    finished = failing_job().execute_in_process(instance=instance, raise_on_error=False).run_id
    unfinished = instance.create_run_for_job(failing_job(), status=dg.DagsterRunStatus.STARTED).run_id
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    assert delete_old_runs(instance, now_ms, keep_days=1) == 0
    assert delete_old_runs(instance, now_ms + 3 * 86_400_000, keep_days=1) == 1
    assert {run.run_id for run in instance.get_runs()} == {unfinished} != {finished}


@pytest.mark.parametrize("backend", ["serial", "loky"])
def test_work_comes_back_in_order_wherever_it_ran(backend: str) -> None:
    compute = LocalCompute("loky" if backend == "loky" else "serial", workers=2)
    assert compute.map(str.upper, ["a", "b", "c"]) == ["A", "B", "C"]
    assert compute.map(str.upper, []) == []
