"""Two levels of regimes: a model of slow bars says which model of the quick bars to trust.

Both levels are filtered, each bar only with what its close makes known: the macro posterior that a quick bar meets is
that of the last slow bar that has closed. The joint posterior is P(macro) * P(micro | macro), one share for each micro
regime of each macro regime.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.regimes.bar_table import BarTable
from strategies.regimes.filtering import filter_batch
from strategies.regimes.model import MAX_REGIMES, ModelRefused, RegimeModel

Array = NDArray[np.float64]

H2 = "h2"
_PARTS = {"kind", "factor", "macro", "micro"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HierarchicalModel:
    """``macro`` reads bars of ``factor`` quick bars; ``micro`` holds one model of quick bars per macro regime."""

    factor: int
    macro: RegimeModel
    micro: tuple[RegimeModel, ...]

    def __post_init__(self) -> None:
        if self.factor < 2 or len(self.micro) != self.macro.count:
            raise ModelRefused("MODEL_INVALID", "a hierarchy has two or more bars a slow bar, a model a macro regime")
        if not 1 <= self.count <= MAX_REGIMES:
            raise ModelRefused("MODEL_INVALID", f"a hierarchy has at most {MAX_REGIMES} regimes in all")

    @property
    def kind(self) -> str:
        """``h2``."""
        return H2

    @property
    def count(self) -> int:
        """The number of joint regimes."""
        return sum(model.count for model in self.micro)

    @property
    def labels(self) -> tuple[str, ...]:
        """Readable names of the joint regimes."""
        return tuple(
            f"{above} / {below}"
            for above, model in zip(self.macro.labels, self.micro, strict=True)
            for below in model.labels
        )

    @property
    def expected_return(self) -> Array:
        """Mean log return per quick bar of each joint regime."""
        return np.concatenate([model.expected_return for model in self.micro])

    @property
    def volatility(self) -> Array:
        """Standard deviation of the log return per quick bar of each joint regime."""
        return np.concatenate([model.volatility for model in self.micro])

    @property
    def bars(self) -> int:
        """Quick bars behind the models."""
        return sum(model.bars for model in self.micro)

    @property
    def trained_from_ms(self) -> int:
        """Open of the first bar used, UTC ms."""
        return min(model.trained_from_ms for model in self.micro)

    @property
    def trained_to_ms(self) -> int:
        """Close of the last bar used, UTC ms."""
        return max(model.trained_to_ms for model in self.micro)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "kind": H2,
            "factor": self.factor,
            "macro": self.macro.to_dict(),
            "micro": [model.to_dict() for model in self.micro],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HierarchicalModel:
        """Return the model that ``to_dict`` wrote.

        Raises:
            ModelRefused: a part is missing, unknown or refused itself.
        """
        micro = values.get("micro")
        if set(values) != _PARTS or values["kind"] != H2 or not isinstance(micro, list):
            raise ModelRefused("MODEL_INVALID", f"a hierarchy has exactly these parts: {', '.join(sorted(_PARTS))}")
        if not isinstance(values["factor"], int) or not isinstance(values["macro"], Mapping):
            raise ModelRefused("MODEL_INVALID", "a part of the hierarchy has the wrong type")
        return cls(
            factor=values["factor"],
            macro=_read_regimes(values["macro"]),
            micro=tuple(_read_regimes(model) for model in micro),
        )


AnyModel = RegimeModel | HierarchicalModel


def read_model(values: Any) -> AnyModel:
    """Return a model of any kind from its JSON values.

    Raises:
        ModelRefused: it is none.
    """
    if isinstance(values, Mapping) and values.get("kind") == H2:
        return HierarchicalModel.from_dict(values)
    return _read_regimes(values)


def _read_regimes(values: Any) -> RegimeModel:
    if not isinstance(values, Mapping):
        raise ModelRefused("MODEL_INVALID", "a model is an object of named parts")
    return RegimeModel.from_dict(values)


def posteriors_of(model: AnyModel, bars: BarTable) -> Array:
    """Return the filtered posterior at the close of every bar, (T, K); NaN while windows warm up.

    After a break the filter goes on from where it stood, as it does live.
    """
    if isinstance(model, RegimeModel):
        return _filtered(model, bars.features())
    above = macro_posteriors(model.macro, model.factor, bars)
    rows = bars.features()
    joint = [above[:, [at]] * _filtered(below, rows) for at, below in enumerate(model.micro)]
    return np.concatenate(joint, axis=1)


def macro_posteriors(macro: RegimeModel, factor: int, bars: BarTable) -> Array:
    """Return the macro posterior that is known at the close of every quick bar, (T, M); the start where none is."""
    slow, closed_at = slow_bars(bars, factor)
    found = _filtered(macro, slow.features()) if len(slow.open_ms) else np.empty((0, macro.count))
    known = np.isfinite(found).all(axis=1)
    newest = np.searchsorted(closed_at[known], np.arange(len(bars.open_ms)), side="right") - 1
    table = np.vstack([macro.startprob[None, :], found[known]])
    return np.asarray(table[newest + 1])


def slow_bars(bars: BarTable, factor: int) -> tuple[BarTable, NDArray[np.int64]]:
    """Return bars of ``factor`` quick bars, aligned to the epoch, and the row of the quick bar that closes each.

    A slow bar that lacks a quick one is left out, so that windows start anew after it; so do they at a break.
    """
    slow_ms = factor * bars.bar_ms
    keys = bars.open_ms // slow_ms
    firsts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1) != 0)
    lasts = np.append(firsts[1:], len(keys)) - 1
    whole = lasts - firsts == factor - 1
    firsts, lasts = firsts[whole], lasts[whole]
    breaks = np.array([part.start for part in bars.stretches])
    inside = np.searchsorted(breaks, firsts, side="right") == np.searchsorted(breaks, lasts, side="right")
    firsts, lasts = firsts[inside], lasts[inside]
    run = np.searchsorted(breaks, firsts, side="right")
    torn = (np.diff(keys[firsts]) != 1) | (np.diff(run) != 0) if len(firsts) else np.empty(0, dtype=bool)
    edges = [0, *(np.flatnonzero(torn) + 1).tolist(), len(firsts)]
    ends = lasts + 1
    table = BarTable(
        open_ms=bars.open_ms[firsts],
        open=bars.open[firsts],
        high=np.array([bars.high[a:b].max() for a, b in zip(firsts, ends, strict=True)]),
        low=np.array([bars.low[a:b].min() for a, b in zip(firsts, ends, strict=True)]),
        close=bars.close[lasts],
        volume=np.array([bars.volume[a:b].sum() for a, b in zip(firsts, ends, strict=True)]),
        bar_ms=slow_ms,
        stretches=tuple(slice(a, b) for a, b in itertools.pairwise(edges) if b > a),
    )
    return table, lasts.astype(np.int64)


def _filtered(model: RegimeModel, rows: Array) -> Array:
    found = np.full((len(rows), model.count), np.nan)
    complete = np.isfinite(rows).all(axis=1)
    if complete.any():
        found[complete] = filter_batch(model, rows[complete])[0]
    return found
