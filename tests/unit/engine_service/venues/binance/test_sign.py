"""Signatures against the venue's own documented examples."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engine_service.domain.errors import ConfigurationError
from engine_service.venues.binance.sign import signed_params, signed_query, signer_for

SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"


def test_the_documented_hmac_example_gives_the_documented_signature() -> None:
    params: dict[str, str | int] = {
        "symbol": "LTCBTC",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "1",
        "price": "0.1",
        "recvWindow": 5000,
        "timestamp": 1499827319559,
    }
    query = signed_query(signer_for(KEY, SECRET), params)
    assert query.endswith("&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71")


def test_the_websocket_api_signs_the_sorted_parameters_with_the_key_among_them() -> None:
    params: dict[str, str | int] = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01000000",
        "price": "52000.00",
        "newOrderRespType": "ACK",
        "recvWindow": 100,
        "timestamp": 1645423376532,
    }
    signed = signed_params(signer_for(KEY, SECRET), params)
    assert signed["signature"] == "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"
    assert signed["apiKey"] == KEY


def test_text_is_percent_encoded_before_it_is_signed() -> None:
    query = signed_query(signer_for(KEY, SECRET), {"symbol": "１２３ a&b=c"})
    assert query.startswith("symbol=%EF%BC%91%EF%BC%92%EF%BC%93%20a%26b%3Dc&signature=")


def test_a_pem_secret_signs_with_ed25519_and_may_log_a_session_on() -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    signer = signer_for(KEY, pem)
    private.public_key().verify(base64.b64decode(signer.signature("timestamp=1")), b"timestamp=1")
    assert signer.session_logon


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [
        ("", "secret", "VENUE_KEYS_MISSING"),
        ("key", "", "VENUE_KEYS_MISSING"),
        ("key", "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----", "VENUE_KEY_INVALID"),
    ],
)
def test_unusable_keys_are_a_configuration_error_with_a_code(key: str, secret: str, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        signer_for(key, secret)
    assert caught.value.code == code
