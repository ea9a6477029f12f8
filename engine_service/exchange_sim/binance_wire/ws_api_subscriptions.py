"""Spot user streams on a WebSocket API connection: `{subscriptionId, event}`, one per account."""

from __future__ import annotations

from collections.abc import Callable

from engine_service.exchange_sim.binance_wire import ws_payloads_user
from engine_service.exchange_sim.binance_wire.ws_text import TimeUnit
from engine_service.exchange_sim.binance_wire.ws_user_hub import Report, UserHub
from engine_service.exchange_sim.errors import ExchangeError

MAX_SUBSCRIPTIONS = 1000


class Subscriptions:
    """The subscriptions of one connection.

    Args:
        send: sends one message to the client.
    """

    def __init__(self, hub: UserHub, unit: TimeUnit, send: Callable[[object], None]) -> None:
        self._hub = hub
        self._unit = unit
        self._send = send
        self._open: dict[int, tuple[str, bool]] = {}  # id: account, whether opened by the session's log-on
        self._next = 0

    @property
    def has_session(self) -> bool:
        """Whether the logged-on session is subscribed."""
        return any(of_session for _, of_session in self._open.values())

    def listed(self) -> list[dict[str, int]]:
        """`session.subscriptions`."""
        return [{"subscriptionId": number} for number in self._open]

    def add(self, account_id: str, of_session: bool) -> int:
        """Subscribe to an account and return the id. Raises -2035 when it is subscribed already."""
        if any(account_id == account for account, _ in self._open.values()):
            raise ExchangeError(-2035, "User Data Stream subscription already active.")
        if len(self._open) >= MAX_SUBSCRIPTIONS:
            raise ExchangeError(-1191, f"Too many subscriptions. Connection may create up to '{MAX_SUBSCRIPTIONS}'.")
        number = self._next
        self._next += 1
        self._open[number] = (account_id, of_session)
        self._hub.listen(account_id, self, lambda report: self._on_report(number, report))
        return number

    def remove(self, number: int | None, now_ms: int) -> tuple[object, ...]:
        """End one or (None) all; returns the messages that say so. Raises -2036 when there is none."""
        chosen = list(self._open) if number is None else [number]
        if not chosen or not self._open.keys() >= set(chosen):
            raise ExchangeError(-2036, "User Data Stream subscription not active.")
        return self._end(chosen, now_ms)

    def remove_session(self, now_ms: int) -> tuple[object, ...]:
        """End what the session's log-on opened; signed subscriptions stay."""
        return self._end([number for number, (_, of_session) in self._open.items() if of_session], now_ms)

    def close(self) -> None:
        """The client is gone."""
        self._end(list(self._open), 0)

    def _end(self, numbers: list[int], now_ms: int) -> tuple[object, ...]:
        event = ws_payloads_user.event_stream_terminated(now_ms, self._unit)
        for number in numbers:
            account_id, _ = self._open.pop(number)
            self._hub.leave(account_id, self)
        return tuple({"subscriptionId": number, "event": event} for number in numbers)

    def _on_report(self, number: int, report: Report) -> None:
        self._send({"subscriptionId": number, "event": report.build(self._unit)})
