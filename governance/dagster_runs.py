"""Dagster's runs over its GraphQL: start one, ask how it stands. Nobody here imports Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

LOCATION = "trading"
REPOSITORY = "__repository__"

_LAUNCH = """mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) { __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
_STATUS = """query($id: ID!) { runOrError(runId: $id) { __typename
  ... on Run { runId jobName status startTime endTime } } }"""

_FAILURES = """query($id: ID!) { logsForRun(runId: $id, limit: 1000) { ... on EventConnection { events {
  ... on ExecutionStepFailureEvent { stepKey error { className message causes { className message } } } } } } }"""
FAILED = "FAILURE"
#: Errors of these packages are written for whoever reads them; others may quote an address or an answer.
OURS = ("assets.", "engine_service.", "governance.", "orchestration.", "strategies.", "warehouse.")
LONGEST_REASON = 500


class DagsterUnreachable(Exception):
    """The web server does not answer: start it with ``nhmm up`` or ``nhmm dagster``."""


class DagsterRefused(Exception):
    """Dagster did not take a run, or a run did not succeed."""


class RunUnknown(Exception):
    """Dagster knows no such run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run; times in seconds since the epoch, ``None`` where it has not come so far.

    ``reason`` says which step failed and why, empty where none did.
    """

    run_id: str
    job: str
    status: str
    started_at_s: float | None
    ended_at_s: float | None
    reason: str = ""


class DagsterRuns:
    """The runs of one Dagster web server."""

    def __init__(self, base_url: str, *, timeout_s: float = 20.0) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        """Close the connection pool."""
        self._http.close()

    def launch(
        self, job: str, *, tags: Mapping[str, str] | None = None, config: Mapping[str, Any] | None = None
    ) -> str:
        """Start a run of a job and return its id.

        Raises:
            DagsterRefused: Dagster did not take it.
            DagsterUnreachable: no answer came; whether a run began is to be seen in its web page.
        """
        parameters = {
            "selector": {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY, "jobName": job},
            "runConfigData": dict(config or {}),
            "mode": "default",
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]},
        }
        answer = self.ask(_LAUNCH, {"p": parameters})["launchPipelineExecution"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise DagsterRefused(f"{job} was not started: {answer.get('message') or answer.get('errors') or answer}")
        return str(answer["run"]["runId"])

    def run(self, run_id: str) -> Run:
        """Return how a run stands.

        Raises:
            RunUnknown: there is none of this id.
            DagsterUnreachable: no answer came.
        """
        found = self.ask(_STATUS, {"id": run_id})["runOrError"]
        if found["__typename"] != "Run":
            raise RunUnknown("Dagster knows no such run")
        return Run(
            run_id=found["runId"],
            job=found["jobName"],
            status=found["status"],
            started_at_s=found["startTime"],
            ended_at_s=found["endTime"],
            reason=self._why(run_id) if found["status"] == FAILED else "",
        )

    def _why(self, run_id: str) -> str:
        events = self.ask(_FAILURES, {"id": run_id})["logsForRun"].get("events", [])
        told = [f"{event['stepKey']}: {_innermost(event['error'])}" for event in events if event.get("error")]
        return "; ".join(told)[:LONGEST_REASON] or "the run ended before a step could say why; see its log in Dagster"

    def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        """Send one GraphQL request and return its data.

        Raises:
            DagsterRefused: the answer holds errors.
            DagsterUnreachable: no answer came.
        """
        try:
            response = self._http.post("/graphql", json={"query": query, "variables": dict(variables)})
        except httpx.HTTPError as error:
            raise DagsterUnreachable(f"no answer from {self._http.base_url}: {type(error).__name__}") from error
        is_json = response.headers.get("content-type", "").startswith("application/json")
        payload = response.json() if is_json else {}
        if payload.get("data") is None:
            raise DagsterRefused(f"GraphQL answered {response.status_code}: {payload.get('errors')}")
        return dict(payload["data"])


def _innermost(error: Mapping[str, Any]) -> str:
    """Return what caused an error, in the words of the error itself where it is one of ours."""
    cause = ([error, *error["causes"]])[-1]
    kind, _, text = str(cause["message"]).strip().partition(": ")
    if not kind.startswith(OURS):
        return str(cause["className"] or "an error")
    return f"{kind.rsplit('.', 1)[-1]}: {' '.join(text.split())}"
