"""What a model version is made of and how it did: written beside its arrays, never changed afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

VERSION_PREFIX = "rm-"
VERSION_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Where a model came from.

    Args:
        version: ``rm-`` and the first 12 hex digits of the content hash of its arrays.
        created_at: UTC, ISO 8601.
        interval: bar length the model reads, e.g. ``1m``.
        symbols: one model each.
        training_from_ms: open time of the first bar used; training_to_ms: of the last.
        data_hash: content hash of the feature rows used.
        code_commit: git commit of the code, empty where there is none.
        seed: of every random start.
        run_id: the Dagster run that trained it.
        parent: the champion at the time, or the version whose order of regimes was kept; empty where there was none.
        fits: figures of the final fit by symbol, then by name.
        dropped: symbols left out, with the reason.
        bars_dropped: by symbol, how many bars were left out or odd, by reason.
    """

    version: str
    kind: str
    created_at: str
    interval: str
    feature_schema: str
    symbols: tuple[str, ...]
    training_from_ms: int
    training_to_ms: int
    bars: int
    data_hash: str
    code_commit: str
    seed: int
    run_id: str
    parent: str
    fits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    bars_dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ModelCard:
        """Read what ``to_dict`` made.

        Raises:
            KeyError, TypeError: a field is missing or unknown.
        """
        return cls(**{**raw, "symbols": tuple(raw["symbols"])})


def content_version(symbols: Mapping[str, Any]) -> str:
    """Return the version of a bundle's models: equal arrays, equal version.

    Args:
        symbols: JSON values by symbol, as they are stored and sent to the engine.

    Raises:
        ValueError: a value is not finite, so it is not JSON.
    """
    return VERSION_PREFIX + hashlib.sha256(canonical(symbols)).hexdigest()[:VERSION_DIGITS]


def canonical(value: Any) -> bytes:
    """Return the one byte form of JSON values: sorted keys, no blanks, no NaN.

    Raises:
        ValueError: a value is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
