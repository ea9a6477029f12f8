"""One request budget per venue host, shared by every process of this machine that talks to it.

Venues count request weight per address and minute, so an engine and fifty backfills share one allowance whether
they know of each other or not. The counters live in a small file under an advisory lock; nothing is fsynced: a
lost counter is given back by the next answer's headers. Orders may use the whole allowance, the engine's reads
leave a little for them, and research leaves a lot. A 429 pauses everyone for ``Retry-After`` and halves the
allowance for a while; a 418 stops everyone until the ban ends.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType

import msgspec
import structlog

from engine_service.domain.clock import Clock, SystemClock

_STATE = struct.Struct("<4sqqqqq")
_MAGIC = b"NRB1"
_MINUTE_MS = 60_000
_SHRINK_MS = 300_000
_DEFAULT_PAUSE_S = 60
_DEFAULT_BAN_S = 120
_HOST_UNSAFE = re.compile(r"[^A-Za-z0-9.\-]+")
_log = structlog.get_logger(__name__)


class Priority(IntEnum):
    """Who asks. Lower goes first: the share of the minute's weight each may fill."""

    ORDER = 0
    READ = 1
    RESEARCH = 2


_SHARE = {Priority.ORDER: 1.0, Priority.READ: 0.9, Priority.RESEARCH: 0.6}


@dataclass(frozen=True, slots=True)
class Refusal:
    """No request may leave now. ``banned`` tells that the address itself is shut out."""

    retry_after_s: float
    banned: bool = False


class _State(msgspec.Struct):
    minute: int = 0
    used: int = 0
    paused_until_ms: int = 0
    banned_until_ms: int = 0
    shrunk_until_ms: int = 0

    def roll(self, minute: int) -> None:
        if minute != self.minute:
            self.minute, self.used = minute, 0

    def packed(self) -> bytes:
        """Return the state as the file holds it."""
        return _STATE.pack(
            _MAGIC, self.minute, self.used, self.paused_until_ms, self.banned_until_ms, self.shrunk_until_ms
        )


