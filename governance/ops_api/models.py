"""Models: what is registered, what is in force. Changes are Dagster runs, so that one path decides."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from governance.dagster_runs import DagsterRuns
from governance.ops_api.access import TokenRequired
from governance.registry import ModelRegistry

VERSION = r"^rm-[0-9a-f]{12}$"
Version = Annotated[str, Path(pattern=VERSION)]


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


class StartedRun(BaseModel):
    """A Dagster run that was started; ``poll`` says how it stands."""

    run_id: str
    job: str
    poll: str


def started(run_id: str, job: str) -> StartedRun:
    """Return the answer to a request that started a run."""
    return StartedRun(run_id=run_id, job=job, poll=f"/runs/{run_id}")


def router(registry: ModelRegistry, runs: DagsterRuns, token: TokenRequired) -> APIRouter:
    """Return the routes about models."""
    routes = APIRouter(tags=["models"])

    @routes.get("/models")
    def list_models() -> dict[str, Any]:
        """Return every version's card, oldest first, the champion and every move of the pointer."""
        return {
            "champion": registry.champion(),
            "versions": [card.to_dict() for card in registry.versions()],
            "history": [asdict(move) for move in registry.history()],
        }

    @routes.get("/models/{version}")
    def get_model(version: Version) -> dict[str, Any]:
        """Return one version: its card and its arrays."""
        return {"card": registry.card(version).to_dict(), "bundle": registry.bundle(version)}

    @routes.post("/promote", status_code=202, dependencies=[Depends(token)])
    def promote(body: PromoteBody) -> StartedRun:
        """Put a version through the gates; where they allow it the engine gets it."""
        if body.version:
            registry.card(body.version)
        config = {"ops": {"promotion": {"config": body.model_dump()}}}
        return started(runs.launch("promotion_job", config=config), "promotion_job")

    @routes.post("/rollback", status_code=202, dependencies=[Depends(token)])
    def roll_back(body: RollbackBody) -> StartedRun:
        """Make the previous champion the champion again, in the engine and in the registry."""
        registry.previous()
        config = {"ops": {"roll_back": {"config": body.model_dump()}}}
        return started(runs.launch("rollback_job", config=config), "rollback_job")

    return routes
