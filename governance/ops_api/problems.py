"""Refusals of the ops API as RFC 9457 problem documents: a stable code, the cause, the way out; no input echoed."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from engine_service.client.errors import EngineAnswered, EngineClientError
from governance.dagster_runs import DagsterRefused, DagsterUnreachable, RunUnknown
from governance.ops_api.codes import STATUS
from governance.registry import ModelUnknown, ModelUntrusted, NoChampion
from strategies.regimes.model import ModelRefused

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)


class FieldProblem(BaseModel):
    """One field of the request, and the code of what is wrong with it."""

    field: str
    code: str


class Problem(BaseModel):
    """A problem document (RFC 9457): a stable code, the cause and the way out."""

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    code: str = Field(pattern="^[A-Z][A-Z0-9_]*$")
    detail: str
    errors: list[FieldProblem]
    request_id: str


class OpsRefused(Exception):
    """A request that cannot be done as it is."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


#: What each error below means to a caller: code, what to do.
_MEANING: Mapping[type[Exception], tuple[str, str]] = {
    ModelUnknown: ("MODEL_UNKNOWN", "No such version is registered; GET /models lists them."),
    ModelUntrusted: ("MODEL_UNTRUSTED", "The stored files do not match their seal; restore them or train again."),
    ModelRefused: ("MODEL_INVALID", "The stored model is none that can be used; train it again."),
    NoChampion: ("NO_CHAMPION", "There is no champion, or none before this one."),
    RunUnknown: ("RUN_UNKNOWN", "Dagster knows no such run."),
    DagsterRefused: ("DAGSTER_REFUSED", "Dagster did not take the run; its web page says why."),
    DagsterUnreachable: ("DAGSTER_UNREACHABLE", "Dagster does not answer; start it: nhmm up."),
    EngineClientError: ("ENGINE_UNREACHABLE", "The engine does not answer; start it: nhmm up."),
}
_HTTP_CODES = {404: "ROUTE_UNKNOWN", 405: "METHOD_NOT_ALLOWED"}


def problem(code: str, detail: str, errors: Sequence[FieldProblem] = (), request_id: str = "") -> JSONResponse:
    """Return the answer to a refused request."""
    status = STATUS[code]
    body = Problem(
        type=f"urn:nhmm:problem:{code.lower()}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        code=code,
        detail=detail,
        errors=list(errors),
        request_id=request_id or secrets.token_hex(8),
    )
    headers = {"Retry-After": "2"} if status == 503 else None
    return JSONResponse(body.model_dump(), status, headers, MEDIA_TYPE)


def answer_with_problems(app: FastAPI) -> None:
    """Make every refusal of ``app`` a problem document."""
    app.add_exception_handler(OpsRefused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(EngineAnswered, _engine_answered)
    app.add_exception_handler(Exception, _failed)
    for kind in _MEANING:
        app.add_exception_handler(kind, _known)


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OpsRefused)  # noqa: S101  # registered for this type alone
    return problem(error.code, error.detail)


def _known(_request: Request, error: Exception) -> JSONResponse:
    kind = next(kind for kind in type(error).__mro__ if kind in _MEANING)
    return problem(*_MEANING[kind])


def _engine_answered(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EngineAnswered)  # noqa: S101  # as above
    return problem("ENGINE_REFUSED", f"The engine refused: {error.code}.")


def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # as above
    answer = problem(_HTTP_CODES.get(error.status_code, "REQUEST_INVALID"), "GET /docs lists the routes.")
    answer.headers.update(error.headers or {})
    return answer


def _failed(request: Request, error: Exception) -> JSONResponse:
    """Say that it is a defect. The log has its traceback next, by the server, which gets the error too."""
    request_id = secrets.token_hex(8)
    _log.error("request %s failed: %s %s: %s", request_id, request.method, request.url.path, type(error).__name__)
    return problem("INTERNAL", "The ops API failed on this request; its log says how.", request_id=request_id)


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Name the fields and what is wrong with each, never their values: those may not even be text."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
    errors = [
        FieldProblem(field=".".join(str(part)[:40] for part in item["loc"][1:]), code=str(item["type"]).upper())
        for item in error.errors()[:20]
    ]
    return problem("REQUEST_INVALID", "Some fields are missing, unknown or out of range.", errors)
