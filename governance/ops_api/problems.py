"""Refusals of the ops API as RFC 9457 problem documents: a stable code, the cause, the way out; no input echoed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from engine_service.client.errors import EngineAnswered, EngineClientError
from governance.dagster_runs import DagsterRefused, DagsterUnreachable, RunUnknown
from governance.registry import ModelUnknown, ModelUntrusted, NoChampion
from strategies.regimes.model import ModelRefused

MEDIA_TYPE = "application/problem+json"


class OpsRefused(Exception):
    """A request that cannot be done as it is."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


#: What each error below means to a caller: status, code, what to do.
_MEANING: Mapping[type[Exception], tuple[int, str, str]] = {
    ModelUnknown: (404, "MODEL_UNKNOWN", "No such version is registered; GET /models lists them."),
    ModelUntrusted: (409, "MODEL_UNTRUSTED", "The stored files do not match their seal; restore them or train again."),
    ModelRefused: (409, "MODEL_INVALID", "The stored model is none that can be used; train it again."),
    NoChampion: (409, "NO_CHAMPION", "There is no champion, or none before this one."),
    RunUnknown: (404, "RUN_UNKNOWN", "Dagster knows no such run."),
    DagsterRefused: (502, "DAGSTER_REFUSED", "Dagster did not take the run; its web page says why."),
    DagsterUnreachable: (503, "DAGSTER_UNREACHABLE", "Dagster does not answer; start it: nhmm up."),
    EngineClientError: (503, "ENGINE_UNREACHABLE", "The engine does not answer; start it: nhmm up."),
}
_HTTP_CODES = {404: "ROUTE_UNKNOWN", 405: "METHOD_NOT_ALLOWED", 400: "REQUEST_INVALID"}


def problem(status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None) -> JSONResponse:
    """Return the answer to a refused request."""
    body: dict[str, Any] = {
        "type": f"urn:nhmm:problem:{code.lower()}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail,
        "errors": errors or [],
        "request_id": secrets.token_hex(8),
    }
    headers = {"Retry-After": "2"} if status == 503 else None
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def answer_with_problems(app: FastAPI) -> None:
    """Make every refusal of ``app`` a problem document."""
    app.add_exception_handler(OpsRefused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(EngineAnswered, _engine_answered)
    for kind in _MEANING:
        app.add_exception_handler(kind, _known)


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OpsRefused)  # noqa: S101  # registered for this type alone
    return problem(error.status, error.code, error.detail)


def _known(_request: Request, error: Exception) -> JSONResponse:
    kind = next(kind for kind in type(error).__mro__ if kind in _MEANING)
    return problem(*_MEANING[kind])


def _engine_answered(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EngineAnswered)  # noqa: S101  # as above
    return problem(502, "ENGINE_REFUSED", f"The engine refused: {error.code}.")


def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # as above
    code = _HTTP_CODES.get(error.status_code, "REQUEST_INVALID")
    return problem(error.status_code, code, "GET /docs lists the routes.")


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Name the fields and what is wrong with each, never their values: those may not even be text."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
    errors = [
        {"field": ".".join(str(part)[:40] for part in item["loc"][1:]), "code": str(item["type"]).upper()}
        for item in error.errors()[:20]
    ]
    return problem(422, "REQUEST_INVALID", "Some fields are missing, unknown or out of range.", errors)
