"""Strict reading of Binance payloads: scalars, enumerations, errors and the parts both markets share. Pure.

The venue is treated as hostile: a price that is not a plain decimal, a missing id or a time out of range is a
``ParseError`` for that payload alone. An enumeration value this code does not know puts the order it belongs to
into quarantine and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from engine_service.domain.ids import Market, instrument_id
from engine_service.domain.money import ZERO
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.venues.binance.outcomes import Failure, Meaning, failure_of

VENUE = "BINANCE"
Payload = Mapping[str, Any]

_DECIMAL = re.compile(r"-?[0-9]{1,24}(?:\.[0-9]{1,24})?")
_FIRST_MS = 1_262_304_000_000  # 2010-01-01
_LAST_MS = 4_102_444_800_000  # 2100-01-01
_MAX_TEXT = 200


class ParseError(ValueError):
    """A payload does not have the shape the venue documents."""


STATUSES: dict[str, OrderStatus] = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,
    "NEW_INSURANCE": OrderStatus.ACCEPTED,
    "NEW_ADL": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "PENDING_CANCEL": OrderStatus.PENDING_CANCEL,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}
SPOT_TYPES: dict[str, OrderType] = {
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_MARKET,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT_LIMIT,
}
FUTURES_TYPES: dict[str, OrderType] = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "LIQUIDATION": OrderType.MARKET,
    "STOP": OrderType.STOP_LIMIT,
    "STOP_MARKET": OrderType.STOP_MARKET,
    "TRAILING_STOP_MARKET": OrderType.STOP_MARKET,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_LIMIT,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT_MARKET,
}
_SIDES: dict[str, OrderSide] = {"BUY": OrderSide.BUY, "SELL": OrderSide.SELL}
CONDITIONAL = frozenset(
    {
        OrderType.STOP_MARKET,
        OrderType.STOP_LIMIT,
        OrderType.TAKE_PROFIT_MARKET,
        OrderType.TAKE_PROFIT_LIMIT,
    }
)


# --- scalars ----------------------------------------------------------------------------------------------------


def decimal(payload: Payload, name: str) -> Decimal:
    """Return a decimal written as a plain string (or a whole number).

    Raises:
        ParseError: missing, a float, not finite, an exponent, too long.
    """
    value = payload.get(name)
    if isinstance(value, str):
        found = _plain_decimal(value)
        if found is not None:
            return found
    elif isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise ParseError(f"{name} is not a decimal")


@lru_cache(maxsize=8192)
def _plain_decimal(written: str) -> Decimal | None:
    # An order's sizes and prices are told again and again: in its answer, in each report, in the balances.
    return Decimal(written) if _DECIMAL.fullmatch(written) else None


def positive(payload: Payload, name: str) -> Decimal:
    """Return the price or size of a trade.

    Raises:
        ParseError: not a decimal, or not above zero.
    """
    value = decimal(payload, name)
    if value <= ZERO:
        raise ParseError(f"{name} is not positive")
    return value


def named(payload: Payload, client_order_id: str, name: str = "clientOrderId") -> Payload:
    """Return the answer to a request about an order, which it may name.

    Raises:
        ParseError: it is about another order.
    """
    if payload.get(name, client_order_id) != client_order_id:
        raise ParseError("the answer is about another order")
    return payload


def own_name(payload: Payload, name: str, number: str) -> str:
    """Return an order's client id; all that the venue places to deleverage have the same one, so it gets their number.

    Raises:
        ParseError: one of both is missing.
    """
    found = text(payload, name)
    return f"{found}-{identity(payload, number)}" if found == "adl_autoclose" else found


def decimal_or(payload: Payload, name: str, default: Decimal = ZERO) -> Decimal:
    """Return a decimal, or ``default`` where the field is absent or empty."""
    value = payload.get(name)
    return default if value is None or value == "" else decimal(payload, name)


def price_or_none(payload: Payload, name: str) -> Decimal | None:
    """Return a price, or ``None`` where the venue writes zero or nothing."""
    return decimal_or(payload, name) or None


def text(payload: Payload, name: str) -> str:
    """Return a string.

    Raises:
        ParseError: missing or not a short string.
    """
    value = payload.get(name)
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ParseError(f"{name} is not a short text")
    return value


def asset(payload: Payload, name: str) -> str:
    """Return the name of an asset; nothing where there is none that could be one."""
    value = payload.get(name)
    return value if isinstance(value, str) and len(value) <= 32 else ""


def identity(payload: Payload, name: str) -> str:
    """Return a numeric id as text.

    Raises:
        ParseError: missing, negative or not a number.
    """
    value = payload.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 24:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    raise ParseError(f"{name} is not an id")


def at_ms(payload: Payload, *names: str) -> int:
    """Return the first usable time in epoch milliseconds; microseconds are scaled, nonsense is 0 (unknown)."""
    for name in names:
        value = payload.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        scaled = value // 1000 if value > _LAST_MS else value
        if _FIRST_MS <= scaled <= _LAST_MS:
            return scaled
    return 0


def side(payload: Payload, name: str) -> OrderSide:
    """Return the side.

    Raises:
        ParseError: neither BUY nor SELL.
    """
    value = payload.get(name)
    found = _SIDES.get(value) if isinstance(value, str) else None
    if found is None:
        raise ParseError(f"{name} is neither BUY nor SELL")
    return found


def symbol_key(payload: Payload, name: str = "symbol") -> str:
    """Return the internal key of the payload's symbol.

    Raises:
        ParseError: not a symbol this code can name.
    """
    found = _symbol_of(text(payload, name))
    if found is None:
        raise ParseError(f"{name} is not a symbol")
    return found


@lru_cache(maxsize=8192)
def _symbol_of(written: str) -> str | None:
    try:
        return instrument_id(f"{written}.{VENUE}")
    except ValueError:
        return None


def status_and_type(
    status: object, kind: object, types: Mapping[str, OrderType], *, working: bool
) -> tuple[OrderStatus, OrderType, str]:
    """Return status, type and, where either is unknown to this code, the reason for a quarantine.

    ``working`` tells that a conditional order has been triggered and rests on the book.
    """
    known_status = STATUSES.get(status) if isinstance(status, str) else None
    known_type = types.get(kind) if isinstance(kind, str) else None
    if known_status is None:
        return OrderStatus.QUARANTINED, known_type or OrderType.MARKET, "unknown venue status"
    if known_type is None:
        return OrderStatus.QUARANTINED, OrderType.MARKET, "unknown venue order type"
    if known_status is OrderStatus.ACCEPTED and known_type in CONDITIONAL and working:
        return OrderStatus.TRIGGERED, known_type, ""
    return known_status, known_type, ""


# --- whole bodies -----------------------------------------------------------------------------------------------


def body_of(raw: bytes) -> Any:
    """Decode JSON.

    Raises:
        ParseError: not JSON (an HTML page of a proxy, a truncated answer).
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ParseError("the answer is not JSON") from error


