"""Limits are text that is read strictly: every key, its range, and what a wrong one is told."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.domain.errors import InvalidRequest
from engine_service.domain.money import plain
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
        ("max_notional", "1e2"),
        ("max_notional", "+300"),
        ("max_notional", "-0"),
        ("max_notional", "\uff13\uff10\uff10"),
        ("max_notional", "300.0000000000000000000001"),
        ("allowed_symbols", "BTCUSDT"),
        ("allowed_symbols", "*,BTC"),
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


#: Lowest and highest value of each limit, and whether it is a whole number; written by hand.
RANGES = {
    "min_notional_spot": ("0", "1000000000", False),
    "min_notional_futures": ("0", "1000000000", False),
    "max_notional": ("0", "1000000000000", False),
    "symbol_exposure_cap": ("0", "1000000000000", False),
    "total_exposure_cap": ("0", "1000000000000", False),
    "venue_exposure_cap": ("0", "1000000000000", False),
    "strategy_budget_default": ("0", "1000000000000", False),
    "leverage_limit": ("0", "125", False),
    "equity_floor": ("0", "1000000000000", False),
    "max_drawdown_pct": ("0.1", "100", False),
    "daily_loss": ("0", "1000000000000", False),
    "price_band_bps": ("1", "9999", False),
    "market_collar_bps": ("0", "5000", False),
    "price_stale_ms": ("1", "3600000", True),
    "order_rate_per_min": ("0", "10000000", True),
    "strategy_order_rate_per_min": ("0", "10000000", True),
    "duplicate_window_ms": ("0", "3600000", True),
    "quarantine_stop_outs": ("1", "1000", True),
    "quarantine_window_min": ("1", "10080", True),
    "quarantine_min": ("1", "43200", True),
    "breaker_error_share_pct": ("1", "100", False),
    "breaker_min_calls": ("1", "100000", True),
    "breaker_open_s": ("1", "86400", True),
    "equity_breaker_drop_pct": ("0.1", "100", False),
    "equity_breaker_window_s": ("1", "86400", True),
    "equity_breaker_open_s": ("1", "86400", True),
    "max_in_doubt": ("1", "1000", True),
    "dust_value": ("0", "1000000", False),
}


def takes(key: str, value: Decimal) -> bool:
    try:
        return changed(policy(), {key: str(value)}).as_text()[key] == plain(value)
    except InvalidRequest as refused:
        assert refused.code == "RAIL_RANGE"
        return False


def test_every_limit_has_its_range() -> None:
    assert set(RANGES) == set(LIMITS)
    assert set(KEYS) == {*RANGES, "trading_enabled", "allowed_symbols"}


@pytest.mark.parametrize("key", list(RANGES))
def test_a_limit_takes_its_range_and_nothing_beyond(key: str) -> None:
    low, high, whole = Decimal(RANGES[key][0]), Decimal(RANGES[key][1]), RANGES[key][2]
    assert takes(key, low)
    assert takes(key, high)
    assert not takes(key, low - Decimal("0.01"))
    assert not takes(key, high + Decimal("0.01"))
    assert not takes(key, low - 1)
    assert not takes(key, high + 1)
    assert takes(key, low + Decimal("0.5")) is not whole
    kind = "a whole number" if whole else "a number"
    assert describe()[key] == (f"{kind} from {plain(low)} to {plain(high)}", LIMITS[key].meaning)


def test_the_words_say_what_they_are_for_too() -> None:
    assert describe()["trading_enabled"][1].startswith("Whether orders may be sent")
    assert describe()["allowed_symbols"][1].startswith("Symbols that may be traded")


@pytest.mark.parametrize(("given", "kept"), [(True, "true"), (False, "false"), ("true", "true"), ("false", "false")])
def test_a_switch_is_on_or_off(given: object, kept: str) -> None:
    assert changed(policy(), {"trading_enabled": given}).as_text()["trading_enabled"] == kept
    assert changed(policy(), {"trading_enabled": given}).trading_enabled is (kept == "true")


def test_a_number_is_as_long_as_a_person_writes_it() -> None:
    assert changed(policy(), {"max_notional": "0" * 16 + "12"}).max_notional == 12
    for value in ("0" * 17 + "12", " 12", "12 ", "12,5", "zwölf", "", "Infinity"):
        with pytest.raises(InvalidRequest) as refused:
            changed(policy(), {"max_notional": value})
        assert refused.value.code == "RAIL_RANGE"


def test_the_first_fault_is_told_and_every_one_is_listed() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse({"max_notionl": "1", "equity_floor": "-1"})
    assert refused.value.detail.startswith("max_notionl is no risk key; the keys are trading_enabled, ")
    assert len(refused.value.errors) == 2 + len(KEYS) - 1
    values = dict(policy().as_text())
    del values["equity_floor"]
    with pytest.raises(InvalidRequest) as refused:
        parse(values)
    assert refused.value.detail == "equity_floor is missing; it takes a number from 0 to 1000000000000"
    with pytest.raises(InvalidRequest) as refused:
        changed(policy(), {"x" * 99: "1"})
    assert refused.value.errors[0].field == "x" * 40


def test_a_policy_begins_with_its_first_version() -> None:
    assert parse(policy().as_text()).version == 1


@pytest.mark.parametrize(
    ("listed", "allowed"), [("*", True), ("btcusdt.binance, ETHUSDT.BINANCE", True), (["ETHUSDT.BINANCE"], False)]
)
def test_a_list_of_symbols_allows_what_it_names(listed: object, allowed: bool) -> None:
    assert changed(policy(), {"allowed_symbols": listed}).allows("BTCUSDT.BINANCE") is allowed


def test_a_limit_is_written_plainly_however_it_was_given() -> None:
    in_a_file = parse({**policy().as_text(), "max_notional": "1e3"})
    assert in_a_file.as_text()["max_notional"] == "1000"
