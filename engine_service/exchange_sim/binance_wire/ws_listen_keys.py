"""Listen keys of USD-M user streams: one per account, valid for an hour after each renewal.

The REST routes `POST / PUT / DELETE /fapi/v1/listenKey` call `create`, `renew` and `close`; the stream routes ask
`account_of` and are told when a key ends. Spot has none: the venue removed them on 2026-02-20.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from engine_service.exchange_sim.binance_wire import errors

VALID_MS = 60 * 60 * 1000
KEY_LENGTH = 64
_ALPHABET = string.ascii_letters + string.digits


class KeyEnd(StrEnum):
    """Why a listen key ended."""

    EXPIRED = "expired"
    CLOSED = "closed"


@dataclass(slots=True)
class _Entry:
    account_id: str
    key: str
    valid_until_ms: int


KeyEndCallback = Callable[[str, KeyEnd], None]


class ListenKeys:
    """All listen keys in force.

    Args:
        clock_ms: the exchange's clock.
        valid_ms: how long a key lives after its last renewal.
    """

    def __init__(self, clock_ms: Callable[[], int], valid_ms: int = VALID_MS) -> None:
        self._clock_ms = clock_ms
        self._valid_ms = valid_ms
        self._by_account: dict[str, _Entry] = {}
        self._by_key: dict[str, _Entry] = {}
        self._on_end: list[KeyEndCallback] = []

    def on_end(self, callback: KeyEndCallback) -> None:
        """Be told of every key that expires or is closed: (key, why)."""
        self._on_end.append(callback)

    def create(self, account_id: str) -> str:
        """The account's key, renewed when it has one already."""
        self.expire()
        entry = self._by_account.get(account_id)
        if entry is None:
            key = "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))
            entry = _Entry(account_id, key, 0)
            self._by_account[account_id] = self._by_key[key] = entry
        entry.valid_until_ms = self._clock_ms() + self._valid_ms
        return entry.key

    def renew(self, account_id: str) -> str:
        """Extend the account's key and return it. Raises -1125 when it has none."""
        entry = self._entry_of(account_id)
        entry.valid_until_ms = self._clock_ms() + self._valid_ms
        return entry.key

    def close(self, account_id: str) -> None:
        """End the account's key and its streams. Raises -1125 when it has none."""
        self._end(self._entry_of(account_id), KeyEnd.CLOSED)

    def account_of(self, key: str) -> str | None:
        """The account behind a valid key."""
        self.expire()
        entry = self._by_key.get(key)
        return entry.account_id if entry else None

    def expire(self) -> None:
        """End every key whose time is over."""
        now_ms = self._clock_ms()
        for entry in [entry for entry in self._by_key.values() if entry.valid_until_ms <= now_ms]:
            self._end(entry, KeyEnd.EXPIRED)

    def _entry_of(self, account_id: str) -> _Entry:
        self.expire()
        entry = self._by_account.get(account_id)
        if entry is None:
            raise errors.listen_key_missing()
        return entry

    def _end(self, entry: _Entry, why: KeyEnd) -> None:
        del self._by_account[entry.account_id]
        del self._by_key[entry.key]
        for callback in self._on_end:
            callback(entry.key, why)
