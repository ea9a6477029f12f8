"""Names of instruments, and client order ids that a restart computes again and nobody else can guess."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import pytest

from engine_service.domain.ids import (
    Market,
    client_order_id,
    closed_by_venue,
    instance_tag,
    instrument_id,
    local_symbol,
    venue_of,
)

KEY = b"k" * 32


def cid(changes: Mapping[str, str] | None = None, *, instance_key: bytes = KEY) -> str:
    parts = {"account": "main", "venue": "BINANCE", "scope": "me|/orders", "key": "key-0001", "leg": "entry"}
    parts |= changes or {}
    market = Market(parts.pop("market", "spot"))
    return client_order_id(instance_key, market=market, **parts)


def test_an_instrument_has_one_name_in_upper_case() -> None:
    assert instrument_id("btcusdt.binance") == "BTCUSDT.BINANCE"
    assert instrument_id("1000PEPE-USDT_2.BY") == "1000PEPE-USDT_2.BY"
    assert (venue_of("BTCUSDT.BINANCE"), local_symbol("BTCUSDT.BINANCE")) == ("BINANCE", "BTCUSDT")


@pytest.mark.parametrize(
    "text",
    ["", "BTCUSDT", ".BINANCE", "B.BINANCE", "BTCUSDT.B", "BTC/USDT.BINANCE", "BTCUSDT.BINANCE\n", "ВТСUSDT.BINANCE"],
)
def test_what_is_no_instrument_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"BASEQUOTE\.VENUE"):
        instrument_id(text)


def test_a_client_order_id_is_the_keyed_hash_of_all_its_parts_behind_the_engines_tag() -> None:
    text = b"main|BINANCE|spot|me|/orders|key-0001|entry"
    tag = hashlib.sha256(b"tag" + KEY).hexdigest()[:4]
    assert instance_tag(KEY) == tag
    assert cid() == tag + hmac.new(KEY, text, hashlib.sha256).hexdigest()[4:32]


def test_a_client_order_id_fits_the_field_of_every_venue() -> None:
    assert len(cid()) == 32
    assert set(cid()) <= set("0123456789abcdef")


def test_the_same_key_gives_the_same_id_and_any_other_part_another() -> None:
    changes = [
        {"account": "other"},
        {"venue": "BYBIT"},
        {"market": "futures"},
        {"scope": "you|/orders"},
        {"key": "key-0002"},
        {"leg": "tp"},
    ]
    assert cid() == cid()
    ids = {cid(), cid(instance_key=b"q" * 32), *(cid(change) for change in changes)}
    assert len(ids) == len(changes) + 2


def test_orders_by_which_the_venue_closes_a_position_are_told_from_others_by_how_their_ids_begin() -> None:
    ids = ("autoclose-1700", "adl_autoclose", "settlement_autoclose-1700", cid(), "", "my-autoclose-1")
    assert [closed_by_venue(each) for each in ids] == ["liquidation", "deleveraging", "settlement", "", "", ""]
