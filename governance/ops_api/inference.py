"""Inference: the filtered regime of bars that the caller brings, by any registered version. Nothing is changed."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from governance.ops_api.models import VERSION
from governance.ops_api.problems import OpsRefused
from governance.registry import ModelRegistry, NoChampion
from strategies.features import WARM_UP, compute
from strategies.regimes.filtering import filter_batch
from strategies.regimes.model import RegimeModel

MAX_BARS = 10_000
Price = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Volume = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class BarBody(BaseModel):
    """One closed bar; ``open_at_ms`` is UTC epoch milliseconds."""

    model_config = ConfigDict(extra="forbid")

    open_at_ms: Annotated[int, Field(ge=0)]
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Volume


class InferBody(BaseModel):
    """``version``: the champion where it is empty. Bars stand in time order; the first ``WARM_UP`` only warm up."""

    model_config = ConfigDict(extra="forbid")

    symbol: str = Field(pattern=r"^[A-Z0-9_\-]{2,32}\.[A-Z]{2,16}$")
    version: str = Field("", pattern=rf"{VERSION}|^$")
    bars: list[BarBody] = Field(min_length=WARM_UP, max_length=MAX_BARS)


def router(registry: ModelRegistry) -> APIRouter:
    """Return the routes that read a regime."""
    routes = APIRouter(tags=["inference"])

    @routes.post("/infer")
    def infer(body: InferBody) -> dict[str, Any]:
        """Return the filtered posterior after each bar: what was known then, nothing from later."""
        version, values = _model_of(registry, body)
        return {"version": version, "symbol": body.symbol, **_filtered(RegimeModel.from_dict(values), body.bars)}

    return routes


def _model_of(registry: ModelRegistry, body: InferBody) -> tuple[str, dict[str, Any]]:
    version = body.version or registry.champion()
    if version is None:
        raise NoChampion("there is no champion; name a version")
    symbols = registry.bundle(version)["symbols"]
    if body.symbol not in symbols:
        raise OpsRefused(404, "SYMBOL_UNKNOWN", "This version has no model of the symbol; GET /models/{version}.")
    return version, symbols[body.symbol]


def _filtered(model: RegimeModel, bars: list[BarBody]) -> dict[str, Any]:
    times = np.array([bar.open_at_ms for bar in bars])
    if (np.diff(times) <= 0).any():
        raise OpsRefused(422, "BARS_UNORDERED", "Bars must stand in time order, each once.")
    columns = ("open", "high", "low", "close", "volume")
    rows = compute(*(np.array([getattr(bar, name) for bar in bars]) for name in columns))[WARM_UP - 1 :]
    posteriors, log_likelihood = filter_batch(model, rows)
    return {
        "labels": list(model.labels),
        "regime": int(posteriors[-1].argmax()),
        "log_likelihood": log_likelihood,
        "as_of_ms": int(times[-1]),
        "posteriors": [
            {"open_at_ms": int(at), "posterior": row}
            for at, row in zip(times[WARM_UP - 1 :], posteriors.tolist(), strict=True)
        ],
    }