def mapping(value: object) -> Payload:
    """Return a JSON object.

    Raises:
        ParseError: anything else.
    """
    if not isinstance(value, dict):
        raise ParseError("an object was expected")
    return value


def rows(value: object) -> Sequence[Payload]:
    """Return a JSON list of objects.

    Raises:
        ParseError: anything else.
    """
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ParseError("a list of objects was expected")
    return value


def error_fields(value: object) -> tuple[int, str]:
    """Return the code and text of an error body; zero and nothing where it is not one."""
    if not isinstance(value, dict):
        return 0, ""
    code, message = value.get("code"), value.get("msg")
    whole = code if isinstance(code, int) and not isinstance(code, bool) else 0
    return whole, message[:_MAX_TEXT] if isinstance(message, str) else ""


def read_answer(status: int, raw: bytes, market: Market, retry_after_s: float = 0.0) -> Any | Failure:
    """Return the decoded body of a good answer, or what the bad one means.

    A 2xx whose body cannot be read, or holds an error, proves nothing: unknown.
    """
    try:
        body = body_of(raw)
    except ParseError as error:
        if 200 <= status < 300:
            return Failure(Meaning.UNKNOWN, "VENUE_ANSWER_UNREADABLE", str(error))
        return failure_of(status, 0, "", market, retry_after_s)
    code, message = error_fields(body)
    if 200 <= status < 300:
        if code < 0:
            return Failure(Meaning.UNKNOWN, "VENUE_UNKNOWN", f"{code} {message} with HTTP {status}", code)
        return body
    failure = failure_of(status, code, message, market, retry_after_s)
    data = body.get("data") if isinstance(body, dict) else None
    return failure if data is None else failure.with_data(data)
