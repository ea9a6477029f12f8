"""Dagster's three processes (code server, webserver, daemon) and the questions asked of them over GraphQL."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from governance.dagster_runs import LOCATION, DagsterRefused, DagsterRuns, DagsterUnreachable
from orchestration.cli.layout import HOST, ROOT, Home, url
from orchestration.cli.processes import ProcessFailed, ProcessGroup

FINISHED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})

_LOCATION_QUERY = """{ workspaceOrError { ... on Workspace { locationEntries {
  locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
_RUN = """query($id: ID!, $after: String) { logsForRun(runId: $id, afterCursor: $after) {
  ... on EventConnection { cursor events { __typename ... on MessageEvent { message stepKey level } } } }
  runOrError(runId: $id) { ... on Run { status } } }"""
_RUNS = "{ runsOrError { ... on Runs { results { runId jobName status } } } }"


@dataclass(frozen=True, slots=True)
class StepNews:
    """One finished step of a run, for progress display."""

    step: str
    ok: bool


def write_workspace(home: Home, code_server_port: int) -> Path:
    """Write the workspace file that points webserver and daemon at the running code server."""
    home.dagster.mkdir(parents=True, exist_ok=True)
    path = home.dagster / "workspace.yaml"
    server = {"host": HOST, "port": code_server_port, "location_name": LOCATION}
    path.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
    return path


def start_dagster(
    group: ProcessGroup, home: Home, env: Mapping[str, str], *, web_port: int, code_server_port: int
) -> None:
    """Start code server, webserver and daemon over one instance folder; returns before they are ready."""
    workspace = write_workspace(home, code_server_port)
    environment = {**env, "DAGSTER_HOME": str(home.dagster)}
    tool = Path(sys.executable).parent
    group.start(
        "code-server",
        [
            str(tool / "dagster"), "code-server", "start", "-h", HOST, "-p", str(code_server_port),
            "-m", "orchestration.definitions", "-d", str(ROOT), "--location-name", LOCATION,
        ],
        environment,
    )  # fmt: skip
    # The others print a stack trace when they come before it.
    _wait_listening(group, code_server_port, timeout_s=120)
    shared = ["-w", str(workspace)]
    group.start(
        "webserver",
        [str(tool / "dagster-webserver"), *shared, "-h", HOST, "-p", str(web_port)],
        environment,
    )
    group.start("daemon", [str(tool / "dagster-daemon"), "run", *shared], environment)


def _wait_listening(group: ProcessGroup, port: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        group.require_alive()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.2)
    raise ProcessFailed("code-server", f"does not listen on port {port} after {timeout_s:.0f} s")


class Dagster:
    """The webserver's GraphQL, as far as the command line needs it."""

    def __init__(self, port: int) -> None:
        self._runs = DagsterRuns(url(port))

    def close(self) -> None:
        """Close the connection pool."""
        self._runs.close()

    def wait_loaded(self, group: ProcessGroup, timeout_s: float = 120.0) -> None:
        """Wait until the definitions are loaded.

        Raises:
            DagsterRefused: they do not load; the message is Dagster's.
            ProcessFailed: one of the processes ended or time ran out.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            group.require_alive()
            entry = self._location()
            if entry.get("__typename") == "RepositoryLocation":
                return
            if entry.get("__typename") == "PythonError" and "UNAVAILABLE" not in str(entry.get("message")):
                raise DagsterRefused(f"the definitions do not load: {entry.get('message')}")
            time.sleep(0.5)
        raise ProcessFailed("webserver", f"the definitions are not loaded after {timeout_s:.0f} s")

    def launch(self, job: str, tags: Mapping[str, str] | None = None) -> str:
        """Start a run of a job and return its id.

        Raises:
            DagsterRefused: Dagster did not take it.
        """
        return self._runs.launch(job, tags=tags)

    def follow(self, run_id: str, group: ProcessGroup, tell: Callable[[StepNews], None], timeout_s: float) -> None:
        """Wait for a run to succeed and tell of each step that ends.

        Raises:
            DagsterRefused: the run failed, was cancelled or took longer than ``timeout_s``.
            ProcessFailed: one of the processes ended meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        cursor: str | None = None
        failures: list[str] = []
        while time.monotonic() < deadline:
            group.require_alive()
            answer = self._runs.ask(_RUN, {"id": run_id, "after": cursor})
            logs = answer["logsForRun"]
            cursor = logs["cursor"]
            for news in _step_news(logs["events"], failures):
                tell(news)
            status = answer["runOrError"]["status"]
            if status == "SUCCESS":
                return
            if status in FINISHED:
                raise DagsterRefused(f"run {run_id} ended {status}: {'; '.join(failures) or 'see the web page'}")
            time.sleep(0.3)
        raise DagsterRefused(f"run {run_id} took longer than {timeout_s:.0f} s")

    def runs(self) -> dict[str, str]:
        """Return the status of every run by id."""
        results = self._runs.ask(_RUNS, {})["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in results}

    def _location(self) -> Mapping[str, object]:
        try:
            entries = self._runs.ask(_LOCATION_QUERY, {})["workspaceOrError"].get("locationEntries", [])
        except (DagsterUnreachable, DagsterRefused):
            return {}
        return entries[0]["locationOrLoadError"] or {} if entries else {}


def _step_news(events: list[dict[str, str]], failures: list[str]) -> Iterator[StepNews]:
    for event in events:
        step = event.get("stepKey") or ""
        if event["__typename"] == "ExecutionStepSuccessEvent":
            yield StepNews(step, ok=True)
        elif event["__typename"] in ("ExecutionStepFailureEvent", "RunFailureEvent"):
            failures.append(event.get("message", "")[:300])
            if step:
                yield StepNews(step, ok=False)
