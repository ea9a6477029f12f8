"""The hash under a key is HMAC-SHA256, whatever the lengths."""

from __future__ import annotations

import hmac
import random

import pytest

from engine_service.domain.keyed_hash import KeyedHash, keyed_hash


@pytest.mark.parametrize("key_bytes", [0, 1, 32, 63, 64, 65, 200])
def test_it_is_the_hmac_of_the_standard_library(key_bytes: int) -> None:
    chance = random.Random(key_bytes)
    for length in (0, 1, 55, 56, 63, 64, 65, 1_000):
        key, message = chance.randbytes(key_bytes), chance.randbytes(length)
        expected = hmac.digest(key, message, "sha256")
        assert keyed_hash(key, message) == expected
        assert KeyedHash(key).hex(message) == expected.hex()


def test_one_key_gives_every_message_its_own_hash() -> None:
    keyed = KeyedHash(b"key")
    for message in (b"a", b"b", b"a"):
        assert keyed.hex(message) == keyed_hash(b"key", message).hex()


def test_it_gives_the_published_answer() -> None:
    """Test case 2 of RFC 4231."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert keyed_hash(b"Jefe", b"what do ya want for nothing?").hex() == expected
