"""What a person is told of a Dagster run: its steps, what they said, and the one cause of a failure."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from orchestration.cli.dagster_run import Follower, failure
from orchestration.cli.layout import Exit

HEAD = "2026-03-01 10:00:00 +0000 - dagster"
RUN = "420e735f-382f-49f1-9ebb-c54da71ef191"


@pytest.fixture
def told() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def follower(told: io.StringIO) -> Follower:
    return Follower(Console(file=told, width=200, no_color=True))


def event(step: str, kind: str, words: str = "words") -> str:
    return f"{HEAD} - DEBUG - __ASSET_JOB - {RUN} - 6405 - {step} - {kind} - {words}"


def test_each_step_is_a_line_and_what_it_said_stands_before_it(follower: Follower, told: io.StringIO) -> None:
    follower.read(event("training", "STEP_START"))
    assert follower.running() == "training"
    follower.read(f"{HEAD} - INFO - __ASSET_JOB - {RUN} - training - 6 symbols fitted [of 7]")
    follower.read(event("training", "STEP_SUCCESS"))
    said, done = told.getvalue().splitlines()
    assert said == "  training: 6 symbols fitted [of 7]"
    assert re.match(r"✓ training \d+\.\d s", done)
    assert (follower.run_id, follower.running()) == (RUN, "starting")


def test_the_innermost_exception_is_the_cause(follower: Follower, told: io.StringIO) -> None:
    follower.read(event("evaluation", "STEP_START"))
    follower.read(event("evaluation", "STEP_FAILURE", 'Execution of step "evaluation" failed.'))
    follower.read(
        'dagster._core.errors.DagsterExecutionStepExecutionError: Error occurred while executing "evaluation":'
    )
    follower.read("The above exception was caused by the following exception:")
    follower.read("assets.evaluation.NothingToEvaluate: no model is registered")
    refused = failure(follower, Path("logs/asset.log"))
    assert str(refused) == (
        "NothingToEvaluate: no model is registered; train a model first: nhmm train; everything it said: logs/asset.log"
    )
    assert refused.exit_code is Exit.FAILED
    assert told.getvalue().startswith("✗ evaluation")


def test_an_engine_that_is_not_there_ends_with_its_own_code(follower: Follower) -> None:
    follower.read("orchestration.resources.EngineNotStarted: no engine token; start the engine once: nhmm up")
    assert failure(follower, Path("log")).exit_code is Exit.NOT_RUNNING


def test_a_failure_without_an_exception_names_the_step_and_the_log(follower: Follower) -> None:
    follower.read(event("quality", "STEP_START"))
    follower.read(event("quality", "STEP_FAILURE"))
    assert str(failure(follower, Path("log"))) == "quality failed; everything it said: log"


def test_a_blocking_check_that_failed_says_where_its_rows_are_shown(follower: Follower) -> None:
    follower.read(event("bars_bars_are_sound", "STEP_FAILURE"))
    follower.read(
        "dagster._core.errors.DagsterAssetCheckFailedError: 1 blocking asset check failed with ERROR severity:"
    )
    assert "the asset's page, tab Checks, shows the rows; docs/runbooks/check-failed.md" in str(
        failure(follower, Path("log"))
    )


def test_an_engine_that_does_not_know_the_token_may_be_anothers(follower: Follower) -> None:
    follower.read("engine_service.client.errors.AccessRefused: TOKEN_INVALID: The token is not known to this engine.")
    assert "of this data folder" in str(failure(follower, Path("log")))
    assert "--engine-url" in str(failure(follower, Path("log")))
