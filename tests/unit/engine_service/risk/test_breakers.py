"""Breakers and buckets second by second: when they open, what they forget, what lets them close."""

from __future__ import annotations

from decimal import Decimal
from math import inf

import pytest

from engine_service.risk.breakers import BreakerState, EquityBreaker, TokenBucket, VenueBreaker
from engine_service.risk.policy import RiskPolicy
from tests.fakes.engine import policy

D = Decimal
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
LIMITS = policy(breaker_min_calls="4", breaker_error_share_pct="50", breaker_open_s="30")
EQUITY = policy(equity_breaker_drop_pct="10", equity_breaker_window_s="100", equity_breaker_open_s="60")


def called(breaker: VenueBreaker, results: str, at_s: float, limits: RiskPolicy = LIMITS) -> VenueBreaker:
    """Record calls of one moment: ``x`` failed, anything else did not."""
    for result in results:
        breaker.record(result != "x", at_s, limits)
    return breaker


def opened(at_s: float = 100.0) -> VenueBreaker:
    breaker = called(VenueBreaker(), "xxxx", at_s)
    assert breaker.state(at_s, LIMITS) is OPEN
    return breaker


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ("xxx", CLOSED),
        ("xxxx", OPEN),
        ("..xx", OPEN),
        ("...x", CLOSED),
        ("...xxx", OPEN),
        ("....xxx", CLOSED),
    ],
)
def test_it_opens_on_its_share_of_enough_calls(results: str, state: BreakerState) -> None:
    breaker = called(VenueBreaker(), results, 5.0)
    assert breaker.state(5.0, LIMITS) is state
    assert breaker.error_share(5.0) == results.count("x") / len(results)
    assert VenueBreaker().error_share(5.0) == 0.0


def test_calls_of_the_last_sixty_seconds_count_each_second_by_itself() -> None:
    breaker = called(VenueBreaker(), "x", 10.0)
    called(breaker, "x", 10.9)
    called(breaker, ".", 11.5)
    assert breaker.error_share(69.9) == pytest.approx(2 / 3)
    assert breaker.error_share(70.0) == 0.0
    assert [(second.at, second.calls, second.errors) for second in breaker.seconds] == [(11, 1, 0)]
    assert breaker.error_share(71.0) == 0.0
    assert (list(breaker.seconds), breaker.calls, breaker.errors) == ([], 0, 0)


def test_old_failures_open_nothing() -> None:
    breaker = called(VenueBreaker(), "xxx", 10.0)
    assert called(breaker, "x", 70.0).state(70.0, LIMITS) is CLOSED
    assert called(breaker, "xxx", 71.0).state(71.0, LIMITS) is OPEN


def test_it_stays_open_for_its_time_and_then_waits_for_one_probe() -> None:
    breaker = opened()
    assert breaker.state(129.9, LIMITS) is OPEN
    assert breaker.state(130.0, LIMITS) is HALF_OPEN
    breaker.admit()
    assert breaker.state(130.0, LIMITS) is OPEN


def test_calls_while_it_is_open_change_nothing_unless_one_is_the_probe() -> None:
    breaker = called(opened(), "....x", 120.0)
    assert breaker.state(129.9, LIMITS) is OPEN
    assert breaker.state(130.0, LIMITS) is HALF_OPEN


def test_a_probe_that_succeeds_closes_it_and_the_past_is_forgotten() -> None:
    breaker = opened()
    breaker.admit()
    called(breaker, ".", 131.0)
    assert breaker.state(131.0, LIMITS) is CLOSED
    assert (breaker.calls, breaker.errors, breaker.error_share(131.0), breaker.probing) == (0, 0, 0.0, False)
    assert called(breaker, "xxx", 131.0).state(131.0, LIMITS) is CLOSED


def test_a_probe_that_fails_opens_it_for_its_time_anew_and_another_probe_follows() -> None:
    breaker = opened()
    breaker.admit()
    called(breaker, "x", 140.0)
    assert (breaker.state(169.9, LIMITS), breaker.state(170.0, LIMITS)) == (OPEN, HALF_OPEN)
    called(breaker, ".", 171.0)
    assert breaker.state(171.0, LIMITS) is HALF_OPEN  # that was no probe
    breaker.admit()
    assert called(breaker, ".", 172.0).state(172.0, LIMITS) is CLOSED


def test_an_order_of_a_closed_breaker_is_no_probe() -> None:
    breaker = VenueBreaker()
    breaker.admit()
    assert not breaker.probing
    breaker.probing = True  # a probe that was under way when it closed
    assert called(breaker, "xxxx", 5.0).probing is False


def test_a_venue_that_refused_our_credentials_is_stopped_until_the_later_time_or_a_person() -> None:
    breaker = VenueBreaker()
    assert breaker.state(0.0, LIMITS) is CLOSED
    breaker.stop(50.0)
    breaker.stop(40.0)
    assert (breaker.state(49.9, LIMITS), breaker.state(50.0, LIMITS)) == (OPEN, CLOSED)
    breaker.stop(90.0)
    called(breaker, "xxxx", 60.0)
    breaker.admit()
    breaker.reset()
    assert breaker.state(60.0, LIMITS) is CLOSED
    assert (breaker.calls, breaker.errors, breaker.probing, breaker.stopped_until_s) == (0, 0, False, 0.0)
    assert list(breaker.seconds) == []


def test_a_new_breaker_has_seen_nothing() -> None:
    breaker = VenueBreaker()
    assert (breaker.calls, breaker.errors, breaker.opened_at_s) == (0, 0, None)
    assert (breaker.probing, breaker.stopped_until_s) == (False, 0.0)


