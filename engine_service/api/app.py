"""The engine's web application: routers behind the gate. FastAPI describes them; the gate calls them."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import FastAPI
from starlette.routing import Route

from engine_service.api import (
    advice,
    conditional_orders,
    control,
    health,
    league,
    market,
    order_check,
    orders,
    portfolio,
    strategies,
    stream,
)
from engine_service.api.description import describe
from engine_service.api.documents import PATHS, document_routes
from engine_service.api.event_socket import EventSocket
from engine_service.api.figures_text import FiguresText
from engine_service.api.gate import Gate
from engine_service.api.hosts import allowed_hosts
from engine_service.api.read_pace import ReadPace
from engine_service.api.readers import Readers
from engine_service.api.request_counts import RequestCounts
from engine_service.api.routes import ROUTES
from engine_service.api.tokens import TokenBook
from engine_service.runtime.engine import Engine

MODULES = (
    advice,
    orders,
    conditional_orders,
    order_check,
    portfolio,
    strategies,
    league,
    market,
    control,
    stream,
    health,
)


_ABOUT = (
    "Orders behind risk rails, portfolio, journal. Money is decimal text, times are epoch ms. In a request, a field "
    "that is null counts as left out."
)


def create_app(engine: Engine, tokens: TokenBook, version: str) -> Gate:
    """Return the ASGI application of a trading engine.

    Raises:
        ValueError: a route has no declared access or answers, or a declared route does not exist.
    """
    app = mounted(version)
    app.state.engine = engine
    own = routes_of(app)
    _check_access(own)
    routes = (*own, *document_routes(describe(app)))

    counts = RequestCounts(engine.metrics.counter("nhmm_http_requests_total"))
    app.state.readers = Readers(tokens.still_holds)
    app.state.figures = FiguresText(engine.metrics.registry, counts.publish)
    gate = Gate(
        app,
        routes,
        tokens,
        allowed_hosts(),
        engine.settings.max_concurrent_requests,
        counts.observe,
        lambda: engine.stopping,
    )
    gate.reads = ReadPace(engine.settings.reads_per_min)
    gate.sockets = EventSocket(engine, gate.identify, Readers(tokens.still_holds), gate.allowed_hosts)
    return gate


def mounted(version: str) -> FastAPI:
    """Return every router in an application that serves no engine yet: enough to describe it."""
    app = FastAPI(
        title="Nautilus HMM engine",
        version=version,
        description=_ABOUT,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    for module in MODULES:
        app.include_router(module.router)
    return app


def routes_of(app: FastAPI) -> tuple[Route, ...]:
    """Return every route that the application's routers serve."""
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


def _check_access(own: Iterable[Route]) -> None:
    difference = (served(own) | {("GET", path) for path in PATHS}) ^ set(ROUTES)
    if difference:
        raise ValueError(f"routes without declared access, or declared without a route: {sorted(difference)}")
