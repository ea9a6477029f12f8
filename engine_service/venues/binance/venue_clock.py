"""The venue's time, measured: the median of five round trips, with its uncertainty and its drift."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from engine_service.domain.clock import Clock

SAMPLES = 5
MAX_UNCERTAINTY_MS = 500.0
MAX_DRIFT_MS_PER_MIN = 250.0


class VenueClock:
    """Venue time from this machine's monotonic clock, so that a jump of the wall clock changes nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ms: float | None = None
        self._measured_at_s = 0.0
        self.uncertainty_ms = 0.0
        self.drift_ms_per_min = 0.0

    def now_ms(self) -> int:
        """Return the venue's time; this machine's until the first measurement."""
        if self._offset_ms is None:
            return self._clock.now_ms()
        return int(self._clock.monotonic_s() * 1000 + self._offset_ms)

    @property
    def measured(self) -> bool:
        return self._offset_ms is not None

    @property
    def trustworthy(self) -> bool:
        """False while the offset is too uncertain, or ran away since the measurement before."""
        return self.uncertainty_ms <= MAX_UNCERTAINTY_MS and abs(self.drift_ms_per_min) <= MAX_DRIFT_MS_PER_MIN

    async def measure(self, server_time_ms: Callable[[], Awaitable[int]]) -> None:
        """Ask for the venue's time five times and keep the median offset.

        Whatever ``server_time_ms`` raises passes through and leaves the last measurement in force.
        """
        samples = [await self._sample(server_time_ms) for _ in range(SAMPLES)]
        samples.sort()
        offset_ms, half_trip_ms = samples[SAMPLES // 2]
        self._keep(offset_ms, half_trip_ms)

    async def _sample(self, server_time_ms: Callable[[], Awaitable[int]]) -> tuple[float, float]:
        sent_s = self._clock.monotonic_s()
        server_ms = await server_time_ms()
        received_s = self._clock.monotonic_s()
        return server_ms - (sent_s + received_s) * 500, (received_s - sent_s) * 500

    def _keep(self, offset_ms: float, half_trip_ms: float) -> None:
        now_s = self._clock.monotonic_s()
        if self._offset_ms is None:
            self.drift_ms_per_min = 0.0
        else:
            # A shift within the uncertainty of both measurements is no drift.
            shift = offset_ms - self._offset_ms
            slack = half_trip_ms + self.uncertainty_ms + 1.0
            minutes = max(1.0, (now_s - self._measured_at_s) / 60)
            self.drift_ms_per_min = 0.0 if abs(shift) <= slack else shift / minutes
        self._offset_ms, self._measured_at_s = offset_ms, now_s
        self.uncertainty_ms = half_trip_ms
