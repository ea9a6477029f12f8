"""The look-ahead proof of a model: every value behind its trades, computed again on bars whose end was cut away."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES, WARM_UP
from strategies.policy_path import held_exposures
from strategies.regime_policy import PolicyOptions, regime_exposures
from strategies.regimes.bar_table import BarTable
from strategies.regimes.hierarchy import AnyModel, HierarchicalModel, posteriors_of
from strategies.regimes.model import RegimeModel
from strategies.research.lookahead import Leak, find_leaks
from strategies.sizing import RISK_BARS, size_share

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """From bars to a size, stage by stage; T bars, D features of the model, K regimes.

    ``features``: (T, 7). ``scale``: feature rows to the model's standard units, (T, D). ``posterior``: (T, K).
    ``target``: posteriors to the exposure held, (T,). ``size``: share of full size, (T,).
    """

    features: Callable[[BarTable], Array]
    scale: Callable[[Array], Array]
    posterior: Callable[[BarTable], Array]
    target: Callable[[Array], Array]
    size: Callable[[BarTable], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """``checked`` counts the values that were computed again."""

    checked: int
    leaks: tuple[Leak, ...]


def pipeline_of(model: AnyModel, options: PolicyOptions | None = None) -> Pipeline:
    """Return the stages that the engine runs a model through."""
    policy = options or PolicyOptions()
    parts = model.micro if isinstance(model, HierarchicalModel) else (model,)
    exposures = np.concatenate([regime_exposures(part, policy) for part in parts])
    # The proof knows posteriors and not how long a bar is: a cooldown is one bar, as it is for bars longer than it.
    bar_ms = math.ceil(policy.cooldown_s * 1000) or 1
    return Pipeline(
        features=lambda bars: bars.features(),
        scale=lambda rows: _scaled(parts[0], rows),
        posterior=lambda bars: posteriors_of(model, bars),
        target=lambda posteriors: held_exposures(posteriors, exposures, policy, bar_ms),
        size=_sizes,
    )


def prove(bars: BarTable, pipeline: Pipeline, cuts: int = 12) -> Proof:
    """Compute every column on the first n bars, for ``cuts`` values of n, and compare with all bars.

    Raises:
        ValueError: there are fewer bars than two cuts need.
    """
    count = len(bars.open_ms)
    if count < 2 * WARM_UP or cuts < 1:
        raise ValueError(f"{count} bars; at least {2 * WARM_UP} are needed")
    # Away from the regular grid: a leak that looks a fixed number of bars ahead meets a cut wherever it stands.
    lengths = sorted({int(n) for n in np.linspace(WARM_UP, count - 1, cuts)} | {count})
    names: list[str] = []

    def columns(rows: int) -> Array:
        named = _columns(cut(bars, rows), pipeline)
        names[:] = list(named)
        return np.column_stack(list(named.values()))

    width = columns(count).shape[1]
    leaks = find_leaks(columns, tuple(names), lengths)
    return Proof(checked=sum(lengths[:-1]) * width, leaks=tuple(leaks))


def cut(bars: BarTable, rows: int) -> BarTable:
    """Return the first ``rows`` bars."""
    return replace(
        bars,
        open_ms=bars.open_ms[:rows],
        open=bars.open[:rows],
        high=bars.high[:rows],
        low=bars.low[:rows],
        close=bars.close[:rows],
        volume=bars.volume[:rows],
        stretches=tuple(slice(part.start, min(part.stop, rows)) for part in bars.stretches if part.start < rows),
    )


def _columns(bars: BarTable, pipeline: Pipeline) -> dict[str, Array]:
    rows = pipeline.features(bars)
    scaled = pipeline.scale(rows)
    posteriors = pipeline.posterior(bars)
    return {
        **{f"feature:{name}": rows[:, at] for at, name in enumerate(FEATURES)},
        **{f"scaled:{at}": scaled[:, at] for at in range(scaled.shape[1])},
        **{f"posterior:{at}": posteriors[:, at] for at in range(posteriors.shape[1])},
        "signal:target": pipeline.target(posteriors),
        "size:share": pipeline.size(bars),
    }


def _scaled(model: RegimeModel, rows: Array) -> Array:
    scaled: Array = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    return scaled


def _sizes(bars: BarTable) -> Array:
    closes: Sequence[float] = bars.close.tolist()
    return np.array([size_share(closes[max(0, end - RISK_BARS) : end]) for end in range(1, len(closes) + 1)])
