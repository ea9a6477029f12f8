"""Spot orders that the tests place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.integration.exchange_rest.signed_client import SignedClient


def far_below(client: SignedClient, symbol: str = "BTCUSDT") -> str:
    """A price that rests and does not trade."""
    return str((client.last_price(symbol) * Decimal("0.8")).quantize(Decimal("0.01")))


def limit_buy(client: SignedClient, **params: object) -> dict[str, Any]:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001"}
    return client.order(**{**order, "price": far_below(client), **params})


def market(**params: object) -> dict[str, object]:
    return {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001", **params}