class _SharedState:
    """The counters of one host in their file. Entered it excludes everyone else; left, it writes what changed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._thread_lock = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._unsaved: _State | None = None
        self._state = _State()
        self._before = b""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> _State:
        # flock excludes other processes, the thread lock excludes other threads on the same descriptor.
        self._thread_lock.acquire()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            self._state = self._unsaved or _read(self._fd)
        except BaseException:
            self._unlock()
            raise
        self._before = self._state.packed()
        return self._state

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            packed = self._state.packed()
            if kind is None and packed != self._before:
                self._save(packed)
        finally:
            self._unlock()

    def _unlock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._thread_lock.release()

    def _save(self, packed: bytes) -> None:
        """Write the counters for everyone; where that fails this process counts on by itself.

        A full disk must not stand between a person and a cancel.
        """
        try:
            os.pwrite(self._fd, packed, 0)
        except OSError as error:
            if self._unsaved is None:
                _log.warning("request weight is not shared with other processes now", reason=str(error))
            self._unsaved = self._state
        else:
            self._unsaved = None


class RateBudget:
    """The budget of one host.

    Args:
        path: the state file; its folder is created.
        weight_per_minute: the venue's allowance, in request weight.
    """

    def __init__(self, path: Path, *, weight_per_minute: int = 6000, clock: Clock | None = None) -> None:
        self._shared = _SharedState(path)
        self._clock: Clock = clock or SystemClock()
        self._orders = OrderCounter()
        self.weight_per_minute = weight_per_minute

    @classmethod
    def for_host(cls, home: Path, host: str, *, weight_per_minute: int = 6000) -> RateBudget:
        """Return the budget that every process with the same home shares for ``host``."""
        path = home / "rate" / f"{_HOST_UNSAFE.sub('_', host)}.budget"
        return cls(path, weight_per_minute=weight_per_minute)

    def close(self) -> None:
        """Give the file handle back; the counters stay."""
        self._shared.close()

    @property
    def orders(self) -> OrderCounter:
        """The account's own order counts (per engine: one engine trades an account)."""
        return self._orders

    def take(self, weight: int, priority: Priority, *, orders: int = 0) -> Refusal | None:
        """Reserve ``weight`` for one request, or say when to ask again.

        Args:
            weight: the request's weight as the venue documents it.
            orders: how many new orders the request carries.
        """
        now_ms = self._clock.now_ms()
        with self._shared as state:
            state.roll(now_ms // _MINUTE_MS)
            refusal = self._blocked(state, now_ms) or self._overdrawn(state, weight, priority, now_ms)
            if refusal is None and orders:
                refusal = self._orders.take(orders, now_ms)
            if refusal is None:
                state.used += weight
            return refusal

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer: the used weight it reports, a 429 or a 418. ``headers`` have lower-case names."""
        used = _whole(headers.get("x-mbx-used-weight-1m", ""))
        if used is None and status not in {418, 429}:
            return
        now_ms = self._clock.now_ms()
        with self._shared as state:
            state.roll(now_ms // _MINUTE_MS)
            state.used = max(state.used, used or 0)
            if status == 429:
                self._pause(state, now_ms, headers)
            elif status == 418:
                wait_s = retry_after_s(headers, _DEFAULT_BAN_S)
                state.banned_until_ms = max(state.banned_until_ms, now_ms + int(wait_s * 1000))

    def pause(self, seconds: float, *, banned: bool = False) -> None:
        """Stop everyone for a while: what a 429 or 418 that came another way than HTTP asks for."""
        self.observe(418 if banned else 429, {"retry-after": str(math.ceil(seconds))})

    def orders_answered(self, orders: int, reported: Mapping[int, int]) -> None:
        """Tell that a request carrying ``orders`` is over, and what the venue reported of its order counts."""
        if orders:
            self._orders.answered(orders, reported, self._clock.now_ms())

    def used_weight(self) -> int:
        """Return the weight used in the running minute."""
        with self._shared as state:
            state.roll(self._clock.now_ms() // _MINUTE_MS)
            return state.used

    def _pause(self, state: _State, now_ms: int, headers: Mapping[str, str]) -> None:
        wait_ms = int(retry_after_s(headers, _DEFAULT_PAUSE_S) * 1000)
        state.paused_until_ms = max(state.paused_until_ms, now_ms + wait_ms)
        state.shrunk_until_ms = state.paused_until_ms + _SHRINK_MS

    @staticmethod
    def _blocked(state: _State, now_ms: int) -> Refusal | None:
        if now_ms < state.banned_until_ms:
            return Refusal((state.banned_until_ms - now_ms) / 1000, banned=True)
        if now_ms < state.paused_until_ms:
            return Refusal((state.paused_until_ms - now_ms) / 1000)
        return None

    def _overdrawn(self, state: _State, weight: int, priority: Priority, now_ms: int) -> Refusal | None:
        allowance = self.weight_per_minute * _SHARE[priority]
        if now_ms < state.shrunk_until_ms:
            allowance /= 2
        if state.used + weight <= allowance:
            return None
        return Refusal((_MINUTE_MS - now_ms % _MINUTE_MS) / 1000)


class OrderCounter:
    """How many orders count against this account's limits: what the venue reported, and what is on its way.

    Venues give an order's count back when it trades, so the venue's own figure is the truth and may fall. ``limits``
    maps a window in seconds to its limit (0: no limit).
    """

    def __init__(self) -> None:
        self.limits: dict[int, int] = {}
        self._reported: dict[int, tuple[int, int]] = {}
        self._on_their_way = 0

    def take(self, orders: int, now_ms: int) -> Refusal | None:
        """Count ``orders`` as on their way, or say when the full window ends."""
        for window_s, limit in self.limits.items():
            if limit and self._count(window_s, now_ms) + self._on_their_way + orders > limit:
                window_ms = window_s * 1000
                return Refusal((window_ms - now_ms % window_ms) / 1000)
        self._on_their_way += orders
        return None

    def answered(self, orders: int, reported: Mapping[int, int], now_ms: int) -> None:
        """Take ``orders`` off their way; where the venue reported no count they are added to the last one."""
        self._on_their_way = max(0, self._on_their_way - orders)
        for window_s in self.limits:
            count = reported.get(window_s, self._count(window_s, now_ms) + orders)
            self._reported[window_s] = (now_ms // (window_s * 1000), count)

    def from_headers(self, headers: Mapping[str, str]) -> dict[int, int]:
        """Return the counts that an HTTP answer reports, by window in seconds."""
        named = {window_s: headers.get(f"x-mbx-order-count-{_window_name(window_s)}", "") for window_s in self.limits}
        return {window_s: count for window_s, text in named.items() if (count := _whole(text)) is not None}

    def _count(self, window_s: int, now_ms: int) -> int:
        slot, count = self._reported.get(window_s, (0, 0))
        return count if slot == now_ms // (window_s * 1000) else 0


def retry_after_s(headers: Mapping[str, str], default_s: float) -> float:
    """Return the ``Retry-After`` of an answer in seconds, at least one."""
    waiting = _whole(headers.get("retry-after", ""))
    return float(max(1, waiting)) if waiting is not None else float(default_s)


def _window_name(window_s: int) -> str:
    for unit_s, letter in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if window_s % unit_s == 0:
            return f"{window_s // unit_s}{letter}"
    return f"{window_s}s"


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _read(fd: int) -> _State:
    raw = os.pread(fd, _STATE.size, 0)
    if len(raw) != _STATE.size or raw[:4] != _MAGIC:
        return _State()
    return _State(*_STATE.unpack(raw)[1:])
