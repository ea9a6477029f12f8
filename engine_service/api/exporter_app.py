"""The exporter's web application: figures and health of a twin. No order, no control, no documentation is mounted."""

from __future__ import annotations

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine_service.api.gate import Gate
from engine_service.api.hosts import allowed_hosts
from engine_service.api.problems import json_response
from engine_service.api.queries import Query
from engine_service.api.request_counts import RequestCounts
from engine_service.api.tokens import TokenBook
from engine_service.runtime.journal_twin import JournalTwin

MAX_CONCURRENT = 32


def create_exporter_app(twin: JournalTwin, tokens: TokenBook) -> Gate:
    """Return the ASGI application of a twin, behind the same gate as the trader's."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.twin = twin
    routes = tuple(Route(path, endpoint, methods=["GET"]) for path, endpoint in ENDPOINTS.items())
    counts = app.state.request_counts = RequestCounts(twin.metrics.counter("nhmm_http_requests_total"))
    return Gate(app, routes, tokens, allowed_hosts(), MAX_CONCURRENT, counts.observe, lambda: False)


async def healthz(request: Request) -> Response:
    """200 while the process answers."""
    Query(request)
    return json_response({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 once the end of the journal was reached."""
    Query(request)
    twin = _twin(request)
    return json_response({"ready": twin.caught_up, "seq": twin.seq}, 200 if twin.caught_up else 503)


async def version(request: Request) -> Response:
    """What runs."""
    Query(request)
    return json_response({**_twin(request).build, "role": "exporter"})


async def metrics(request: Request) -> Response:
    """Prometheus' text format, from the journal."""
    Query(request)
    twin = _twin(request)
    twin.refresh()
    request.scope["app"].state.request_counts.publish()
    return Response(generate_latest(twin.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _twin(request: Request) -> JournalTwin:
    twin: JournalTwin = request.app.state.twin
    return twin


ENDPOINTS = {"/healthz": healthz, "/livez": healthz, "/readyz": readyz, "/version": version, "/metrics": metrics}
