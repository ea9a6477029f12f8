"""Bodies of order requests, read into what the engine's use cases take. Shape only: rails and instrument come later.

``order_schemas`` describes the same bodies to callers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from msgspec.structs import replace

from engine_service.api.fields import Fields, read_symbol, wrong
from engine_service.api.schema_parts import CLIENT_ID_PATTERN, NAME_PATTERN, VENUE_PATTERN
from engine_service.domain.bracket import DEFAULT_STOP_LOSS_BPS, DEFAULT_TAKE_PROFIT_BPS, BracketPlan
from engine_service.domain.ids import Market, venue_of
from engine_service.domain.money import BPS
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType, TimeInForce

_NAME = re.compile(NAME_PATTERN)
_CLIENT_ID = re.compile(CLIENT_ID_PATTERN)
#: Of an order that names none of it: whether it only reduces, its strategy, its tag, its own id.
_COMMON: Final = (False, "manual", "", "")
_VENUE = re.compile(VENUE_PATTERN)


class StopKind(StrEnum):
    """What a conditional order is for: ``stop`` fires as the price gets worse, ``take_profit`` as it gets better."""

    STOP = "stop"
    TAKE_PROFIT = "take_profit"


class CheckedType(StrEnum):
    """What ``POST /orders/check`` can be asked about: the bodies of the four routes that place orders."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    BRACKET = "bracket"


@dataclass(frozen=True, slots=True)
class Home:
    """What an order means that does not say so: the market and the venue that this engine trades."""

    market: Market
    venue: str


def market_order(body: dict[str, Any], home: Home) -> OrderRequest:
    """Read the body of ``POST /orders/market``.

    Raises:
        InvalidRequest: by field.
    """
    fields = _of_shape(body, _MARKET_FIELDS)
    fields.forbid(("price",), "PRICE_NOT_ALLOWED", "A market order has no price.")
    quantity = fields.take_decimal("quantity", not_positive="QUANTITY_NOT_POSITIVE")
    quote = fields.take_decimal("quote", not_positive="QUANTITY_NOT_POSITIVE")
    if quantity is None and quote is None:
        raise wrong("quantity", "QUANTITY_OR_QUOTE_REQUIRED", "Give quantity or quote.")
    if quantity is not None and quote is not None:
        raise wrong("quote", "QUANTITY_AND_QUOTE", "Give quantity or quote, not both.")
    return _request(fields, OrderType.MARKET, home, quantity=quantity, quote=quote)


def limit_order(body: dict[str, Any], home: Home) -> OrderRequest:
    """Read the body of ``POST /orders/limit``.

    Raises:
        InvalidRequest: by field.
    """
    fields = _of_shape(body, _LIMIT_FIELDS)
    fields.forbid(("quote",), "QUANTITY_OR_QUOTE_REQUIRED", "A limit order is sized by quantity.")
    quantity = fields.take_decimal("quantity", not_positive="QUANTITY_NOT_POSITIVE")
    if quantity is None:
        raise wrong("quantity", "QUANTITY_OR_QUOTE_REQUIRED", "Give a quantity.")
    price = fields.take_decimal("price", not_positive="PRICE_NOT_POSITIVE")
    if price is None:
        raise wrong("price", "PRICE_REQUIRED", "A limit order needs a price.")
    time_in_force = fields.take_choice("time_in_force", TimeInForce, "TIF_INVALID", default=TimeInForce.GTC)
    post_only = fields.take_flag("post_only", default=False) if fields.has("post_only") else False
    if post_only and time_in_force is not TimeInForce.GTC:
        raise wrong("post_only", "TIF_INVALID", "A post-only order is GTC.")
    return _request(
        fields,
        OrderType.LIMIT,
        home,
        quantity=quantity,
        limit_price=price,
        time_in_force=time_in_force,
        post_only=post_only,
    )


