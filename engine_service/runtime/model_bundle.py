"""A promoted model as it comes over the wire: one regime model per symbol under one version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine_service.domain.errors import InvalidRequest
from engine_service.domain.ids import instrument_id
from strategies.features import FEATURE_SCHEMA
from strategies.regimes.hierarchy import H2
from strategies.regimes.model import ModelRefused, RegimeModel

MAX_SYMBOLS = 500
VERSION_PATTERN: Final = r"^[a-z0-9_-]{1,64}$"
_VERSION = re.compile(VERSION_PATTERN)
NEEDED: Final = frozenset({"version", "symbols", "interval", "feature_schema"})
_KEYS = NEEDED | {"kind", "created_at"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBundle:
    """The models in force, by instrument key."""

    version: str
    interval: str
    models: Mapping[str, RegimeModel]
    text: str


def parse_bundle(values: Mapping[str, Any]) -> ModelBundle:
    """Return a bundle whose every array was checked.

    Raises:
        InvalidRequest: ``MODEL_INVALID`` or ``MODEL_SCHEMA``; what was in force stays in force.
    """
    unknown = sorted(set(values) - _KEYS)
    if unknown or not set(values) >= NEEDED:
        raise InvalidRequest("MODEL_INVALID", f"a bundle has exactly these parts: {', '.join(sorted(_KEYS))}")
    version, symbols = values["version"], values["symbols"]
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise InvalidRequest("MODEL_INVALID", "a version is 1 to 64 characters of a-z 0-9 _ -")
    if values["feature_schema"] != FEATURE_SCHEMA:
        raise InvalidRequest("MODEL_SCHEMA", f"this engine computes features of the schema {FEATURE_SCHEMA}")
    if not isinstance(symbols, Mapping) or not 1 <= len(symbols) <= MAX_SYMBOLS:
        raise InvalidRequest("MODEL_INVALID", f"a bundle holds 1 to {MAX_SYMBOLS} symbols")
    models = {_symbol(name): _model(name, model) for name, model in symbols.items()}
    return ModelBundle(
        version=version,
        interval=str(values["interval"]),
        models=models,
        text=json.dumps(values, sort_keys=True, separators=(",", ":")),
    )


def read_bundle(text: str) -> ModelBundle:
    """Return a bundle from the journal's text.

    Raises:
        InvalidRequest: as ``parse_bundle``.
    """
    return parse_bundle(json.loads(text))


def _symbol(name: str) -> str:
    try:
        return instrument_id(name)
    except ValueError as error:
        raise InvalidRequest("MODEL_INVALID", "symbols are written BASEQUOTE.VENUE") from error


def _model(name: str, values: Any) -> RegimeModel:
    if not isinstance(values, Mapping):
        raise InvalidRequest("MODEL_INVALID", f"the model of {name[:40]} must be an object")
    if values.get("kind") == H2:
        raise InvalidRequest("MODEL_INVALID", f"{name[:40]}: a two-level model is traded in backtests alone")
    try:
        return RegimeModel.from_dict(values)
    except ModelRefused as error:
        raise InvalidRequest(error.code, f"{name[:40]}: {error.detail}") from error
