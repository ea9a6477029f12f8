"""Pieces of JSON schema that the descriptions of bodies, queries and paths share, and the patterns that readers use."""

from __future__ import annotations

from typing import Any, Final

NAME_PATTERN: Final = r"^[A-Za-z0-9_.:-]{1,40}$"
CLIENT_ID_PATTERN: Final = r"^[A-Za-z0-9_-]{8,36}$"
#: Names to filter by may be those that other programs gave.
FILTER_PATTERN: Final = r"^[A-Za-z0-9._:/-]{1,64}$"
VENUE_PATTERN: Final = r"^[A-Z]{2,16}$"
KEY_PATTERN: Final = "^[A-Za-z0-9._:-]{8,128}$"
MAX_REASON: Final = 200

Schema = dict[str, Any]

FLAG: Final[Schema] = {"type": "boolean"}
SYMBOL: Final[Schema] = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_-]{2,32}\.[A-Za-z]{2,16}$",
    "example": "BTCUSDT.BINANCE",
}
FILTER: Final[Schema] = {"type": "string", "pattern": FILTER_PATTERN}
NAME: Final[Schema] = {"type": "string", "pattern": NAME_PATTERN}
CLIENT_ID: Final[Schema] = {"type": "string", "pattern": CLIENT_ID_PATTERN}
REASON: Final[Schema] = {
    "type": "string",
    "maxLength": MAX_REASON,
    "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$",
    "description": "Visible characters.",
}
#: Money: digits with at most one point, never a sign or an exponent.
MONEY: Final[Schema] = {
    "type": "string",
    "pattern": r"^[0-9]{1,18}(\.[0-9]{1,18})?$",
    "description": "Decimal text.",
}
#: The same above zero.
AMOUNT: Final[Schema] = {**MONEY, "pattern": r"^(?=.*[1-9])[0-9]{1,18}(\.[0-9]{1,18})?$"}


def component(name: str) -> Schema:
    """Return the reference to a schema among the page's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_body(schema: Schema, examples: dict[str, Schema] | None = None, *, required: bool = True) -> Schema:
    """Return what FastAPI joins to a route's description: a JSON body of this schema."""
    content: Schema = {"schema": schema}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"requestBody": {"required": required, "content": {"application/json": content}}}


def strict_object(properties: Schema, required: tuple[str, ...] = (), **more: Any) -> Schema:
    """Return an object that takes no other fields than these."""
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": properties, **more}
    return {**schema, "required": list(required)} if required else schema
