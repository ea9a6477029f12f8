"""The OpenAPI page, completed: how each route refuses, and that nothing else is in an answer than it says."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from fastapi import FastAPI

from governance.ops_api.codes import ANY, STATUS
from governance.ops_api.problems import MEDIA_TYPE, Problem

_PLACE: Final = "#/components/schemas/"
_RETRY_AFTER: Final = {
    "required": True,
    "description": "Seconds after which to ask again.",
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}


def refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return what FastAPI joins to a route: the refusals that it can give, those of any route included."""
    ordered = sorted({*codes, *ANY}, key=lambda code: (STATUS[code], code))
    return {status: _refusal(status, list(group)) for status, group in groupby(ordered, STATUS.__getitem__)}


def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
    refusal: dict[str, Any] = {
        "description": f"Refused: {', '.join(f'`{code}`' for code in codes)}.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_PLACE}{Problem.__name__}"}}},
    }
    return {**refusal, "headers": {"Retry-After": _RETRY_AFTER}} if status == 503 else refusal


def complete(app: FastAPI) -> None:
    """Make ``app.openapi`` tell the whole."""
    plain = app.openapi

    def whole() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(plain())
        return app.openapi_schema

    app.openapi = whole  # type: ignore[method-assign]  # FastAPI's documented way to extend the page


def _completed(page: dict[str, Any]) -> dict[str, Any]:
    problem = Problem.model_json_schema(ref_template=_PLACE + "{model}")
    schemas: dict[str, Any] = page["components"]["schemas"]
    schemas |= problem.pop("$defs")
    schemas[Problem.__name__] = problem
    for schema in schemas.values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    for operations in page["paths"].values():
        for operation in operations.values():
            # FastAPI's own words about a validation that is answered with a problem document here.
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    return page
