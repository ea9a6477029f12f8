"""Who sent a request: API key, signature, timestamp and permissions, as Binance checks them.

REST signs the raw bytes of query string + body as they were sent (percent-encoded), with `signature` as the last
parameter; the WebSocket API signs its parameters sorted by name. HMAC-SHA256 signatures are hex in any case,
Ed25519 ones base64.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from engine_service.exchange_sim.binance_wire import errors
from engine_service.exchange_sim.enums import KeyKind, Permission
from engine_service.exchange_sim.errors import missing_parameter
from engine_service.exchange_sim.exchange import Exchange
from engine_service.exchange_sim.model import AccountSpec, ApiKey

DEFAULT_WINDOW_MS = Decimal(5000)
MAX_WINDOW_MS = Decimal(60_000)
_AHEAD_US = 1_000_000
# 16 digits and more are microseconds: milliseconds reach that length in the year 33658.
_MICROSECONDS_FROM = 10**15
_KEY_FORMAT = re.compile(r"[!-~]{1,128}")
_TIMESTAMP = re.compile(r"[0-9]{1,20}", re.ASCII)
_WINDOW = re.compile(r"[0-9]{1,10}(\.[0-9]{1,3})?", re.ASCII)
_SIGNATURE_NAME = "signature="


class Signer(msgspec.Struct, frozen=True, gc=False):
    """A proved sender."""

    account: AccountSpec
    key: ApiKey

    @property
    def account_id(self) -> str:
        return self.account.account_id


class Authenticator:
    """Checks senders against the exchange's accounts and clock."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def by_key(self, api_key: str) -> Signer:
        """The owner of a key (USER_STREAM security needs no more). Raises -2014, -2015."""
        if _KEY_FORMAT.fullmatch(api_key) is None:
            raise errors.key_format_invalid()
        return self._owner(api_key)

    def _owner(self, api_key: str) -> Signer:
        found = self._exchange.accounts.by_key(api_key)
        if found is None:
            raise errors.key_rejected()
        return Signer(*found)

    def signed(
        self,
        api_key: str,
        payload: bytes,
        values: Mapping[str, str],
        permission: Permission,
    ) -> Signer:
        """The sender of a SIGNED request.

        Args:
            payload: the signed bytes, see `rest_payload` and `ws_payload`.
            values: the request's parameters, with `signature`, `timestamp` and perhaps `recvWindow`.
            permission: what the key must allow.

        Raises:
            ExchangeError: -2014, -1102, -2015, -1022, -1021 or -1131, in this order.
        """
        if _KEY_FORMAT.fullmatch(api_key) is None:
            raise errors.key_format_invalid()
        for name in ("timestamp", "signature"):
            if not values.get(name):
                raise missing_parameter(name)
        signer = self._owner(api_key)
        if not signature_is_valid(signer.key, payload, values["signature"]):
            raise errors.invalid_signature()
        self.check_time(values)
        require(signer, permission)
        return signer

    def check_time(self, values: Mapping[str, str]) -> None:
        """Raises -1021 outside the window, -1131 for too large a window, -1100 for no number."""
        check_window(values.get("timestamp", ""), values.get("recvWindow"), self._exchange.server_time_ms() * 1000)


def require(signer: Signer, permission: Permission) -> None:
    """Raises -2015 when the key lacks the permission."""
    if permission not in signer.key.permissions:
        raise errors.key_rejected()


def check_window(timestamp: str, window: str | None, now_us: int) -> None:
    """`timestamp` (ms or us) must not be 1 s ahead nor older than `window` ms."""
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise errors.illegal_characters("timestamp", errors.INTEGER_RANGE)
    sent_us = int(timestamp)
    if sent_us < _MICROSECONDS_FROM:
        sent_us *= 1000
    window_ms = DEFAULT_WINDOW_MS
    if window:
        if _WINDOW.fullmatch(window) is None:
            raise errors.illegal_characters("recvWindow", errors.DECIMAL_RANGE)
        window_ms = Decimal(window)
    if window_ms > MAX_WINDOW_MS:
        raise errors.window_too_large()
    if sent_us >= now_us + _AHEAD_US:
        raise errors.ahead_of_server()
    if now_us - sent_us > window_ms * 1000:
        raise errors.outside_window()


def rest_payload(query: str, body: str) -> bytes:
    """The signed bytes of a REST request: query + body without the `signature` that ends one of them."""
    return (_without_signature(query) + _without_signature(body)).encode("latin-1", "replace")


def ws_payload(params: Mapping[str, str]) -> bytes:
    """The signed bytes of a WebSocket request: `name=value` sorted by name, without `signature`."""
    return "&".join([f"{name}={params[name]}" for name in sorted(params) if name != "signature"]).encode()


def signature_is_valid(key: ApiKey, payload: bytes, signature: str) -> bool:
    """Whether the key's holder signed these bytes."""
    if key.kind is KeyKind.HMAC:
        expected = hmac.digest(key.secret.encode(), payload, "sha256").hex()
        return hmac.compare_digest(expected.encode(), signature.lower().encode("utf-8", "replace"))
    try:
        _public_key(key.secret).verify(base64.b64decode(signature, validate=True), payload)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


@lru_cache(maxsize=256)
def _public_key(pem: str) -> Ed25519PublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("an ED25519 api key needs an Ed25519 public key in PEM form")
    return key


def _without_signature(part: str) -> str:
    """Cut a final `signature=...`; one that does not end its part stays in and so fails the check."""
    if part.startswith(_SIGNATURE_NAME):
        head, tail = "", part
    else:
        head, found, tail = part.rpartition("&" + _SIGNATURE_NAME)
        if not found:
            return part
    return part if "&" in tail else head