def stop_order(body: dict[str, Any], home: Home) -> OrderRequest:
    """Read the body of ``POST /orders/stop``: with ``price`` a limit order once triggered, without one a market order.

    Raises:
        InvalidRequest: by field.
    """
    fields = _of_shape(body, _STOP_FIELDS)
    fields.forbid(("quote",), "QUANTITY_OR_QUOTE_REQUIRED", "A conditional order is sized by quantity.")
    fields.forbid(("post_only",), "TIF_INVALID", "A conditional order cannot be post-only: it takes when it triggers.")
    quantity = fields.take_decimal("quantity", not_positive="QUANTITY_NOT_POSITIVE")
    if quantity is None:
        raise wrong("quantity", "QUANTITY_OR_QUOTE_REQUIRED", "Give a quantity.")
    stop_price = fields.take_decimal("stop_price", not_positive="PRICE_NOT_POSITIVE")
    if stop_price is None:
        raise wrong("stop_price", "STOP_PRICE_REQUIRED", "A conditional order needs a stop price.")
    price = fields.take_decimal("price", not_positive="PRICE_NOT_POSITIVE")
    kind = fields.take_choice("kind", StopKind, "KIND_INVALID", default=StopKind.STOP)
    if price is None and fields.has("time_in_force"):
        raise wrong("time_in_force", "TIF_INVALID", "Only a conditional order with a price has a time in force.")
    time_in_force = fields.take_choice("time_in_force", TimeInForce, "TIF_INVALID", default=TimeInForce.GTC)
    return _request(
        fields,
        _CONDITIONAL[kind, price is not None],
        home,
        quantity=quantity,
        limit_price=price,
        stop_price=stop_price,
        time_in_force=time_in_force,
    )


def bracket_order(body: dict[str, Any], home: Home) -> OrderRequest:
    """Read the body of ``POST /orders/bracket``: a market or limit entry and what protects it once it has filled.

    Raises:
        InvalidRequest: by field.
    """
    fields = _of_shape(body, _LIMIT_FIELDS | _BRACKET_FIELDS)
    plan = BracketPlan(
        take_profit=fields.take_decimal("take_profit_price", not_positive="PRICE_NOT_POSITIVE"),
        stop_loss=fields.take_decimal("stop_loss_price", not_positive="PRICE_NOT_POSITIVE"),
        take_profit_bps=_distance(fields, "take_profit", DEFAULT_TAKE_PROFIT_BPS, body),
        stop_loss_bps=_distance(fields, "stop_loss", DEFAULT_STOP_LOSS_BPS, body),
    )
    rest = {name: value for name, value in body.items() if name not in _BRACKET_FIELDS}
    entry = (limit_order if rest.get("price") is not None else market_order)(rest, home)
    if entry.reduce_only:
        raise wrong("reduce_only", "BRACKET_INVALID", "An entry that only reduces opens nothing to protect.")
    if entry.market is Market.SPOT and entry.side is OrderSide.SELL:
        raise wrong("side", "BRACKET_INVALID", "On spot a bracket protects what was bought.")
    if entry.limit_price is not None and not plan.levels(entry.limit_price, entry.side).enclose(
        entry.limit_price, entry.side
    ):
        raise wrong("price", "BRACKET_PRICES", "The entry must lie between its stop-loss and its take-profit.")
    return replace(entry, bracket=plan)


def _distance(fields: Fields, name: str, default: Decimal, body: dict[str, Any]) -> Decimal:
    value = fields.take_decimal(f"{name}_bps", not_positive="FIELD_RANGE")
    if value is not None and body.get(f"{name}_price") is not None:
        raise wrong(f"{name}_bps", "BRACKET_INVALID", "Give a price or a distance, not both.")
    if value is not None and value >= BPS:
        raise wrong(f"{name}_bps", "FIELD_RANGE", "A distance is below 10,000 basis points.")
    return default if value is None else value


def checked_order(body: dict[str, Any], home: Home) -> OrderRequest:
    """Read the body of ``POST /orders/check``: a ``type``, and the fields of that type's own route.

    Raises:
        InvalidRequest: by field.
    """
    fields = Fields(body)
    kind = fields.take_choice("type", CheckedType, "TYPE_INVALID")
    rest = {name: value for name, value in body.items() if name != "type"}
    return _READERS[kind](rest, home)


