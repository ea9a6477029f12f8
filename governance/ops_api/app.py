"""The ops API: one application from its settings. Nothing is read or started before ``create_app`` is called."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from governance.dagster_runs import DagsterRuns
from governance.ops_api import inference, models, training
from governance.ops_api.access import BodyLimit, TokenRequired
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

    app = FastAPI(title="Nautilus HMM ops API", version="1", lifespan=lifespan)
    app.add_middleware(BodyLimit)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    answer_with_problems(app)
    app.include_router(models.router(registry, runs, required))
    app.include_router(training.router(registry, runs, required))
    app.include_router(inference.router(registry))

    @app.get("/healthz", tags=["health"])
    def healthz() -> dict[str, Any]:
        """Return that this process serves."""
        return {"ok": True}

    return app
