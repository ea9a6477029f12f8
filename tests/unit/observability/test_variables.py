"""A mistyped variable is named, with the one that was meant."""

from __future__ import annotations

import pytest

from observability.variables import unknown_variables


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NHMM_VENU", "NHMM_VENU is not read by anything; NHMM_VENUE is meant?"),
        ("NHMM_RECONCILE_EVERY", "NHMM_RECONCILE_EVERY is not read by anything; NHMM_RECONCILE_EVERY_S is meant?"),
        ("nhmm_venue", "nhmm_venue is not read by anything; NHMM_VENUE is meant?"),
        ("NHMM_QQQQQQQQQQQQ", "NHMM_QQQQQQQQQQQQ is not read by anything"),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest(name: str, said: str) -> None:
    assert unknown_variables([name, "NHMM_HOME", "PATH"]) == [said]


def test_other_programs_variables_are_nobodys_business() -> None:
    assert unknown_variables(["PATH", "BINANCE_API_KEY", "DAGSTER_HOME", "NHMM"]) == []
