"""The engine's web application: routers behind the gate, every error as a problem document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine_service.api import control, health, market, orders, portfolio, strategies, stream
from engine_service.api.gate import Gate
from engine_service.api.problems import problem
from engine_service.api.routes import ROUTES
from engine_service.api.tokens import TokenBook
from engine_service.domain.errors import Conflict, EngineError, NotFound, Unavailable
from engine_service.runtime.engine import Engine

MODULES = (orders, portfolio, strategies, market, control, stream, health)
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

_log = structlog.get_logger(__name__)


def create_app(engine: Engine, tokens: TokenBook, version: str) -> Gate:
    """Return the ASGI application of a trading engine.

    Raises:
        ValueError: a route has no declared access, or a declared route does not exist.
    """
    app = FastAPI(
        title="Nautilus HMM engine",
        version=version,
        description="Orders behind risk rails, portfolio, journal. Money is decimal text, times are epoch ms.",
        docs_url="/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    app.state.engine = engine
    for module in MODULES:
        app.include_router(module.router)
    app.add_exception_handler(EngineError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failed)
    routes = routes_of(app)
    _check_routes(routes)

    def observe(route: str, status: int) -> None:
        engine.metrics.counter("nhmm_http_requests_total").labels(route, str(status)).inc()

    return Gate(
        app,
        routes,
        tokens,
        LOOPBACK_HOSTS,
        engine.settings.max_concurrent_requests,
        observe,
        lambda: engine.stopping,
    )


def routes_of(app: FastAPI) -> tuple[Route, ...]:
    """Return every route that the application serves: the routers' own, and the documentation's."""
    own = [route for module in MODULES for route in module.router.routes]
    return tuple(route for route in (*own, *app.router.routes) if isinstance(route, Route))


def served(routes: Iterable[Route]) -> set[tuple[str, str]]:
    """Return every (method, template) of the routes."""
    return {
        (method, route.path)
        for route in routes
        for method in (route.methods or ())
        if method not in ("HEAD", "OPTIONS")
    }


def _check_routes(routes: Iterable[Route]) -> None:
    difference = served(routes) ^ set(ROUTES)
    if difference:
        raise ValueError(f"routes without declared access, or declared without a route: {sorted(difference)}")


async def _refused(request: Request, error: Exception) -> Response:
    return problem(error, _request_id(request)) if isinstance(error, EngineError) else await _failed(request, error)


async def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        return problem(Conflict("METHOD_NOT_ALLOWED", "The route does not take this method."), _request_id(request))
    return problem(NotFound("NOT_FOUND", "There is no such route."), _request_id(request))


async def _failed(request: Request, error: Exception) -> Response:
    request_id = _request_id(request)
    _log.error("request failed", request_id=request_id, route=request.url.path[:100], exc_info=error)
    return problem(
        Unavailable("INTERNAL", "The engine failed on this request; nothing is hidden in its log."), request_id
    )


def _request_id(request: Request) -> str:
    state: Any = request.scope.get("state", {})
    return str(state.get("request_id", ""))
