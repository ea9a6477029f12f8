"""Keys, signatures, timestamps and permissions on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine_service.exchange_sim.binance_wire.auth import rest_payload, signature_is_valid, ws_payload
from engine_service.exchange_sim.enums import KeyKind
from engine_service.exchange_sim.model import ApiKey
from tests.integration.exchange_rest.signed_client import SignedClient, hmac_hex, now_ms, refused
from tests.integration.simulated_exchange import SimulatedExchange

ACCOUNT = "/api/v3/account"
# Key, payload and signature as printed in Binance's own documents.
DOCUMENTED_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
DOCUMENTED_PAYLOADS = {
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
    "&timestamp=1499827319559": "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT&timeInForce=GTC"
    "&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559": (
        "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"
    ),
}


@pytest.mark.parametrize("payload", DOCUMENTED_PAYLOADS)
def test_the_documented_examples_carry_valid_signatures(payload: str) -> None:
    key = ApiKey("k", KeyKind.HMAC, DOCUMENTED_SECRET, frozenset())
    signature = DOCUMENTED_PAYLOADS[payload]
    assert signature_is_valid(key, rest_payload(f"{payload}&signature={signature}", ""), signature)
    assert not signature_is_valid(key, rest_payload(payload + "0", ""), signature)


def test_the_documented_mixed_example_signs_query_and_body_without_a_separator() -> None:
    key = ApiKey("k", KeyKind.HMAC, DOCUMENTED_SECRET, frozenset())
    signature = "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"
    payload = rest_payload(
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC",
        f"quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559&signature={signature}",
    )
    assert signature_is_valid(key, payload, signature)


def test_websocket_parameters_are_signed_in_alphabetical_order() -> None:
    params = {"timestamp": "1", "apiKey": "k", "signature": "s", "symbol": "BTCUSDT"}
    assert ws_payload(params) == b"apiKey=k&symbol=BTCUSDT&timestamp=1"


def test_a_signed_query_and_a_signed_body_are_both_taken(client: SignedClient) -> None:
    assert client.signed("GET", ACCOUNT).status_code == 200
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
    assert client.signed_body("POST", "/api/v3/order/test", **order).status_code == 200


def test_query_and_body_may_be_mixed_and_the_query_wins(client: SignedClient) -> None:
    query = "symbol=BTCUSDT&side=BUY&type=MARKET"
    body = f"side=NONSENSE&quantity=0.001&timestamp={now_ms()}"
    signed = f"{body}&signature={client.signature(query + body)}"
    assert client.raw("POST", f"/api/v3/order/test?{query}", signed).status_code == 200


def test_an_hmac_signature_is_taken_in_capitals(client: SignedClient) -> None:
    query = f"timestamp={now_ms()}"
    answer = client.raw("GET", f"{ACCOUNT}?{query}&signature={client.signature(query).upper()}")
    assert answer.status_code == 200


def test_microseconds_are_taken_as_time_stamps(client: SignedClient) -> None:
    assert client.signed("GET", ACCOUNT, timestamp=now_ms() * 1000).status_code == 200


@pytest.mark.parametrize("window", ["60000", "6000.346"])
def test_a_window_may_have_three_decimals_and_last_a_minute(client: SignedClient, window: str) -> None:
    assert client.signed("GET", ACCOUNT, recvWindow=window).status_code == 200


def test_a_wrong_signature_is_refused(client: SignedClient) -> None:
    answer = client.raw("GET", f"{ACCOUNT}?timestamp={now_ms()}&signature={'0' * 64}")
    refused(answer, 400, -1022, "Signature for this request is not valid.")


def test_a_signature_that_is_not_the_last_parameter_is_refused(client: SignedClient) -> None:
    stamp = f"timestamp={now_ms()}"
    signature = client.signature(stamp)  # what stands before it, so that only its place is wrong
    refused(client.raw("GET", f"{ACCOUNT}?{stamp}&signature={signature}&recvWindow=5000"), 400, -1022)


def test_signing_before_percent_encoding_is_refused(client: SignedClient) -> None:
    # The bytes on the wire are what counts: here "@" was signed and "%40" was sent.
    stamp = now_ms()
    signature = client.signature(f"symbol=BTC@USDT&timestamp={stamp}")
    answer = client.raw("GET", f"/api/v3/openOrders?symbol=BTC%40USDT&timestamp={stamp}&signature={signature}")
    refused(answer, 400, -1022)


@pytest.mark.parametrize("missing", ["timestamp", "signature"])
def test_a_missing_part_of_the_signing_is_named(client: SignedClient, missing: str) -> None:
    query = {"timestamp": now_ms(), "signature": "0" * 64}
    del query[missing]
    message = f"Mandatory parameter '{missing}' was not sent, was empty/null, or malformed."
    refused(client.raw("GET", f"{ACCOUNT}?{urlencode(query)}"), 400, -1102, message)


def test_an_old_request_is_refused(client: SignedClient) -> None:
    answer = client.signed("GET", ACCOUNT, timestamp=now_ms() - 6000)
    refused(answer, 400, -1021, "Timestamp for this request is outside of the recvWindow.")
    assert client.signed("GET", ACCOUNT, timestamp=now_ms() - 6000, recvWindow=9000).status_code == 200


def test_a_request_from_the_future_is_refused(client: SignedClient) -> None:
    answer = client.signed("GET", ACCOUNT, timestamp=now_ms() + 3000)
    refused(answer, 400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def test_too_large_a_window_is_refused(client: SignedClient) -> None:
    refused(client.signed("GET", ACCOUNT, recvWindow=60001), 400, -1131, "recvWindow must be less than 60000")


@pytest.mark.parametrize("key", ["", "no such$key"])
def test_a_key_of_a_wrong_form_is_refused(client: SignedClient, key: str) -> None:
    refused(client.raw("GET", ACCOUNT, key=key), 401, -2014, "API-key format invalid.")


def test_an_unknown_key_is_refused(client: SignedClient) -> None:
    answer = client.raw("GET", f"{ACCOUNT}?timestamp={now_ms()}&signature=0", key="stranger")
    refused(answer, 401, -2015, "Invalid API-key, IP, or permissions for action.")


class TestSeveralAccounts:
    """Keys of an accounts file: Ed25519, read only."""

    @pytest.fixture(scope="class")
    def secret(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.generate()

    @pytest.fixture(scope="class")
    def url(self, secret: Ed25519PrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        folder = tmp_path_factory.mktemp("accounts")
        running = SimulatedExchange.start(
            "--accounts", str(_accounts_file(folder, secret)), log=folder / "exchange.log"
        )
        yield running.url
        assert running.stop() == 0

    def test_an_ed25519_signature_is_taken(self, url: str, secret: Ed25519PrivateKey) -> None:
        assert SignedClient(url, "ed-key", secret).signed("GET", ACCOUNT).status_code == 200

    def test_another_ed25519_signature_is_refused(self, url: str) -> None:
        stranger = SignedClient(url, "ed-key", Ed25519PrivateKey.generate())
        refused(stranger.signed("GET", ACCOUNT), 400, -1022)

    def test_a_read_only_key_may_look_but_not_trade(self, url: str) -> None:
        reader = SignedClient(url, "reader", "reader-secret")
        assert reader.signed("GET", ACCOUNT).json()["canTrade"] is False
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
        refused(reader.signed("POST", "/api/v3/order", **order), 401, -2015)
        refused(reader.signed("POST", "/fapi/v1/order", **order), 401, -2015)


def _accounts_file(folder: Path, secret: Ed25519PrivateKey) -> Path:
    pem = secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    accounts = [
        {"id": "ed", "balances": {"USDT": "1000"}, "keys": [{"key": "ed-key", "public_key": pem}]},
        {
            "id": "reader",
            "balances": {"USDT": "1000"},
            "keys": [{"key": "reader", "secret": "reader-secret", "permissions": ["READ"]}],
        },
    ]
    path = folder / "accounts.json"
    path.write_text(json.dumps({"accounts": accounts}))
    return path


def test_hmac_hex_is_what_openssl_prints() -> None:
    payload, signature = next(iter(DOCUMENTED_PAYLOADS.items()))
    assert hmac_hex(DOCUMENTED_SECRET, payload) == signature
