"""Identities: instruments by ``BASEQUOTE.VENUE`` and client order ids that a restart can compute again."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from functools import lru_cache
from typing import Final

from engine_service.domain.keyed_hash import KeyedHash

_SYMBOL = re.compile(r"^[A-Z0-9_\-]{2,32}\.[A-Z]{2,16}$")
INSTANCE_TAG_LENGTH = 4
#: Who acts where no caller asked for it.
ENGINE: Final = "engine"
#: The source, in a signal's why, of one that came from outside: no bar's close decided it.
OUTSIDE: Final = "external"
#: Names are few and asked for with every order; strangers cannot make the engine remember more than these.
REMEMBERED: Final = 4_096


class Market(StrEnum):
    """Where on a venue an instrument trades."""

    SPOT = "spot"
    FUTURES = "futures"


#: Looked up on its class, a member costs three times as much, and every order asks dozens of times.
SPOT: Final = Market.SPOT
FUTURES: Final = Market.FUTURES


@lru_cache(REMEMBERED)
def instrument_id(text: str) -> str:
    """Return the one internal key of an instrument, ``BTCUSDT.BINANCE``, case folded.

    Raises:
        ValueError: ``text`` is not ASCII ``SYMBOL.VENUE``.
    """
    key = text.upper() if text.isascii() else ""
    if not _SYMBOL.fullmatch(key):
        raise ValueError("a symbol is written BASEQUOTE.VENUE, for example BTCUSDT.BINANCE")
    return key


@lru_cache(REMEMBERED)
def venue_of(symbol: str) -> str:
    """Return the venue part of an instrument key: ``BTCUSDT.BINANCE`` gives ``BINANCE``."""
    return symbol.rpartition(".")[2]


@lru_cache(REMEMBERED)
def local_symbol(symbol: str) -> str:
    """Return the venue's own name of an instrument: ``BTCUSDT.BINANCE`` gives ``BTCUSDT``."""
    return symbol.rpartition(".")[0]


@lru_cache(8)
def instance_tag(instance_key: bytes) -> str:
    """Return the four hex digits that mark this engine's own orders in a venue's lists."""
    return hashlib.sha256(b"tag" + instance_key).hexdigest()[:INSTANCE_TAG_LENGTH]


def client_order_id(
    instance_key: bytes, *, account: str, venue: str, market: Market, scope: str, key: str, leg: str
) -> str:
    """Derive the 32 hex digit id that is sent to the venue from the caller's idempotency key.

    The same key always gives the same id, so a restarted engine can ask the venue for an order it does not
    remember sending. HMAC keeps the ids unpredictable to other readers of the account. 32 hex digits fit the
    client id field of every supported venue.
    """
    text = "|".join((account, venue, market.value, scope, key, leg)).encode()
    return instance_tag(instance_key) + _keyed(instance_key).hex(text)[INSTANCE_TAG_LENGTH:32]


@lru_cache(8)
def _keyed(instance_key: bytes) -> KeyedHash:
    return KeyedHash(instance_key)


#: How the ids of orders begin by which the venue itself closes a position.
_CLOSED_BY_VENUE = {"autoclose-": "liquidation", "adl_autoclose": "deleveraging", "settlement_autoclose-": "settlement"}


def closed_by_venue(client_order_id: str) -> str:
    """Return why the venue itself placed an order; empty where it did not."""
    return next((why for start, why in _CLOSED_BY_VENUE.items() if client_order_id.startswith(start)), "")
