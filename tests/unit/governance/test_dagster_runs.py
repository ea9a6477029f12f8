"""A run that failed says which step and why: in the words of our own errors, by name alone for anybody else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from governance.dagster_runs import LONGEST_REASON, DagsterRuns

FOUND = {"__typename": "Run", "runId": "r" * 8, "jobName": "partial_fit_job", "startTime": 1.0, "endTime": 2.0}
WRAPPER = {"className": "DagsterExecutionStepExecutionError", "message": "dagster._core.errors.X: Error occurred\n"}
OURS = {
    "className": "NothingTrained",
    "message": "assets.training.NothingTrained: store newer bars:\n  BTCUSDT: none\n",
}
THEIRS = {"className": "ConnectError", "message": "httpx.ConnectError: https://venue.example/secret?key=1\n"}


class Answering(DagsterRuns):
    """Dagster's answers, without Dagster."""

    def __init__(self, status: str, *failures: Mapping[str, Any]) -> None:
        super().__init__("http://127.0.0.1:9")
        self._status, self._failures = status, failures

    def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        """Return the run, or the events of its log."""
        assert variables == {"id": "r" * 8}
        if "runOrError" in query:
            return {"runOrError": {**FOUND, "status": self._status}}
        return {"logsForRun": {"events": [{}, *({"stepKey": "learning", "error": each} for each in self._failures)]}}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({**WRAPPER, "causes": [OURS]}, "learning: NothingTrained: store newer bars: BTCUSDT: none"),
        ({**OURS, "causes": []}, "learning: NothingTrained: store newer bars: BTCUSDT: none"),
        ({**WRAPPER, "causes": [THEIRS]}, "learning: ConnectError"),
    ],
)
def test_a_failed_run_says_why_and_quotes_nobody_else(error: Mapping[str, Any], reason: str) -> None:
    assert Answering("FAILURE", error).run("r" * 8).reason == reason


def test_only_a_failure_has_a_reason_and_it_is_short() -> None:
    long = {**OURS, "message": OURS["message"] + "x" * 5_000, "causes": []}
    assert len(Answering("FAILURE", long).run("r" * 8).reason) == LONGEST_REASON
    assert Answering("SUCCESS", long).run("r" * 8).reason == ""
    assert "log in Dagster" in Answering("FAILURE").run("r" * 8).reason
