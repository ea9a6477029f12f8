"""One request that no honest caller sends, and what it is to be answered.

A case without a code may be answered by the HTTP parser itself, in plain text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ORDER: Final = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}
LIMIT: Final = {**ORDER, "price": "60000"}
MARKET_PATH, LIMIT_PATH = "/orders/market", "/orders/limit"
#: The caller who may do everything: what is refused is refused for what it is.
OWNER: Final = "admin"
#: An answer is never longer than this, whatever was sent.
LONGEST_ANSWER = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request. ``statuses`` are the right answers; ``b""`` as status means closed without one."""

    name: str
    statuses: tuple[int, ...]
    code: str = ""
    method: str = "POST"
    path: str = MARKET_PATH
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    raw: bytes = b""
    token: str = OWNER


def bodied(name: str, body: bytes | Mapping[str, Any], status: int, code: str, path: str = MARKET_PATH) -> Case:
    """Return an order request with this body and nothing of it filled in."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Case(name=name, statuses=(status,), code=code, body=content, path=path)


def order(name: str, changes: Mapping[str, Any], status: int, code: str, path: str = MARKET_PATH) -> Case:
    """Return a good order with some of its fields changed."""
    base = LIMIT if path == LIMIT_PATH else ORDER
    return bodied(name, {**base, **changes}, status, code, path)


def headed(name: str, headers: Mapping[str, str], status: int, code: str, *without: str) -> Case:
    """Return a good order with other headers; those named in ``without`` are left out."""
    body = json.dumps(ORDER).encode()
    return Case(name=name, statuses=(status,), code=code, headers=headers, body=body, without=frozenset(without))


def get(path: str, status: int, code: str = "") -> Case:
    """Return a read."""
    return Case(name=f"GET {path[:60]}", statuses=(status,), code=code, method="GET", path=path)


def wire(name: str, raw: bytes, *statuses: int) -> Case:
    """Return a request as bytes, which no client would form."""
    return Case(name=name, statuses=statuses, raw=raw)


def admin(
    name: str, method: str, path: str, body: object, status: int, code: str, token: str = OWNER, **headers: str
) -> Case:
    """Return a request of the routes that steer the engine; ``_`` in a header's name stands for ``-``."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {header.replace("_", "-"): value for header, value in headers.items()}
    return Case(
        name=name,
        statuses=(status,),
        code=code,
        method=method,
        path=path,
        body=content,
        token=token,
        headers=named,
    )
