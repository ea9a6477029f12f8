"""The ops API: one application from its settings. Nothing is read or started before ``create_app`` is called."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from governance.dagster_runs import DagsterRuns
from governance.ops_api import inference, models, training
from governance.ops_api.access import BodyLimit, OwnHosts, TokenRequired
from governance.ops_api.answers import Health
from governance.ops_api.description import complete, refusals
from governance.ops_api.problems import answer_with_problems
from governance.ops_api.settings import OpsSettings
from governance.registry import ModelRegistry


def create_app(settings: OpsSettings, token: str) -> FastAPI:
    """Return the application; ``token`` is asked for on every change."""
    registry = ModelRegistry(settings.home / "registry")
    runs = DagsterRuns(settings.dagster_url)
    required = TokenRequired(token)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        runs.close()

    app = FastAPIOffline(
        redoc_url=None,
        title="Nautilus HMM ops API",
        version="1",
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(OwnHosts)
    answer_with_problems(app)
    app.include_router(models.router(registry, runs, required))
    app.include_router(training.router(registry, runs, required))
    app.include_router(inference.router(registry))

    @app.get("/healthz", tags=["health"], responses=refusals())
    def healthz() -> Health:
        """Return that this process serves."""
        return Health(ok=True)

    complete(app)
    return app
