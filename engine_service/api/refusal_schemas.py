"""Refusals on the OpenAPI page: one problem document, and for each status the codes that it comes with."""

from __future__ import annotations

from typing import Any, Final

from engine_service.api.problems import MEDIA_TYPE, Problem
from engine_service.api.schema_parts import Schema
from engine_service.api.schemas import reference
from engine_service.contract.codes import CODES

_TEXT: Final[Schema] = {"type": "string"}
_SECONDS: Final[Schema] = {"type": "string", "pattern": "^[0-9]+$"}

#: Every header of an answer that says something to a caller.
HEADERS: Final[dict[str, Schema]] = {
    "X-Request-Id": {"schema": _TEXT, "description": "Names the request in the engine's log."},
    "Retry-After": {"schema": _SECONDS, "description": "Seconds after which to ask again."},
    "WWW-Authenticate": {"schema": _TEXT, "description": "How to say who calls."},
    "Location": {"schema": {"type": "string", "pattern": "^/orders/"}, "description": "Where the order is."},
    "Idempotency-Replayed": {
        "schema": {"type": "string", "enum": ["true"]},
        "description": "Stands where this was answered before, under the same key.",
    },
    "ETag": {
        "schema": {"type": "string", "pattern": '^"[0-9]+"$'},
        "description": "The version of the limits; `If-Match` guards a change against a race.",
    },
}
#: What always comes with a refusal of this status, and what may come with one.
_ALWAYS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_OF_ORDERS: Final = ("Location", "Idempotency-Replayed")


def header(name: str, *, always: bool) -> dict[str, Any]:
    """Return a header of an answer."""
    return {**HEADERS[name], "required": True} if always else dict(HEADERS[name])


def refusal(status: int) -> Schema:
    """Return the answer to whatever is refused with this status."""
    codes = sorted(code for code, spec in CODES.items() if spec.status == status)
    headers = {name: header(name, always=True) for name in ("X-Request-Id", *_ALWAYS.get(status, ()))}
    headers |= {name: header(name, always=False) for name in (*_OF_ORDERS, "Retry-After") if name not in headers}
    return {
        "description": f"Refused: {', '.join(f'`{code}`' for code in codes)}.",
        "headers": headers,
        "content": {MEDIA_TYPE: {"schema": reference(Problem)}},
    }


def name_of(status: int) -> str:
    """Return the name of that answer among the components."""
    return f"Refused{status}"
