"""Limits are text that is read strictly: every key, its range, and what a wrong one is told."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.domain.errors import InvalidRequest
from engine_service.risk.policy import KEYS, LIMITS, changed, describe, parse
from tests.fakes.engine import policy


def test_the_shipped_file_is_complete_and_has_the_stated_limits() -> None:
    limits = policy().as_text()
    assert set(limits) == set(KEYS)
    assert (limits["min_notional_spot"], limits["equity_floor"], limits["max_drawdown_pct"]) == ("5", "500", "35")


def test_text_and_back_is_the_same_policy() -> None:
    assert parse(policy().as_text()).as_text() == policy().as_text()


def test_a_change_is_the_next_version_and_leaves_the_rest() -> None:
    before = policy()
    after = changed(before, {"order_rate_per_min": 100000})
    assert after.version == before.version + 1
    assert after.order_rate_per_min == Decimal(100000)
    assert after.max_notional == before.max_notional


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_notional", "-1"),
        ("max_notional", "NaN"),
        ("max_notional", "1_000"),
        ("max_notional", True),
        ("max_notional", 1.5),
        ("max_notional", None),
        ("max_drawdown_pct", "101"),
        ("price_stale_ms", "1.5"),
        ("trading_enabled", "no"),
        ("allowed_symbols", []),
        ("allowed_symbols", ["", "X"]),
    ],
)
def test_a_value_out_of_range_names_key_and_range(key: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        changed(policy(), {key: value})
    assert refused.value.code == "RAIL_RANGE"
    assert key in refused.value.detail
    assert describe()[key][0] in refused.value.detail


def test_an_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest) as refused:
        changed(policy(), {"max_notionl": "1"})
    assert (refused.value.code, refused.value.errors[0].field) == ("FIELD_UNKNOWN", "max_notionl")


def test_a_missing_key_is_refused_because_a_limit_has_no_default() -> None:
    values = dict(policy().as_text())
    del values["equity_floor"]
    with pytest.raises(InvalidRequest) as refused:
        parse(values)
    assert (refused.value.code, refused.value.errors[0].field) == ("FIELD_MISSING", "equity_floor")


def test_every_limit_says_what_it_is_for() -> None:
    assert all(limit.meaning.endswith(".") and limit.low < limit.high for limit in LIMITS.values())
