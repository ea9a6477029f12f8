"""Is it alive, is it ready, what is it, and its figures."""

from __future__ import annotations

from typing import Literal, TypedDict

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import engine_of
from engine_service.api.figures_text import FiguresText
from engine_service.api.problems import json_response
from engine_service.api.queries import Query
from engine_service.execution.core import Phase

router = APIRouter(tags=["health"])


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """Whether it may trade, and if not, why."""

    ready: bool
    phase: Phase
    halted: bool
    reasons: list[str]


class Version(TypedDict):
    """What runs: code, configuration, the model of each strategy, the version of the limits."""

    version: str
    git_sha: str
    config_hash: str
    models: dict[str, str]
    risk_version: int


@router.get("/healthz")
@router.get("/livez", include_in_schema=False)
async def healthz(request: Request) -> Response:
    """200 while the process answers."""
    Query(request)
    body: Health = {"status": "ok"}
    return json_response(body)


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 once snapshot, journal replay and the first reconciliation are done; else 503 with the reasons."""
    Query(request)
    engine = engine_of(request)
    core = engine.core
    ready = core.ready and not engine.stopping
    halt = core.state.image.halt
    body: Readiness = {
        "ready": ready,
        "phase": core.phase,
        "halted": halt is not None,
        "reasons": [*map(for_anyone, core.not_ready_because), *(["the engine is stopping"] if engine.stopping else [])],
    }
    return json_response(body, 200 if ready else 503)


def for_anyone(reason: str) -> str:
    """Return a reason without a venue's own words: they can name our address, and this page asks for no token."""
    return ": ".join(reason.split(": ", 2)[:2]) if reason.startswith("venue ") else reason


@router.get("/version")
async def version(request: Request) -> Response:
    """What runs: code, configuration, models."""
    Query(request)
    engine = engine_of(request)
    body: Version = {
        "version": engine.build["version"],
        "git_sha": engine.build["git_sha"],
        "config_hash": engine.build["config_hash"],
        "models": {name: model.version for name, model in engine.core.state.image.models.items()},
        "risk_version": engine.core.gate.policy.version,
    }
    return json_response(body)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    Query(request)
    figures: FiguresText = request.scope["app"].state.figures
    return Response(figures.text(), media_type=CONTENT_TYPE_LATEST)
