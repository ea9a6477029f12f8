"""Signing of requests: HMAC-SHA256 and Ed25519 keys. The text is percent-encoded before it is signed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote, urlencode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from engine_service.domain.errors import ConfigurationError
from engine_service.domain.keyed_hash import KeyedHash

Scalar = str | int
#: Text that percent-encoding leaves as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")


class Signer(Protocol):
    """Signs what the venue is sent; ``session_logon`` tells whether a WebSocket session can be authenticated."""

    @property
    def api_key(self) -> str: ...

    @property
    def session_logon(self) -> bool: ...

    def signature(self, text: str) -> str:
        """Return the signature of ``text`` as the venue expects it, not yet percent-encoded."""


class HmacSigner:
    """A shared secret."""

    session_logon = False

    def __init__(self, api_key: str, secret: str) -> None:
        self.api_key = api_key
        self._keyed = KeyedHash(secret.encode())

    def signature(self, text: str) -> str:
        return self._keyed.hex(text.encode())


class Ed25519Signer:
    """A private key of which the venue holds the public half."""

    session_logon = True

    def __init__(self, api_key: str, key: Ed25519PrivateKey) -> None:
        self.api_key = api_key
        self._key = key

    def signature(self, text: str) -> str:
        return base64.b64encode(self._key.sign(text.encode())).decode()


def signer_for(api_key: str, secret: str) -> Signer:
    """Choose the signer by the look of the secret: a PEM private key means Ed25519, anything else HMAC.

    Raises:
        ConfigurationError: a part is missing, or the PEM is not an unencrypted Ed25519 private key.
    """
    if not api_key or not secret:
        raise ConfigurationError("VENUE_KEYS_MISSING", "BINANCE_API_KEY and BINANCE_API_SECRET are both needed")
    if "PRIVATE KEY" not in secret:
        return HmacSigner(api_key, secret)
    try:
        key = load_pem_private_key(secret.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error) as error:
        raise ConfigurationError("VENUE_KEY_INVALID", "the secret is not a readable PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError("VENUE_KEY_INVALID", "a PEM secret must hold an Ed25519 private key")
    return Ed25519Signer(api_key, key)


def signed_query(signer: Signer, params: Mapping[str, Scalar]) -> str:
    """Return the query string of ``params`` with its signature, percent-encoded first."""
    text = urlencode(params, quote_via=quote)
    return f"{text}&signature={quote(signer.signature(text), safe='')}"


def signed_params(signer: Signer, params: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return ``params`` of a WebSocket API call with ``apiKey`` and ``signature`` (over the sorted parameters)."""
    complete: dict[str, Scalar] = {**params, "apiKey": signer.api_key}
    written = [(name, str(complete[name])) for name in sorted(complete)]
    if not _PLAIN.fullmatch("".join([value for _, value in written])):
        written = [(name, quote(value, safe="")) for name, value in written]
    complete["signature"] = signer.signature("&".join([f"{name}={value}" for name, value in written]))
    return complete
