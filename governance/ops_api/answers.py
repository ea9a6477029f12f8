"""What the ops API answers. The routes make these, and the OpenAPI page is written from them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from governance.model_card import ModelCard
from governance.registry import Promotion

VERSION = r"^rm-[0-9a-f]{12}$"
Ms = Annotated[int, Field(ge=0, description="UTC epoch milliseconds.")]
#: Read from the registry's own sealed files: described here, judged there.
ModelBundle = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "title": "ModelBundle",
            "type": "object",
            "description": "A version's models by instrument, as they are sent to the engine.",
            "additionalProperties": False,
            "required": ["version", "kind", "interval", "feature_schema", "created_at", "symbols"],
            "properties": {
                "version": {"type": "string", "pattern": VERSION},
                "kind": {"type": "string"},
                "interval": {"type": "string"},
                "feature_schema": {"type": "string"},
                "created_at": {"type": "string"},
                "symbols": {"type": "object", "additionalProperties": {"type": "object"}},
            },
        }
    ),
]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Health(_Answer):
    """The process serves."""

    ok: bool


class Models(_Answer):
    """Every version's card, oldest first, the champion and every move of the pointer."""

    champion: str | None
    versions: list[ModelCard]
    history: list[Promotion]


class ModelDetail(_Answer):
    """One version: its card and its arrays."""

    card: ModelCard
    bundle: ModelBundle


class StartedRun(_Answer):
    """A Dagster run that was started; ``poll`` says how it stands."""

    run_id: str
    job: str
    poll: str


class Posterior(_Answer):
    """The filtered posterior after one bar; it sums to 1."""

    open_at_ms: Ms
    posterior: list[float]


class Inferred(_Answer):
    """The filtered regime: ``regime`` and ``as_of_ms`` are those of the last bar, ``labels`` name the columns."""

    version: str
    symbol: str
    labels: list[str]
    regime: int
    as_of_ms: Ms
    posteriors: list[Posterior]


class InferredOfTwo(Inferred):
    """The same of a hierarchical model, with the posterior of its slow bars beside."""

    macro_labels: list[str]
    macro_posterior: list[float]
