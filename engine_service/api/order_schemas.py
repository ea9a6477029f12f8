"""The bodies of order requests as JSON schema, for callers and their tools; ``order_bodies`` reads them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from engine_service.api.schema_parts import (
    AMOUNT,
    CLIENT_ID,
    FLAG,
    KEY_PATTERN,
    NAME,
    SYMBOL,
    VENUE_PATTERN,
    Schema,
    component,
    json_body,
    strict_object,
)
from engine_service.domain.bracket import DEFAULT_STOP_LOSS_BPS, DEFAULT_TAKE_PROFIT_BPS

_COMMON: Final[Schema] = {
    "symbol": {
        **SYMBOL,
        "pattern": r"^[A-Za-z0-9_-]{2,32}(\.[A-Za-z]{2,16})?$",
        "description": "Without a venue of its own: the one of the field venue, else this engine's.",
    },
    "side": {"type": "string", "enum": ["BUY", "SELL"]},
    "quantity": {**AMOUNT, "description": "Base units; exactly one of quantity and quote."},
    "venue": {"type": "string", "pattern": VENUE_PATTERN},
    "market": {"type": "string", "enum": ["spot", "futures"]},
    "strategy": NAME,
    "tag": NAME,
    "reduce_only": FLAG,
    "client_order_id": CLIENT_ID,
    "timestamp": {
        "type": "integer",
        "minimum": 0,
        "description": "When the request was made, epoch ms; refused when older than 5 s or ahead by more than 1 s.",
    },
}
_SIZES: Final[Schema] = {"quote": {**AMOUNT, "description": "Amount in the quote asset."}}
#: What is not said by ``oneOf``: generators of clients make a type of each branch, and these are no types.
_ONE_SIZE: Final[Schema] = {
    "if": {"required": ["quantity"]},
    "then": {"not": {"required": ["quote"]}},
    "else": {"required": ["quote"]},
}
_TIME_IN_FORCE: Final[Schema] = {"type": "string", "enum": ["GTC", "IOC", "FOK"]}
_RESTS: Final[Schema] = {"price": AMOUNT, "time_in_force": _TIME_IN_FORCE, "post_only": FLAG}
#: A post-only order waits in the book, so that it cannot be of a kind that does not wait.
_TAKES_OR_WAITS: Final[Schema] = {
    "not": {
        "required": ["post_only", "time_in_force"],
        "properties": {"post_only": {"const": True}, "time_in_force": {"enum": ["IOC", "FOK"]}},
    }
}
_TRIGGER: Final[Schema] = {
    "stop_price": {**AMOUNT, "description": "Price at which the order starts to work."},
    "kind": {"type": "string", "enum": ["stop", "take_profit"], "default": "stop"},
    "price": {**AMOUNT, "description": "Makes it a limit order once the stop price was reached; without one: market."},
    "time_in_force": _TIME_IN_FORCE,
}


def _distance(usual: Decimal) -> Schema:
    # No ``default``: a generated client would send it beside the price that it is to stand in for.
    return {
        "type": "string",
        "pattern": r"^(?=.*[1-9])[0-9]{1,4}(\.[0-9]{1,18})?$",
        "description": f"Distance from the average fill, basis points, instead of a price; {usual} without either.",
    }


_BUY: Final[Schema] = {"symbol": "BTCUSDT.BINANCE", "side": "BUY"}
_SELL: Final[Schema] = {"symbol": "BTCUSDT.BINANCE", "side": "SELL"}
_MARKET: Final[Schema] = {**_BUY, "quote": "100"}
_LIMIT: Final[Schema] = {**_BUY, "quantity": "0.001", "price": "59000.5", "time_in_force": "GTC", "post_only": True}
_STOP: Final[Schema] = {**_SELL, "quantity": "0.001", "stop_price": "58000"}
_TAKE_PROFIT_LIMIT: Final[Schema] = {
    **_SELL,
    "quantity": "0.001",
    "kind": "take_profit",
    "stop_price": "62000",
    "price": "61990",
}


_LEVELS: Final[Schema] = {
    "take_profit_price": AMOUNT,
    "stop_loss_price": AMOUNT,
    "take_profit_bps": _distance(DEFAULT_TAKE_PROFIT_BPS),
    "stop_loss_bps": _distance(DEFAULT_STOP_LOSS_BPS),
}
_PRICE_OR_DISTANCE: Final[Schema] = {
    "dependentSchemas": {
        "take_profit_price": {"not": {"required": ["take_profit_bps"]}},
        "stop_loss_price": {"not": {"required": ["stop_loss_bps"]}},
    }
}
#: With a price the entry is a limit order, without one a market order.
_EITHER_ENTRY: Final[Schema] = {
    "if": {"required": ["price"]},
    "then": {"required": ["quantity"], "properties": {"quote": False}, **_TAKES_OR_WAITS},
    "else": {"properties": {"time_in_force": False, "post_only": False}, **_ONE_SIZE},
}


def _market(extra: Schema, *required: str) -> Schema:
    return strict_object({**_COMMON, **_SIZES, **extra}, ("symbol", "side", *required), **_ONE_SIZE)


def _limit(extra: Schema, *required: str) -> Schema:
    needed = ("symbol", "side", "quantity", "price", *required)
    return strict_object({**_COMMON, **_RESTS, **extra}, needed, **_TAKES_OR_WAITS)


def _stop(extra: Schema, *required: str) -> Schema:
    needed = ("symbol", "side", "quantity", "stop_price", *required)
    return strict_object({**_COMMON, **_TRIGGER, **extra}, needed, dependentRequired={"time_in_force": ["price"]})


def _bracket(extra: Schema, *required: str) -> Schema:
    fields = {**_COMMON, **_SIZES, **_RESTS, **_LEVELS, **extra}
    return strict_object(fields, ("symbol", "side", *required), **_PRICE_OR_DISTANCE, **_EITHER_ENTRY)


def _of_type(name: str) -> Schema:
    return {"type": {"type": "string", "const": name}}


#: The bodies by name, as they stand among the components of the page.
ORDER_BODIES: Final[dict[str, Schema]] = {
    "MarketOrder": _market({}),
    "LimitOrder": _limit({}),
    "StopOrder": _stop({}),
    "BracketOrder": {
        "description": "A market entry by quantity or quote, or with a price a limit entry, and its two levels.",
        **_bracket({}),
    },
    "MarketCheck": _market(_of_type("market"), "type"),
    "LimitCheck": _limit(_of_type("limit"), "type"),
    "StopCheck": _stop(_of_type("stop"), "type"),
    "BracketCheck": _bracket(_of_type("bracket"), "type"),
    "Amendment": strict_object(
        {
            "price": {**AMOUNT, "description": "New limit price."},
            "quantity": {**AMOUNT, "description": "New total quantity, what has filled included."},
        },
        minProperties=1,
    ),
}
_CHECKS: Final = {kind: component(f"{kind.capitalize()}Check") for kind in ("market", "limit", "stop", "bracket")}

MARKET_SCHEMA: Final = json_body(component("MarketOrder"), {"market": _MARKET})
LIMIT_SCHEMA: Final = json_body(component("LimitOrder"), {"limit": _LIMIT})
STOP_SCHEMA: Final = json_body(component("StopOrder"), {"stop": _STOP, "take_profit_limit": _TAKE_PROFIT_LIMIT})
BRACKET_SCHEMA: Final = json_body(
    component("BracketOrder"),
    {
        "market_entry": {**_BUY, "quantity": "0.001", "take_profit_bps": "40", "stop_loss_bps": "25"},
        "limit_entry": {
            **_BUY,
            "quantity": "0.001",
            "price": "59000",
            "take_profit_price": "61000",
            "stop_loss_price": "58500",
        },
    },
)
CHECK_SCHEMA: Final = json_body(
    {
        "description": "A type, and the fields of that type's own route.",
        "oneOf": list(_CHECKS.values()),
        "discriminator": {
            "propertyName": "type",
            "mapping": {kind: check["$ref"] for kind, check in _CHECKS.items()},
        },
    },
    {
        "market": {"type": "market", **_MARKET},
        "limit": {"type": "limit", **_LIMIT},
        "stop": {"type": "stop", **_STOP},
        "bracket": {"type": "bracket", **_MARKET},
    },
)
AMEND_SCHEMA: Final = json_body(
    component("Amendment"), {"cheaper": {"price": "58900"}, "smaller": {"quantity": "0.0005"}}
)
_KEY: Final[Schema] = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
    "description": (
        "Makes a repeated request answer like the first, a refusal by a rail too: what may pass later needs a new key. "
        "X-Idempotency-Key is an alias."
    ),
}
KEY_HEADER: Final[Schema] = {"parameters": [{**_KEY, "required": True}]}
OPTIONAL_KEY: Final[Schema] = {**_KEY, "required": False}
