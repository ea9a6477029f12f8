"""The exchange's fixed words, as they are on the wire."""

from __future__ import annotations

from enum import StrEnum


class Word(StrEnum):
    """A fixed word. It is hashed as the text that it is: enumerations hash by a call of Python, tables ask often."""

    __hash__ = str.__hash__


class Market(Word):
    """Which of the two order books and wallets."""

    SPOT = "spot"
    FUTURES = "futures"


class Side(Word):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class OrderType(Word):
    """Types of both markets; `specs` say which are listed where."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"  # spot: market order when triggered; USD-M: limit order when triggered
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    STOP = "STOP"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"
    LIQUIDATION = "LIQUIDATION"


class TimeInForce(Word):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"  # USD-M post-only
    GTD = "GTD"


class OrderStatus(Word):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"

    @property
    def is_open(self) -> bool:
        return self is OrderStatus.NEW or self is OrderStatus.PARTIALLY_FILLED


class AlgoStatus(Word):
    """Life of a conditional USD-M order before it becomes an order."""

    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


class SelfTradePrevention(Word):
    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


class PositionSide(Word):
    BOTH = "BOTH"
    LONG = "LONG"
    SHORT = "SHORT"


class MarginType(Word):
    CROSSED = "CROSSED"
    ISOLATED = "ISOLATED"


class WorkingType(Word):
    CONTRACT_PRICE = "CONTRACT_PRICE"
    MARK_PRICE = "MARK_PRICE"


class Permission(Word):
    READ = "READ"
    SPOT = "SPOT"
    FUTURES = "FUTURES"


class KeyKind(Word):
    HMAC = "HMAC"
    ED25519 = "ED25519"
