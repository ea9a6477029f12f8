"""Request weights and bans; windows of order counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine_service.domain.clock import ManualClock
from engine_service.exchange_sim.binance_wire.errors import LimitExceeded
from engine_service.exchange_sim.binance_wire.weights import FUTURES_LIMITS, SPOT_LIMITS, RateLimits
from engine_service.exchange_sim.enums import Market
from tests.integration.exchange_rest.signed_client import SignedClient, refused

MINUTE_MS = 60_000
HOME = "127.0.0.1"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000_000)


@pytest.fixture
def limits(clock: ManualClock) -> RateLimits:
    return RateLimits(Market.SPOT, replace(SPOT_LIMITS, weight_per_minute=100, strikes=2), clock.now_ms)


def exceeded(limits: RateLimits, weight: int = 1) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as caught:
        limits.use(HOME, weight)
    return caught.value


class TestWeight:
    def test_it_adds_up_within_a_minute_and_starts_again(self, limits: RateLimits, clock: ManualClock) -> None:
        assert [limits.use(HOME, 40), limits.use(HOME, 60)] == [40, 100]
        clock.advance(MINUTE_MS)
        assert limits.use(HOME, 5) == 5

    def test_addresses_are_counted_apart(self, limits: RateLimits) -> None:
        limits.use(HOME, 100)
        assert limits.use("10.0.0.1", 1) == 1

    def test_going_over_says_when_to_come_back(self, limits: RateLimits, clock: ManualClock) -> None:
        clock.set_ms(clock.now_ms() // MINUTE_MS * MINUTE_MS + 45_000)
        limits.use(HOME, 100)
        refusal = exceeded(limits)
        assert (refusal.http_status, refusal.code, refusal.retry_after_s) == (429, -1003, 15)
        assert "current limit is 100 request weight per 1 MINUTE" in refusal.message

    def test_going_on_is_banned_for_longer_each_time(self, limits: RateLimits, clock: ManualClock) -> None:
        lengths = []
        for _ in range(3):
            exceeded(limits, 200), exceeded(limits)
            ban = exceeded(limits)
            assert ban.http_status == 418
            assert str(clock.now_ms() + ban.retry_after_s * 1000) in ban.message
            lengths.append(ban.retry_after_s)
            clock.advance(ban.retry_after_s * 1000 - 1)
            assert exceeded(limits).http_status == 418
            clock.advance(MINUTE_MS + 1)
        assert lengths == [120, 240, 480]

    def test_a_ban_never_lasts_longer_than_three_days(self, clock: ManualClock) -> None:
        strict = replace(SPOT_LIMITS, weight_per_minute=1, strikes=0, first_ban_s=200_000)
        limits = RateLimits(Market.SPOT, strict, clock.now_ms)
        assert exceeded(limits, 2).retry_after_s == 200_000
        clock.advance(200_000_000)
        assert exceeded(limits, 2).retry_after_s == 3 * 24 * 3600


class TestOrderCounts:
    def test_the_shortest_window_refuses_first(self, clock: ManualClock) -> None:
        limits = RateLimits(Market.FUTURES, FUTURES_LIMITS, clock.now_ms)
        for _ in range(300):
            limits.count_order("a")
        with pytest.raises(LimitExceeded, match="current limit is 300 orders per 10 SECOND") as caught:
            limits.count_order("a")
        assert (caught.value.http_status, caught.value.code) == (429, -1015)
        limits.count_order("b")
        clock.advance(10_000)
        limits.count_order("a")
        assert next(count for _, count in limits.order_counts("a")) == 1


def test_weight_over_the_limit_is_429_with_a_time_to_wait_on_the_wire(client: SignedClient) -> None:
    answer = client.public("/api/v3/ticker/24hr")
    for _ in range(160):  # 80 each: two minutes' worth, in case one ends in between
        answer = client.public("/api/v3/ticker/24hr")
        if answer.status_code != 200:
            break
    refused(answer, 429, -1003)
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    # The two markets are different hosts on the venue, so they are counted apart.
    assert client.public("/fapi/v1/ping").status_code == 200
    for _ in range(12):
        answer = client.public("/api/v3/ping")
    refused(answer, 418, -1003)
    assert 60 <= int(answer.headers["retry-after"]) <= 120
