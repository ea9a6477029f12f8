"""Listen keys live an hour after each renewal, one per account."""

from __future__ import annotations

import pytest

from engine_service.domain.clock import ManualClock
from engine_service.exchange_sim.binance_wire.ws_listen_keys import VALID_MS, KeyEnd, ListenKeys
from engine_service.exchange_sim.errors import ExchangeError


def test_an_account_has_one_key_that_asking_again_renews() -> None:
    clock = ManualClock()
    keys = ListenKeys(clock.now_ms)
    first = keys.create("a")
    clock.advance(VALID_MS - 1)
    assert keys.create("a") == first
    clock.advance(VALID_MS - 1)
    assert keys.account_of(first) == "a"
    assert len(first) == 64


def test_an_expired_key_is_announced_and_cannot_be_renewed() -> None:
    clock = ManualClock()
    keys = ListenKeys(clock.now_ms)
    ended: list[tuple[str, KeyEnd]] = []
    keys.on_end(lambda key, why: ended.append((key, why)))
    key = keys.create("a")
    clock.advance(VALID_MS)
    with pytest.raises(ExchangeError, match="This listenKey does not exist"):
        keys.renew("a")
    assert ended == [(key, KeyEnd.EXPIRED)]


def test_a_closed_key_is_announced_and_opens_nothing() -> None:
    keys = ListenKeys(ManualClock().now_ms)
    ended: list[tuple[str, KeyEnd]] = []
    keys.on_end(lambda key, why: ended.append((key, why)))
    key = keys.create("a")
    keys.close("a")
    assert keys.account_of(key) is None
    assert ended == [(key, KeyEnd.CLOSED)]
