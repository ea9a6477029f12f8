"""Training: starts Dagster's jobs and says how they stand. A result is a candidate, never the champion itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from governance.dagster_runs import DagsterRuns, Run
from governance.ops_api.access import TokenRequired
from governance.ops_api.answers import VERSION, StartedRun
from governance.ops_api.codes import OF_DAGSTER
from governance.ops_api.description import refusals
from governance.ops_api.models import started
from governance.registry import ModelRegistry, NoChampion

RunId = Annotated[str, Path(pattern=r"^[0-9a-f-]{8,64}$")]
_PARTIAL_FIT = (
    "TOKEN_REQUIRED",
    "MODEL_UNKNOWN",
    "NO_CHAMPION",
    "MODEL_UNTRUSTED",
    "REQUEST_INVALID",
    *OF_DAGSTER,
)


class PartialFitBody(BaseModel):
    """``version``: the parent, empty for the champion. ``memory_bars``: how many bars it is worth at most."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: str = Field("", pattern=rf"{VERSION}|^$")
    memory_bars: int = Field(5_000, ge=100, le=1_000_000)


def router(registry: ModelRegistry, runs: DagsterRuns, token: TokenRequired) -> APIRouter:
    """Return the routes about training."""
    routes = APIRouter(tags=["training"])
    change: dict[str, Any] = {"status_code": 202, "dependencies": [Depends(token)]}

    @routes.post("/train", **change, responses=refusals("TOKEN_REQUIRED", *OF_DAGSTER))
    def train() -> StartedRun:
        """Fit, judge and, where the gates allow, promote."""
        return started(runs.launch("training_job"), "training_job")

    @routes.post("/partial_fit", **change, responses=refusals(*_PARTIAL_FIT))
    def partial_fit(body: PartialFitBody) -> StartedRun:
        """Move a version's parameters toward the bars since its training; the result is a new candidate."""
        version = body.version or registry.champion()
        if version is None:
            raise NoChampion("there is nothing to begin from")
        registry.card(version)
        config = {"ops": {"learning": {"config": {"version": version, "memory_bars": body.memory_bars}}}}
        return started(runs.launch("partial_fit_job", config=config), "partial_fit_job")

    @routes.get("/runs/{run_id}", responses=refusals("RUN_UNKNOWN", "REQUEST_INVALID", *OF_DAGSTER))
    def get_run(run_id: RunId) -> Run:
        """Return how a run stands."""
        return runs.run(run_id)

    return routes
