"""Rate limits: request weight by address, new orders by account, both in the venue's fixed windows.

Going over the weight of a minute answers 429; going on in spite of it answers 418, a ban that doubles from two
minutes to three days. On spot an order that trades gives its count back (five as a maker), so only unfilled orders
count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from engine_service.exchange_sim.binance_wire import errors
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.events import AccountEvent, ExecutionType, MarketEvent, OrderEvent

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
DAY_MS = 24 * 60 * MINUTE_MS
_LONGEST_BAN_S = 3 * 24 * 3600
_TAKER_CREDIT, _MAKER_CREDIT = 1, 5


@dataclass(frozen=True, slots=True)
class OrderLimit:
    """At most `limit` new orders per `count` intervals (SECOND, MINUTE or DAY)."""

    interval: str
    count: int
    limit: int

    @property
    def window_ms(self) -> int:
        unit = {"SECOND": SECOND_MS, "MINUTE": MINUTE_MS, "DAY": DAY_MS}[self.interval]
        return unit * self.count

    @property
    def header(self) -> str:
        return f"x-mbx-order-count-{self.count}{self.interval[0].lower()}"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one market and how it punishes.

    Args:
        weight_per_minute: request weight of one address.
        orders: windows for new orders of one account.
        strikes: how many 429 in one minute before a ban.
        first_ban_s: length of the first ban; each further one is twice as long.
    """

    weight_per_minute: int
    orders: tuple[OrderLimit, ...]
    strikes: int = 10
    first_ban_s: int = 120

    def listed(self) -> list[dict[str, object]]:
        """`rateLimits` of exchangeInfo."""
        rows = [_row("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_minute)]
        return rows + [_row("ORDERS", o.interval, o.count, o.limit) for o in self.orders]

    def weight_row(self, used: int) -> dict[str, object]:
        """The weight of one address as a `rateLimits` row with `count`."""
        return _row("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_minute, used)


SPOT_LIMITS = Limits(6000, (OrderLimit("SECOND", 10, 100), OrderLimit("DAY", 1, 200_000)))
FUTURES_LIMITS = Limits(2400, (OrderLimit("SECOND", 10, 300), OrderLimit("MINUTE", 1, 1200)))


@dataclass(slots=True)
class _Window:
    """A counter that starts again with each window of the clock."""

    length_ms: int
    index: int = -1
    used: int = 0
    strikes: int = 0

    def roll(self, now_ms: int) -> None:
        index = now_ms // self.length_ms
        if index != self.index:
            self.index, self.used, self.strikes = index, 0, 0

    def left_s(self, now_ms: int) -> int:
        """Whole seconds until it starts again, at least one."""
        return max(1, -(-(self.length_ms - now_ms % self.length_ms) // 1000))


@dataclass(slots=True)
class _Address:
    weight: _Window = field(default_factory=lambda: _Window(MINUTE_MS))
    banned_until_ms: int = 0
    bans: int = 0


class RateLimits:
    """The counters of one market."""

    def __init__(self, market: Market, limits: Limits, clock_ms: Callable[[], int]) -> None:
        self.limits = limits
        self._market = market
        self._clock_ms = clock_ms
        self._addresses: dict[str, _Address] = {}
        self._accounts: dict[str, tuple[_Window, ...]] = {}

    def use(self, address: str, weight: int) -> int:
        """Count a request; returns the weight used in this minute. Raises LimitExceeded (429 or 418)."""
        now_ms = self._clock_ms()
        entry = self._addresses.get(address)
        if entry is None:
            entry = self._addresses[address] = _Address()
        if now_ms < entry.banned_until_ms:
            raise errors.banned(entry.banned_until_ms, -(-(entry.banned_until_ms - now_ms) // 1000))
        window = entry.weight
        window.roll(now_ms)
        window.used += weight
        if window.used > self.limits.weight_per_minute:
            raise self._punished(entry, now_ms)
        return window.used

    def used(self, address: str) -> int:
        """Weight used in this minute."""
        entry = self._addresses.get(address)
        if entry is None:
            return 0
        entry.weight.roll(self._clock_ms())
        return entry.weight.used

    def count_order(self, account_id: str, orders: int = 1) -> None:
        """Count new orders. Raises LimitExceeded (-1015)."""
        now_ms = self._clock_ms()
        windows = self._windows(account_id, now_ms)
        for limit, window in zip(self.limits.orders, windows, strict=True):
            if window.used + orders > limit.limit:
                interval = f"{limit.count} {limit.interval}"
                raise errors.too_many_orders(limit.limit, interval, window.left_s(now_ms))
        for window in windows:
            window.used += orders

    def order_counts(self, account_id: str) -> list[tuple[OrderLimit, int]]:
        """Each window with its count."""
        windows = self._windows(account_id, self._clock_ms())
        return [(limit, window.used) for limit, window in zip(self.limits.orders, windows, strict=True)]

    def order_rows(self, account_id: str) -> list[dict[str, object]]:
        """The counts as `rateLimits` rows with `count`."""
        return [
            _row("ORDERS", limit.interval, limit.count, limit.limit, used)
            for limit, used in self.order_counts(account_id)
        ]

    def on_event(self, event: MarketEvent | AccountEvent) -> None:
        """Give spot orders back their count at their first fill. Subscribe this to the exchange."""
        if self._market is not Market.SPOT or not isinstance(event, OrderEvent) or event.trade is None:
            return
        trade = event.trade
        first = event.order.executed_quantity == trade.quantity
        if event.market is not Market.SPOT or event.execution_type is not ExecutionType.TRADE or not first:
            return
        credit = _MAKER_CREDIT if trade.is_maker else _TAKER_CREDIT
        for window in self._windows(event.account_id, self._clock_ms()):
            window.used = max(0, window.used - credit)

    def _punished(self, entry: _Address, now_ms: int) -> errors.LimitExceeded:
        entry.weight.strikes += 1
        if entry.weight.strikes <= self.limits.strikes:
            return errors.too_much_weight(self.limits.weight_per_minute, entry.weight.left_s(now_ms))
        length_s = min(self.limits.first_ban_s * 2**entry.bans, _LONGEST_BAN_S)
        entry.bans += 1
        entry.banned_until_ms = now_ms + length_s * 1000
        return errors.banned(entry.banned_until_ms, length_s)

    def _windows(self, account_id: str, now_ms: int) -> tuple[_Window, ...]:
        windows = self._accounts.get(account_id)
        if windows is None:
            windows = tuple(_Window(limit.window_ms) for limit in self.limits.orders)
            self._accounts[account_id] = windows
        for window in windows:
            window.roll(now_ms)
        return windows


def default_limits(factor: int = 1) -> Mapping[Market, Limits]:
    """The venue's own, so many times over."""
    return {Market.SPOT: _times(SPOT_LIMITS, factor), Market.FUTURES: _times(FUTURES_LIMITS, factor)}


def _times(limits: Limits, factor: int) -> Limits:
    orders = tuple(replace(window, limit=window.limit * factor) for window in limits.orders)
    return replace(limits, weight_per_minute=limits.weight_per_minute * factor, orders=orders)


def _row(kind: str, interval: str, count: int, limit: int, used: int | None = None) -> dict[str, object]:
    row: dict[str, object] = {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}
    if used is not None:
        row["count"] = used
    return row
