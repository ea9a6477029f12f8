"""The words of an order's life."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class OrderSide(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> OrderSide:
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY

    @property
    def sign(self) -> int:
        return 1 if self is OrderSide.BUY else -1


#: As the markets in ``ids``: asked for too often to be looked up on its class.
BUY: Final = OrderSide.BUY


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_MARKET = "STOP_MARKET"
    STOP_LIMIT = "STOP_LIMIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(StrEnum):
    """Where an order stands. ``IN_DOUBT`` is a state of its own: the venue may or may not have it."""

    INITIALIZED = "INITIALIZED"
    SUBMITTED = "SUBMITTED"
    PENDING_ACK = "PENDING_ACK"
    ACCEPTED = "ACCEPTED"
    TRIGGERED = "TRIGGERED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_UPDATE = "PENDING_UPDATE"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"
    IN_DOUBT = "IN_DOUBT"
    NOT_PLACED = "NOT_PLACED"
    RESURRECTED = "RESURRECTED"
    QUARANTINED = "QUARANTINED"

    @property
    def is_terminal(self) -> bool:
        """True where nothing more is expected; a late fill still counts."""
        return self in TERMINAL


#: As ``BUY``.
MARKET_ORDER: Final = OrderType.MARKET
SUBMITTED: Final = OrderStatus.SUBMITTED
ACCEPTED: Final = OrderStatus.ACCEPTED
FILLED: Final = OrderStatus.FILLED
IN_DOUBT: Final = OrderStatus.IN_DOUBT

TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.REJECTED,
        OrderStatus.DENIED,
        OrderStatus.EXPIRED,
        OrderStatus.NOT_PLACED,
    }
)


class Doubt(StrEnum):
    """What about an order is in doubt."""

    SUBMIT = "SUBMIT"
    CANCEL = "CANCEL"
    REPLACE = "REPLACE"
