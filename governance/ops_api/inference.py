"""Inference: the filtered regime of bars that the caller brings, by any registered version. Nothing is changed."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from governance.ops_api.answers import VERSION, Inferred, InferredOfTwo
from governance.ops_api.codes import OF_BARS
from governance.ops_api.description import refusals
from governance.ops_api.problems import OpsRefused
from governance.registry import ModelRegistry, NoChampion
from strategies.features import WARM_UP
from strategies.regimes.bar_table import PRICES, BarTable, check_bars, interval_of
from strategies.regimes.hierarchy import AnyModel, HierarchicalModel, macro_posteriors, posteriors_of, read_model
from strategies.regimes.model import LARGEST, LAST_MS
from strategies.regimes.options import FitRefused

MAX_BARS = 10_000
_REFUSED = (
    "MODEL_UNKNOWN",
    "SYMBOL_UNKNOWN",
    "MODEL_UNTRUSTED",
    "MODEL_INVALID",
    "NO_CHAMPION",
    "REQUEST_INVALID",
    *OF_BARS,
)
#: Sums over windows of such prices and volumes are still numbers.
Price = Annotated[float, Field(ge=1.0 / LARGEST, le=LARGEST, allow_inf_nan=False)]
Volume = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]


class BarBody(BaseModel):
    """One closed bar; ``open_at_ms`` is UTC epoch milliseconds."""

    model_config = ConfigDict(extra="forbid")

    open_at_ms: Annotated[int, Field(ge=0, le=LAST_MS)]
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

    @routes.post("/infer", responses=refusals(*_REFUSED))
    def infer(body: InferBody) -> Inferred:
        """Return the filtered posterior after each bar: what was known then, nothing from later."""
        version, model, interval = _model_of(registry, body)
        return Inferred(version=version, symbol=body.symbol, **_filtered(model, _table(body.bars, interval)))

    @routes.post("/infer_h2", responses=refusals("MODEL_KIND", *_REFUSED))
    def infer_h2(body: InferBody) -> InferredOfTwo:
        """The same of a hierarchical model, with the posterior of its slow bars beside."""
        version, model, interval = _model_of(registry, body)
        if not isinstance(model, HierarchicalModel):
            raise OpsRefused("MODEL_KIND", "This version's model is not hierarchical; use POST /infer.")
        table = _table(body.bars, interval)
        above = macro_posteriors(model.macro, model.factor, table)
        return InferredOfTwo(
            version=version,
            symbol=body.symbol,
            **_filtered(model, table),
            macro_labels=list(model.macro.labels),
            macro_posterior=above[-1].tolist(),
        )

    return routes


def _model_of(registry: ModelRegistry, body: InferBody) -> tuple[str, AnyModel, str]:
    version = body.version or registry.champion()
    if version is None:
        raise NoChampion("there is no champion; name a version")
    bundle = registry.bundle(version)
    symbols = bundle["symbols"]
    if body.symbol not in symbols:
        raise OpsRefused("SYMBOL_UNKNOWN", "This version has no model of the symbol; GET /models/{version}.")
    return version, read_model(symbols[body.symbol]), str(bundle["interval"])


def _table(bars: list[BarBody], interval: str) -> BarTable:
    times = np.array([bar.open_at_ms for bar in bars])
    if (np.diff(times) <= 0).any():
        raise OpsRefused("BARS_UNORDERED", "Bars must stand in time order, each once.")
    prices = {name: np.array([getattr(bar, name) for bar in bars]) for name in PRICES}
    try:
        table, counts = check_bars(times, prices, np.array([bar.volume for bar in bars]), drop_dead_tail=False)
    except FitRefused as refused:
        raise OpsRefused(refused.code, "The bars have no usual length, or too few of them can be used.") from refused
    if counts["invalid_prices"]:
        raise OpsRefused("BARS_INVALID", "A bar's high or low does not hold its open and close.")
    if interval_of(table.bar_ms) != interval:
        detail = f"The model reads {interval[:16]} bars, these are {interval_of(table.bar_ms)}."
        raise OpsRefused("BARS_INTERVAL", detail)
    return table


def _filtered(model: AnyModel, table: BarTable) -> dict[str, Any]:
    """Bars without a posterior, while windows warm up and after a gap, are left out."""
    posteriors = posteriors_of(model, table)
    known = np.isfinite(posteriors).all(axis=1)
    if not known.any():
        raise OpsRefused("BARS_TOO_FEW", f"{WARM_UP} bars without a gap are needed before the first posterior.")
    rows = posteriors[known]
    times = table.open_ms[known]
    return {
        "labels": list(model.labels),
        "regime": int(rows[-1].argmax()),
        "as_of_ms": int(times[-1]),
        "posteriors": [{"open_at_ms": int(at), "posterior": row} for at, row in zip(times, rows.tolist(), strict=True)],
    }
