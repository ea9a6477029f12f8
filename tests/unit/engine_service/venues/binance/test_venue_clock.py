"""The venue's time from this machine's monotonic clock."""

import pytest

from engine_service.domain.clock import ManualClock
from engine_service.venues.binance.venue_clock import VenueClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Server:
    """A venue ``ahead_ms`` of us whose answers take ``trip_ms`` both ways together."""

    def __init__(self, clock: ManualClock, ahead_ms: int, trips_ms: list[int]) -> None:
        self.clock, self.ahead_ms, self.trips_ms = clock, ahead_ms, trips_ms

    async def time_ms(self) -> int:
        trip_ms = self.trips_ms.pop(0) if len(self.trips_ms) > 1 else self.trips_ms[0]
        self.clock.advance(trip_ms // 2)
        now_ms = self.clock.now_ms() + self.ahead_ms
        self.clock.advance(trip_ms - trip_ms // 2)
        return now_ms


async def test_the_offset_is_the_median_so_that_one_slow_answer_does_not_count() -> None:
    clock = ManualClock(1_760_000_000_000)
    server = Server(clock, 5_000, [10, 10, 4_000, 10, 10])
    venue = VenueClock(clock)
    await venue.measure(server.time_ms)
    assert abs(venue.now_ms() - clock.now_ms() - 5_000) <= 1
    assert venue.uncertainty_ms == 5.0
    assert venue.trustworthy


async def test_a_jump_of_the_wall_clock_does_not_move_the_venues_time() -> None:
    clock = ManualClock(1_760_000_000_000)
    venue = VenueClock(clock)
    await venue.measure(Server(clock, 0, [10]).time_ms)
    before = venue.now_ms()
    clock.set_ms(clock.now_ms() - 3_600_000)
    assert venue.now_ms() == before


async def test_a_clock_that_runs_away_or_cannot_be_measured_well_is_not_trusted() -> None:
    clock = ManualClock(1_760_000_000_000)
    venue = VenueClock(clock)
    await venue.measure(Server(clock, 0, [10]).time_ms)
    verdicts = []
    for ahead_ms, trip_ms in ((400, 10), (400, 10), (400, 1_400)):
        clock.advance(60_000)
        await venue.measure(Server(clock, ahead_ms, [trip_ms]).time_ms)
        verdicts.append(venue.trustworthy)
    assert verdicts == [False, True, False]
