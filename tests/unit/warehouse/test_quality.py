"""Great Expectations tells data failures, passes and its own errors apart."""

from __future__ import annotations

import polars as pl
import pytest

from warehouse.quality import Expectation, Suite, raised_message, validate

FRAME = pl.DataFrame({"low": [1.0, 2.0, 3.0], "high": [2.0, 1.0, 4.0], "name": ["a", "b", "c"]})


def suite(*expectations: Expectation) -> Suite:
    return Suite("test", expectations)


@pytest.fixture(scope="module", autouse=True)
def _library_loaded_once() -> None:
    validate(FRAME, suite(Expectation("ExpectColumnToExist", {"column": "low"})))


def test_rows_that_meet_every_expectation_pass() -> None:
    report = validate(FRAME, suite(Expectation("ExpectColumnValuesToNotBeNull", {"column": "low"})))
    assert report.passed
    assert (report.rows, report.errors) == (3, ())


def test_a_failure_shows_how_many_rows_and_which_values() -> None:
    pair = {"column_A": "high", "column_B": "low", "or_equal": True}
    report = validate(FRAME, suite(Expectation("ExpectColumnPairValuesAToBeGreaterThanB", pair)))
    (finding,) = report.failures("critical")
    assert not report.passed
    assert finding.unexpected == 1
    assert "1.0" in finding.samples


def test_a_warning_is_reported_and_does_not_fail_the_table() -> None:
    bounds = {"column": "low", "max_value": 2}
    report = validate(FRAME, suite(Expectation("ExpectColumnValuesToBeBetween", bounds, severity="warning")))
    assert report.passed
    assert len(report.failures("warning")) == 1


def test_an_expectation_that_raised_is_an_error_even_where_it_was_only_a_warning() -> None:
    missing = Expectation("ExpectColumnValuesToBeBetween", {"column": "gone", "max_value": 2}, severity="warning")
    report = validate(FRAME, suite(missing))
    assert not report.passed
    assert len(report.errors) == 1
    assert "gone" in report.errors[0].error


def test_both_shapes_of_raised_metrics_are_recognised() -> None:
    flat = {"raised_exception": True, "exception_message": "boom", "exception_traceback": ""}
    assert raised_message(flat) == "boom"
    assert raised_message({"metric a": flat, "metric b": {"raised_exception": False}}) == "boom"
    assert raised_message({"raised_exception": False, "exception_message": None}) == ""
    assert raised_message(None) == ""