# --- equity -------------------------------------------------------------------------------------------------


def falling(*samples: tuple[float, str], transfers: str = "0") -> EquityBreaker:
    breaker = EquityBreaker()
    for at_s, equity in samples:
        breaker.record(D(equity), D(transfers), at_s, EQUITY)
    return breaker


@pytest.mark.parametrize(("equity", "is_open"), [("900.01", False), ("900", True), ("1", True), ("1100", False)])
def test_it_opens_on_a_fall_of_its_share_from_the_highest(equity: str, is_open: bool) -> None:
    assert falling((10.0, "500"), (12.0, "1000"), (14.0, equity)).is_open(14.0, EQUITY) is is_open


def test_it_is_open_for_its_time_and_the_fall_is_counted_once() -> None:
    breaker = falling((10.0, "1000"), (20.0, "800"))
    assert (breaker.is_open(79.9, EQUITY), breaker.is_open(80.0, EQUITY)) == (True, False)
    breaker.record(D("790"), D(0), 80.0, EQUITY)
    assert not breaker.is_open(81.0, EQUITY)


def test_a_fall_slower_than_the_window_opens_nothing() -> None:
    assert falling((10.0, "1000"), (110.0, "800")).is_open(110.0, EQUITY)
    assert not falling((10.0, "1000"), (110.1, "800")).is_open(110.1, EQUITY)
    # Each old sample goes, not only the first of them.
    assert not falling((10.0, "1000"), (11.0, "1000"), (112.0, "800")).is_open(112.0, EQUITY)


def test_one_sample_a_second_is_kept_and_a_fall_between_two_is_still_seen() -> None:
    breaker = falling((10.0, "1000"), (10.9, "2000"), (11.0, "1010"))
    assert [equity for _, equity in breaker.samples] == [D(1000), D(1010)]
    breaker.record(D("905"), D(0), 11.5, EQUITY)
    assert breaker.is_open(11.5, EQUITY)


def test_what_was_paid_in_or_out_is_no_fall_and_the_share_is_of_what_was_there() -> None:
    breaker = EquityBreaker()
    breaker.record(D("1000"), D("400"), 10.0, EQUITY)
    breaker.record(D("1500"), D("900"), 12.0, EQUITY)
    assert not breaker.is_open(12.0, EQUITY)
    breaker.record(D("1351"), D("900"), 14.0, EQUITY)
    assert not breaker.is_open(14.0, EQUITY)
    breaker.record(D("1350"), D("900"), 16.0, EQUITY)
    assert breaker.is_open(16.0, EQUITY)


def test_an_account_without_money_has_nothing_to_fall() -> None:
    assert not falling((10.0, "0"), (12.0, "0")).is_open(12.0, EQUITY)
    assert not falling((10.0, "-5"), (12.0, "-50")).is_open(12.0, EQUITY)


# --- rates --------------------------------------------------------------------------------------------------


def test_a_bucket_refills_evenly_and_holds_a_minutes_worth() -> None:
    bucket = TokenBucket()
    assert bucket.available(D(30), 100.0) == 30.0
    for _ in range(30):
        bucket.take()
    assert bucket.available(D(30), 100.0) == 0.0
    assert bucket.available(D(30), 102.0) == pytest.approx(1.0)
    assert bucket.available(D(30), 104.0) == pytest.approx(2.0)
    assert bucket.available(D(60), 104.0) == pytest.approx(32.0)
    assert bucket.available(D(30), 1000.0) == 30.0


def test_a_hair_less_than_the_share_opens_nothing() -> None:
    breaker = called(VenueBreaker(), "." * 201 + "x" * 199, 5.0)
    assert breaker.state(5.0, LIMITS) is CLOSED
    assert called(breaker, "xx", 5.0).state(5.0, LIMITS) is OPEN


def test_a_breaker_tells_how_long_it_stays_open() -> None:
    breaker = VenueBreaker()
    assert breaker.opens_in_s(100.0, LIMITS) == 0
    breaker = opened(100.0)
    assert [breaker.opens_in_s(at_s, LIMITS) for at_s in (100.0, 120.5, 130.0, 150.0)] == [30, 9.5, 0, 0]
    breaker.stopped_until_s = 160.0
    assert [breaker.opens_in_s(at_s, LIMITS) for at_s in (100.0, 150.0, 170.0)] == [60, 10, 0]


def test_the_breaker_of_equity_tells_how_long_it_stays_open() -> None:
    breaker = EquityBreaker()
    breaker.record(D(100), D(0), 5.0, EQUITY)
    assert breaker.opens_in_s(5.0, EQUITY) == 0
    breaker.record(D(50), D(0), 10.0, EQUITY)
    assert [breaker.opens_in_s(at_s, EQUITY) for at_s in (10.0, 30.5, 70.0, 90.0)] == [60, 39.5, 0, 0]


@pytest.mark.parametrize(
    ("per_min", "used", "after_s", "wait_s"),
    [("30", 30, 0, 2), ("30", 30, 0.5, 1.5), ("30", 30, 2, 0), ("30", 29, 0, 0), ("30", 0, 0, 0), ("1", 1, 0, 60)],
)
def test_a_bucket_tells_when_the_next_may_leave(per_min: str, used: int, after_s: float, wait_s: float) -> None:
    bucket, rate = TokenBucket(), D(per_min)
    bucket.available(rate, 100.0)
    for _ in range(used):
        bucket.take()
    assert bucket.next_in_s(rate, 100.0 + after_s) == pytest.approx(wait_s)


def test_of_a_bucket_that_holds_none_nothing_ever_leaves() -> None:
    assert TokenBucket().next_in_s(D(0), 100.0) == inf