def amendment(body: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    """Read the body of ``PATCH /orders/{id}``: (price, quantity), at least one.

    Raises:
        InvalidRequest: by field.
    """
    fields = Fields(body)
    price = fields.take_decimal("price", not_positive="PRICE_NOT_POSITIVE")
    quantity = fields.take_decimal("quantity", not_positive="QUANTITY_NOT_POSITIVE")
    fields.finish()
    if price is None and quantity is None:
        raise wrong("price", "FIELD_MISSING", "Give a price, a quantity or both.")
    return price, quantity


def _request(
    fields: Fields,
    kind: OrderType,
    home: Home,
    *,
    quantity: Decimal | None,
    quote: Decimal | None = None,
    limit_price: Decimal | None = None,
    stop_price: Decimal | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    post_only: bool = False,
) -> OrderRequest:
    symbol = _symbol(fields, home)
    side = fields.take_choice("side", OrderSide, "SIDE_INVALID")
    market = fields.take_choice("market", Market, "MARKET_INVALID", default=home.market)
    reduce_only, strategy, tag, client_order_id = _COMMON if fields.is_empty else _rarer(fields)
    request = OrderRequest(
        symbol=symbol,
        market=market,
        side=side,
        type=kind,
        quantity=quantity,
        quote_quantity=quote,
        limit_price=limit_price,
        stop_price=stop_price,
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=reduce_only,
        strategy=strategy,
        tag=tag,
        client_order_id=client_order_id,
    )
    fields.finish()
    return request


def _rarer(fields: Fields) -> tuple[bool, str, str, str]:
    """Read what every order may have and few have: whether it only reduces, its strategy, tag and own id."""
    reduce_only, strategy, tag, client_order_id = _COMMON
    if fields.has("reduce_only"):
        reduce_only = fields.take_flag("reduce_only")
    if fields.has("strategy"):
        strategy = fields.take_text("strategy", pattern=_NAME)
    if fields.has("tag"):
        tag = fields.take_text("tag", pattern=_NAME)
    if fields.has("client_order_id"):
        client_order_id = fields.take_text("client_order_id", pattern=_CLIENT_ID)
    return reduce_only, strategy, tag, client_order_id


def _of_shape(body: dict[str, Any], known: frozenset[str]) -> Fields:
    fields = Fields(body)
    fields.expect(known, ("symbol", "side"))
    return fields


def _symbol(fields: Fields, home: Home) -> str:
    """Return the instrument: its venue is the one it names, else the ``venue`` field's, else this engine's own."""
    text = fields.take_text("symbol")
    venue = fields.take_text("venue") if fields.has("venue") else ""
    if venue and not _VENUE.fullmatch(venue):
        raise wrong("venue", "VENUE_UNKNOWN", "There is no such venue.")
    if "." not in text:
        return read_symbol("symbol", f"{text}.{venue or home.venue}")
    symbol = read_symbol("symbol", text)
    if venue and venue != venue_of(symbol):
        raise wrong("venue", "VENUE_MISMATCH", "The symbol names another venue.")
    return symbol


_CONDITIONAL = {
    (StopKind.STOP, False): OrderType.STOP_MARKET,
    (StopKind.STOP, True): OrderType.STOP_LIMIT,
    (StopKind.TAKE_PROFIT, False): OrderType.TAKE_PROFIT_MARKET,
    (StopKind.TAKE_PROFIT, True): OrderType.TAKE_PROFIT_LIMIT,
}
_COMMON_FIELDS = frozenset(
    {"symbol", "side", "quantity", "quote", "price", "venue", "market", "reduce_only", "strategy", "tag"}
    | {"client_order_id"}
)
_MARKET_FIELDS = _COMMON_FIELDS
_LIMIT_FIELDS = _COMMON_FIELDS | {"time_in_force", "post_only"}
_STOP_FIELDS = _LIMIT_FIELDS | {"stop_price", "kind"}
_BRACKET_FIELDS = frozenset({"take_profit_price", "stop_loss_price", "take_profit_bps", "stop_loss_bps"})
_READERS = {
    CheckedType.MARKET: market_order,
    CheckedType.LIMIT: limit_order,
    CheckedType.STOP: stop_order,
    CheckedType.BRACKET: bracket_order,
}
