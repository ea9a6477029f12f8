"""A bare Binance REST client: signs as the documents say and hands back whatever comes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Answer = httpx.Response


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def hmac_hex(secret: str, payload: str) -> str:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


class SignedClient:
    """One API key against one exchange."""

    def __init__(self, url: str, key: str, secret: str | Ed25519PrivateKey) -> None:
        self._http = httpx.Client(base_url=url, timeout=10)
        self._key = key
        self._secret = secret

    def close(self) -> None:
        self._http.close()

    def public(self, path: str, **params: object) -> Answer:
        return self._http.get(path, params={name: str(value) for name, value in params.items()})

    def signature(self, payload: str) -> str:
        if isinstance(self._secret, str):
            return hmac_hex(self._secret, payload)
        return quote(base64.b64encode(self._secret.sign(payload.encode())).decode(), safe="")

    def signed(self, method: str, path: str, **params: object) -> Answer:
        """Everything in the query string."""
        query = urlencode({**params, "timestamp": params.pop("timestamp", now_ms())})
        return self.raw(method, f"{path}?{query}&signature={self.signature(query)}")

    def signed_body(self, method: str, path: str, **params: object) -> Answer:
        """Everything in a form body."""
        body = urlencode({**params, "timestamp": now_ms()})
        return self.raw(method, path, f"{body}&signature={self.signature(body)}")

    def raw(
        self,
        method: str,
        path: str,
        body: str = "",
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        headers = {"X-MBX-APIKEY": self._key if key is None else key, **(headers or {})}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self._http.request(method, path, content=body, headers=headers)

    # -- shortcuts -------------------------------------------------------------------------------------------------

    def order(self, **params: object) -> dict[str, Any]:
        """A spot order that is expected to be taken."""
        answer = self.signed("POST", "/api/v3/order", **params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def future(self, **params: object) -> dict[str, Any]:
        """A USD-M order that is expected to be taken."""
        answer = self.signed("POST", "/fapi/v1/order", **params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def last_price(self, symbol: str, path: str = "/api/v3/ticker/price") -> Decimal:
        return Decimal(self.public(path, symbol=symbol).json()["price"])


def refused(answer: Answer, status: int, code: int, message: str | None = None) -> None:
    """Assert a refusal by HTTP status, code and, where given, exact message."""
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    if message is not None:
        assert body["msg"] == message


def mandatory(name: str) -> str:
    """Binance's words for a parameter that is missing."""
    return f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def illegal(name: str, legal: str) -> str:
    """Binance's words for a parameter of a wrong form."""
    return f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
