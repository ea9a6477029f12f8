"""Breakers and buckets: counters over time, handed the time, so that a test can say what time it is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from math import inf
from typing import Final

from msgspec import Struct

from engine_service.domain.money import ZERO
from engine_service.risk.policy import RiskPolicy

WINDOW_S = 60


class BreakerState(StrEnum):
    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


#: As ``BUY``: asked for by every order.
OPEN: Final = BreakerState.OPEN
_CLOSED: Final = BreakerState.CLOSED


class _Second(Struct, gc=False):
    at: int
    calls: int = 0
    errors: int = 0


@dataclass(slots=True)
class VenueBreaker:
    """Opens when too large a share of a venue's calls failed within a minute; then lets one probe through.

    ``calls`` and ``errors`` are the sums over ``seconds``.
    """

    seconds: deque[_Second] = field(default_factory=deque)
    calls: int = 0
    errors: int = 0
    opened_at_s: float | None = None
    probing: bool = False
    stopped_until_s: float = 0.0

    def stop(self, until_s: float) -> None:
        """Refuse everything until a time: the venue refused our credentials or address."""
        self.stopped_until_s = max(self.stopped_until_s, until_s)

    def reset(self) -> None:
        """Close the breaker: a person looked at the cause."""
        self._forget()
        self.opened_at_s, self.probing, self.stopped_until_s = None, False, 0.0

    def record(self, ok: bool, now_s: float, policy: RiskPolicy) -> None:
        """Count the result of a venue call. A refusal by the venue is an answer, not a failure."""
        if self.opened_at_s is not None:
            self._probe_result(ok, now_s)
            return
        second, seconds = int(now_s), self.seconds
        if not seconds or seconds[-1].at != second:
            self._sums(now_s)
            seconds.append(_Second(second))
        newest = seconds[-1]
        newest.calls += 1
        self.calls += 1
        if not ok:
            newest.errors += 1
            self.errors += 1
        if not self.errors:
            return
        calls, errors = self._sums(now_s)
        if errors and calls >= policy.breaker_min_calls and errors * 100 >= policy.breaker_error_share_pct * calls:
            self.opened_at_s = now_s
            self.probing = False

    def _probe_result(self, ok: bool, now_s: float) -> None:
        if not self.probing:
            return
        self.probing = False
        self.opened_at_s = None if ok else now_s
        if ok:
            self._forget()

    def _sums(self, now_s: float) -> tuple[int, int]:
        seconds, over = self.seconds, now_s - WINDOW_S
        while seconds and seconds[0].at <= over:
            old = seconds.popleft()
            self.calls -= old.calls
            self.errors -= old.errors
        return self.calls, self.errors

    def _forget(self) -> None:
        self.seconds.clear()
        self.calls = self.errors = 0

    def error_share(self, now_s: float) -> float:
        """Return the failed share of the last minute's calls, 0 to 1."""
        calls, errors = self._sums(now_s)
        return errors / calls if calls else 0.0

    def state(self, now_s: float, policy: RiskPolicy) -> BreakerState:
        """Return where the breaker stands."""
        if now_s < self.stopped_until_s:
            return OPEN
        if self.opened_at_s is None:
            return _CLOSED
        if now_s - self.opened_at_s < float(policy.breaker_open_s):
            return OPEN
        return OPEN if self.probing else BreakerState.HALF_OPEN

    def opens_in_s(self, now_s: float, policy: RiskPolicy) -> float:
        """Return the seconds until an order may pass again; infinite where a person has to say so."""
        opened = now_s if self.opened_at_s is None else self.opened_at_s + float(policy.breaker_open_s)
        return max(0.0, opened - now_s, self.stopped_until_s - now_s)

    def admit(self) -> None:
        """Take the one probe of a half-open breaker; call it for an order that all rails passed."""
        if self.opened_at_s is not None:
            self.probing = True


@dataclass(slots=True)
class EquityBreaker:
    """Opens for a while when equity fell too far within a window. Deposits and withdrawals are not falls."""

    samples: deque[tuple[float, Decimal]] = field(default_factory=deque)
    opened_at_s: float | None = None

    def record(self, equity: Decimal, transfers: Decimal, now_s: float, policy: RiskPolicy) -> None:
        """Take a sample of equity; ``transfers`` is what was paid in, in total, up to now."""
        own = equity - transfers
        if not self.samples or now_s - self.samples[-1][0] >= 1:
            self.samples.append((now_s, own))
        while self.samples and self.samples[0][0] < now_s - float(policy.equity_breaker_window_s):
            self.samples.popleft()
        highest = max((sample for _, sample in self.samples), default=own)
        base = highest + transfers
        fallen = highest - own
        if base > ZERO and fallen * 100 >= policy.equity_breaker_drop_pct * base:
            self.opened_at_s = now_s
            self.samples.clear()

    def is_open(self, now_s: float, policy: RiskPolicy) -> bool:
        """Tell whether new risk is refused now."""
        opened = self.opened_at_s
        return opened is not None and now_s - opened < float(policy.equity_breaker_open_s)

    def opens_in_s(self, now_s: float, policy: RiskPolicy) -> float:
        """Return the seconds until new risk is taken again."""
        opened = self.opened_at_s
        return 0.0 if opened is None else max(0.0, opened + float(policy.equity_breaker_open_s) - now_s)


@dataclass(slots=True)
class TokenBucket:
    """So many orders per minute, bursts up to a minute's worth. The rate is the policy's at every look."""

    used: float = 0.0
    seen_at_s: float = 0.0
    _limit: Decimal = ZERO
    _rate: float = 0.0

    def available(self, per_min: Decimal, now_s: float) -> float:
        """Return how many orders may leave now."""
        if per_min is not self._limit:
            self._limit, self._rate = per_min, float(per_min)
        rate = self._rate
        used = self.used
        if used:
            used -= (now_s - self.seen_at_s) * rate / 60.0
            self.used = used = used if used > 0.0 else 0.0
        self.seen_at_s = now_s
        return rate - used

    def next_in_s(self, per_min: Decimal, now_s: float) -> float:
        """Return the seconds until one order may leave; infinite where none may."""
        missing = 1.0 - self.available(per_min, now_s)
        if missing <= 0.0:
            return 0.0
        return missing * 60.0 / self._rate if self._rate >= 1.0 else inf

    def take(self) -> None:
        """Use one."""
        self.used += 1.0
