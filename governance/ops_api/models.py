"""Models: what is registered, what is in force. Changes are Dagster runs, so that one path decides."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from governance.dagster_runs import DagsterRuns
from governance.ops_api.access import TokenRequired
from governance.ops_api.answers import VERSION, ModelDetail, Models, StartedRun
from governance.ops_api.codes import OF_DAGSTER
from governance.ops_api.description import refusals
from governance.registry import ModelRegistry

Version = Annotated[str, Path(pattern=VERSION)]
_CHANGE = ("TOKEN_REQUIRED", "MODEL_UNTRUSTED", "REQUEST_INVALID", *OF_DAGSTER)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PromoteBody(_Body):
    """``version``: evaluated, empty for the newest. ``approved_by`` names who approves, where that is asked for."""

    version: str = Field("", pattern=rf"{VERSION}|^$")
    approved_by: str = Field("", max_length=80)


class RollbackBody(_Body):
    """Both are recorded."""

    by: str = Field("operator", min_length=1, max_length=80)
    reason: str = Field(min_length=3, max_length=200)


def started(run_id: str, job: str) -> StartedRun:
    """Return the answer to a request that started a run."""
    return StartedRun(run_id=run_id, job=job, poll=f"/runs/{run_id}")


def router(registry: ModelRegistry, runs: DagsterRuns, token: TokenRequired) -> APIRouter:
    """Return the routes about models."""
    routes = APIRouter(tags=["models"])
    change: dict[str, Any] = {"status_code": 202, "dependencies": [Depends(token)]}

    @routes.get("/models", responses=refusals("MODEL_UNTRUSTED"))
    def list_models() -> Models:
        """Return every version's card, oldest first, the champion and every move of the pointer."""
        return Models(
            champion=registry.champion(), versions=list(registry.versions()), history=list(registry.history())
        )

    @routes.get("/models/{version}", responses=refusals("MODEL_UNKNOWN", "MODEL_UNTRUSTED", "REQUEST_INVALID"))
    def get_model(version: Version) -> ModelDetail:
        """Return one version: its card and its arrays."""
        return ModelDetail(card=registry.card(version), bundle=dict(registry.bundle(version)))

    @routes.post("/promote", **change, responses=refusals("MODEL_UNKNOWN", *_CHANGE))
    def promote(body: PromoteBody) -> StartedRun:
        """Put a version through the gates; where they allow it the engine gets it."""
        if body.version:
            registry.card(body.version)
        config = {"ops": {"promotion": {"config": body.model_dump()}}}
        return started(runs.launch("promotion_job", config=config), "promotion_job")

    @routes.post("/rollback", **change, responses=refusals("NO_CHAMPION", *_CHANGE))
    def roll_back(body: RollbackBody) -> StartedRun:
        """Make the previous champion the champion again, in the engine and in the registry."""
        registry.previous()
        config = {"ops": {"roll_back": {"config": body.model_dump()}}}
        return started(runs.launch("rollback_job", config=config), "rollback_job")

    return routes
