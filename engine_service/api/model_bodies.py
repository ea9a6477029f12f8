"""A model bundle as it stands in a request body: research numbers, not money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine_service.api.body import NumberText
from engine_service.domain.errors import InvalidRequest
from engine_service.runtime.model_bundle import ModelBundle, parse_bundle

MODEL_DEPTH = 10
MODEL_LIST = 5_000


def read_model(values: Mapping[str, Any], interval: str) -> ModelBundle:
    """Return the bundle of a parsed body, whose numbers are still text; ``interval`` is this engine's bar length.

    Raises:
        InvalidRequest: ``MODEL_INVALID`` or ``MODEL_SCHEMA``.
    """
    bundle = parse_bundle({name: _numbers(value) for name, value in values.items()})
    if bundle.interval != interval:
        raise InvalidRequest(
            "MODEL_SCHEMA",
            f"the model reads {bundle.interval[:16]} bars and this engine closes {interval} bars; train one on "
            f"{interval} bars, or start the engine with --interval {bundle.interval[:16]}",
        )
    return bundle


def _numbers(value: Any) -> Any:
    if isinstance(value, NumberText):
        return float(value) if any(mark in value for mark in ".eE") else int(value)
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return value
