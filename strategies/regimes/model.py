"""A fitted regime model: plain arrays and a little text, saved as JSON. Nothing is ever pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURE_SCHEMA, FEATURES
from strategies.regimes.calibration import Calibration

Array = NDArray[np.float64]

MAX_REGIMES = 8
#: No parameter is larger, and no scale or variance smaller than its inverse: squares stay within what a float holds.
LARGEST = 1e30
#: The last moment that a date can name, UTC ms.
LAST_MS = 253_402_300_799_999
SUM_TOLERANCE = 1e-6
GAUSSIAN_HMM = "gaussian_hmm"
JUMP = "jump"
KINDS = (GAUSSIAN_HMM, JUMP)


class ModelRefused(ValueError):
    """A model cannot be used; ``code`` is ``MODEL_INVALID`` or ``MODEL_SCHEMA``."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegimeModel:
    """A hidden Markov model or a jump model of one symbol's standardised features.

    Shapes: ``startprob`` (K,), ``transmat`` (K, K), ``means`` (K, D), ``covars`` (K, D; diagonal) or (K, D, D; full),
    ``scaler_mean`` and ``scaler_scale`` (D,), ``expected_return`` and ``volatility`` (K,; per bar, log return).
    Regimes stand in canonical order. ``trained_from_ms`` and ``trained_to_ms`` are bar open times, the latter
    exclusive. A jump model pays ``jump_penalty`` per change of regime (squared standard units);
    ``jump_temperature`` turns its costs into shares. ``calibration`` says what its confidence is worth, where that was
    measured; it was held out within the training span.
    """

    features: tuple[str, ...]
    startprob: Array
    transmat: Array
    means: Array
    covars: Array
    scaler_mean: Array
    scaler_scale: Array
    expected_return: Array
    volatility: Array
    labels: tuple[str, ...]
    trained_from_ms: int
    trained_to_ms: int
    bars: int
    data_hash: str
    seed: int
    feature_schema: str = FEATURE_SCHEMA
    kind: str = GAUSSIAN_HMM
    jump_penalty: float = 0.0
    jump_temperature: float = 0.0
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        _validate(self)

    @property
    def count(self) -> int:
        """The number of regimes, K."""
        return len(self.startprob)

    @property
    def columns(self) -> list[int]:
        """Where this model's features stand in a feature row."""
        return [FEATURES.index(name) for name in self.features]

    @property
    def full_covariance(self) -> bool:
        """Whether the features of a regime may move together."""
        return self.covars.ndim == 3

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; floats survive the round trip bit for bit.

        The parts of a jump model stand only in a jump model, and a calibration only where there is one, so that the
        versions of other models do not change.
        """
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        jump = {name: getattr(self, name) for name in _JUMP_ONLY} if self.kind == JUMP else {}
        calibration = {_CALIBRATION: self.calibration.to_dict()} if self.calibration else {}
        return (
            arrays
            | jump
            | calibration
            | {
                "features": list(self.features),
                "labels": list(self.labels),
                "trained_from_ms": self.trained_from_ms,
                "trained_to_ms": self.trained_to_ms,
                "bars": self.bars,
                "data_hash": self.data_hash,
                "seed": self.seed,
                "feature_schema": self.feature_schema,
            }
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RegimeModel:
        """Return the model that ``to_dict`` wrote.

        Raises:
            ModelRefused: a part is missing, unknown, of the wrong shape, or no probability.
        """
        is_jump = values.get("kind", GAUSSIAN_HMM) == JUMP
        expected = {*_ARRAYS, *_PLAIN, *(_JUMP_ONLY if is_jump else ())}
        if set(values) - {_CALIBRATION} != expected:
            raise ModelRefused("MODEL_INVALID", f"a model has exactly these parts: {', '.join(sorted(expected))}")
        try:
            parts: dict[str, Any] = {name: np.array(values[name], dtype=np.float64) for name in _ARRAYS}
            parts |= {
                "features": _texts(values["features"]),
                "labels": _texts(values["labels"]),
                "data_hash": str(values["data_hash"]),
                "feature_schema": str(values["feature_schema"]),
                **{name: int(values[name]) for name in ("trained_from_ms", "trained_to_ms", "bars", "seed")},
                **({"kind": JUMP, **{name: float(values[name]) for name in _JUMP_ONLY[1:]}} if is_jump else {}),
                _CALIBRATION: Calibration.from_dict(values[_CALIBRATION]) if _CALIBRATION in values else None,
            }
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelRefused("MODEL_INVALID", "a part of the model has the wrong type") from error
        return cls(**parts)


_ARRAYS = (
    "startprob",
    "transmat",
    "means",
    "covars",
    "scaler_mean",
    "scaler_scale",
    "expected_return",
    "volatility",
)
_PLAIN = ("features", "labels", "trained_from_ms", "trained_to_ms", "bars", "data_hash", "seed", "feature_schema")
_JUMP_ONLY = ("kind", "jump_penalty", "jump_temperature")
_CALIBRATION = "calibration"


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if isinstance(values, str) or len(values) > 64:
        raise TypeError("a short list of texts is wanted")
    return tuple(str(value) for value in values)


def _validate(model: RegimeModel) -> None:
    named = set(model.features)
    if (
        model.feature_schema != FEATURE_SCHEMA
        or not named <= set(FEATURES)
        or len(named) != len(model.features)
        or not named
    ):
        raise ModelRefused("MODEL_SCHEMA", f"features must be of the schema {FEATURE_SCHEMA}, each once")
    regimes, width = model.startprob.size, len(model.features)
    if not 1 <= regimes <= MAX_REGIMES:
        raise ModelRefused("MODEL_INVALID", f"a model has 1 to {MAX_REGIMES} regimes")
    shapes = {
        "startprob": (regimes,),
        "transmat": (regimes, regimes),
        "means": (regimes, width),
        "covars": (regimes, width, width) if model.full_covariance else (regimes, width),
        "scaler_mean": (width,),
        "scaler_scale": (width,),
        "expected_return": (regimes,),
        "volatility": (regimes,),
    }
    for name, shape in shapes.items():
        array = getattr(model, name)
        if array.shape != shape or not (np.abs(array) <= LARGEST).all():
            raise ModelRefused(
                "MODEL_INVALID", f"{name} must hold finite numbers within reason and be of shape {shape}"
            )
    if len(model.labels) != regimes:
        raise ModelRefused("MODEL_INVALID", "every regime needs a label")
    if not _spreads_are_positive(model):
        raise ModelRefused("MODEL_INVALID", "variances and scales must be positive")
    if model.kind not in KINDS or (model.kind == JUMP and not _jumps_are_priced(model)):
        raise ModelRefused("MODEL_INVALID", "a jump model needs a penalty of 0 or more and a positive temperature")
    for name in ("startprob", "transmat"):
        array = getattr(model, name)
        if (array < 0).any() or (abs(array.sum(axis=-1) - 1.0) > SUM_TOLERANCE).any():
            raise ModelRefused("MODEL_INVALID", f"{name} must hold probabilities that sum to 1")
    if not 0 <= model.trained_from_ms < model.trained_to_ms <= LAST_MS or model.bars < 1:
        raise ModelRefused("MODEL_INVALID", "the training span must not be empty")
    held = model.calibration
    if held and not model.trained_from_ms <= held.from_ms <= held.to_ms <= model.trained_to_ms:
        raise ModelRefused("MODEL_INVALID", "a calibration is held out within the training span")


def _spreads_are_positive(model: RegimeModel) -> bool:
    if (model.scaler_scale < 1.0 / LARGEST).any() or (model.volatility < 0).any():
        return False
    if not model.full_covariance:
        return bool((model.covars >= 1.0 / LARGEST).all())
    symmetric = np.allclose(model.covars, model.covars.transpose(0, 2, 1), rtol=1e-9, atol=1e-12)
    return symmetric and bool((np.linalg.eigvalsh(model.covars) >= 1.0 / LARGEST).all())


def _jumps_are_priced(model: RegimeModel) -> bool:
    finite = np.isfinite([model.jump_penalty, model.jump_temperature]).all()
    return bool(finite and model.jump_penalty >= 0 and model.jump_temperature > 0)
