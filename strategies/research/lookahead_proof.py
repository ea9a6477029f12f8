"""The look-ahead proof of a model: every value behind its trades, computed again on bars whose end was cut away."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES, WARM_UP
from strategies.policy_path import confidences, held_exposures
from strategies.regime_policy import PolicyOptions, regime_exposures
from strategies.regimes.bar_table import PRICES, BarTable
from strategies.regimes.fit import hash_of
from strategies.regimes.hierarchy import AnyModel, HierarchicalModel, posteriors_of
from strategies.regimes.model import RegimeModel
from strategies.regimes.options import FitRefused
from strategies.research.after_training import calibration_of
from strategies.research.lookahead import Leak, find_leaks
from strategies.sizing import RISK_BARS, size_share

Array = NDArray[np.float64]

PLACES_PER_CUT = 8
BAR_COLUMNS = (*PRICES, "volume")
#: In units of the scaler: what rounding leaves between two ways to sum some thousand bars.
SCALER_TOLERANCE = 1e-7
#: Bars cannot tell: a hierarchy has many scalers; the bars are of another span; they are others of the same span.
NO_ONE_SCALER, SPAN_DIFFERS, BARS_DIFFER = "NO_ONE_SCALER", "SPAN_DIFFERS", "BARS_DIFFER"
_DIFFER = (
    "these bars stand where those of the training stood, and are not those: their hash is another, as of other prices "
    "or of rounded ones; ask with the file of the training. Where it is that file, the model's card is not true."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """From bars to a size, stage by stage; T bars, D features of the model, K regimes.

    ``features``: (T, 7). ``scale``: feature rows to the model's standard units, (T, D). ``posterior``: (T, K).
    ``target``: posteriors to the exposure held, (T,). ``size``: share of full size, (T,). ``confidence``: posteriors to
    the calibrated confidence, (T,).
    """

    features: Callable[[BarTable], Array]
    scale: Callable[[Array], Array]
    posterior: Callable[[BarTable], Array]
    target: Callable[[Array], Array]
    size: Callable[[BarTable], Array]
    confidence: Callable[[Array], Array] = confidences


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """``checked`` counts the values that were computed again."""

    checked: int
    leaks: tuple[Leak, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerCheck:
    """Whose scaler a model carries: ``leaks``, or why bars cannot tell: ``lacks``, empty where they can."""

    leaks: tuple[Leak, ...] = ()
    lacks: str = ""

    @property
    def differs(self) -> str:
        """What to say where bars stand in place of those of the training and are not those; else empty."""
        return f"{BARS_DIFFER}: {_DIFFER}" if self.lacks == BARS_DIFFER else ""


def pipeline_of(model: AnyModel, options: PolicyOptions | None = None) -> Pipeline:
    """Return the stages that the engine runs a model through."""
    policy = options or PolicyOptions()
    parts = model.micro if isinstance(model, HierarchicalModel) else (model,)
    exposures = np.concatenate([regime_exposures(part, policy) for part in parts])
    # The proof knows posteriors and not how long a bar is: a cooldown is one bar, as it is for bars longer than it.
    bar_ms = math.ceil(policy.cooldown_s * 1000) or 1
    calibration = calibration_of(model)
    return Pipeline(
        features=lambda bars: bars.features(),
        scale=lambda rows: _scaled(parts[0], rows),
        posterior=lambda bars: posteriors_of(model, bars),
        target=lambda posteriors: held_exposures(posteriors, exposures, policy, bar_ms, calibration),
        size=_sizes,
        confidence=lambda posteriors: confidences(posteriors, calibration),
    )


def prove(bars: BarTable, pipeline: Pipeline, cuts: int = 12) -> Proof:
    """Compute every column on the first n bars, for ``cuts`` values of n, and compare with all bars.

    A leak that opens only at some bars is looked for at ``PLACES_PER_CUT`` times as many places, in short windows: at
    regular ones, before the bars that are most worth knowing, and while windows warm up. Of a column that is known to
    leak nothing more is told.

    Raises:
        ValueError: there are fewer bars than two cuts need.
    """
    count = len(bars.open_ms)
    if count < 2 * WARM_UP or cuts < 1:
        raise ValueError(f"TOO_FEW_BARS: {count} bars; at least {2 * WARM_UP} are needed")
    # Away from the regular grid: a leak that looks a fixed number of bars ahead meets a cut wherever it stands.
    lengths = sorted({int(n) for n in np.linspace(WARM_UP, count - 1, cuts)})
    checked, leaks = _compare(bars, pipeline, lengths)
    regular = {int(n) for n in np.linspace(2 * WARM_UP, count - 1, cuts * PLACES_PER_CUT)}
    for place in sorted(regular | _telling(bars, cuts) | _warming(bars, cuts)):
        begin = max(0, place - 2 * WARM_UP)
        window = part(bars, begin, min(count, place + WARM_UP))
        more, found = _compare(window, pipeline, [place - begin])
        checked += more
        known = {leak.column for leak in leaks}
        moved = [replace(leak, at=leak.at + begin, cut=leak.cut + begin) for leak in found]
        leaks += [leak for leak in moved if leak.column not in known]
    return Proof(checked=checked, leaks=tuple(leaks))


def _telling(bars: BarTable, each: int) -> set[int]:
    """Return the numbers of the bars that rose, fell, ranged and traded most: whoever peeks gains most before them."""
    moves = np.diff(np.log(bars.close), prepend=np.log(bars.close[0]))
    measures = (moves, -moves, bars.high / bars.low, bars.volume)
    return {int(at) for measure in measures for at in np.argsort(measure)[-each:] if at >= WARM_UP}


def _warming(bars: BarTable, each: int) -> set[int]:
    """Return a place within the warm-up of each of the first stretches: what stands there came from later."""
    places = (stretch.start + WARM_UP // 2 for stretch in bars.stretches[:each])
    return {place for place in places if place < len(bars.open_ms)}


def _compare(bars: BarTable, pipeline: Pipeline, lengths: Sequence[int]) -> tuple[int, list[Leak]]:
    """Return how many values were computed again on the first bars alone, and those that are others with all bars."""
    names: list[str] = []

    def columns(rows: int) -> Array:
        named = _columns(cut(bars, rows), pipeline)
        names[:] = list(named)
        return np.column_stack(list(named.values()))

    count = len(bars.open_ms)
    width = columns(count).shape[1]
    return sum(lengths) * width, find_leaks(columns, tuple(names), [*lengths, count])


def prove_table(build: Callable[[int], BarTable], bars: BarTable, cuts: int = 12) -> Proof:
    """Make the table of bars again from recorded bars whose end was cut away, and compare it with that of all.

    Which bars are usable, what stands in them and where windows begin anew is part of the past as well.

    Args:
        build: the table of the recorded bars that opened before a moment (ms); bars: the table of all of them.
    """
    checked, leaks = 0, []
    for rows in sorted({int(n) for n in np.linspace(2 * WARM_UP, len(bars.open_ms) - 1, cuts * PLACES_PER_CUT)}):
        try:
            known = build(int(bars.open_ms[rows]))
        except FitRefused:
            # So few bars have no usual distance yet: nothing can be said of this cut.
            continue
        past = cut(bars, rows)
        checked += rows * (1 + len(BAR_COLUMNS))
        leaks += [Leak(column=name, at=at, cut=rows, difference=apart) for name, at, apart in _apart(known, past)]
    first = {leak.column: leak for leak in reversed(leaks)}
    return Proof(checked=checked, leaks=tuple(first.values()))


def _apart(known: BarTable, past: BarTable) -> Iterator[tuple[str, int, float]]:
    """Yield each column of the bars that differs, the first row where it does, and by how much."""
    if not np.array_equal(known.open_ms, past.open_ms):
        common = min(len(known.open_ms), len(past.open_ms))
        moved = np.flatnonzero(known.open_ms[:common] != past.open_ms[:common])
        yield "bar:open_ms", int(moved[0]) if len(moved) else max(0, common - 1), math.inf
        return
    for name in BAR_COLUMNS:
        apart = np.abs(getattr(known, name) - getattr(past, name))
        if len(moved := np.flatnonzero(apart > 0.0)):
            yield f"bar:{name}", int(moved[0]), float(apart[moved[0]])
    begins = {part.start for part in known.stretches} ^ {part.start for part in past.stretches}
    # The usual distance of few bars may be another than that of all: then it is not known yet what a gap is.
    if begins and known.bar_ms == past.bar_ms:
        yield "bar:stretch", min(begins), math.inf


def check_scaler(bars: BarTable, model: AnyModel) -> ScalerCheck:
    """Return what ``check_row_scaler`` finds in the feature rows of bars."""
    return check_row_scaler(bars.features(), bars.open_ms, bars.bar_ms, model)


def check_row_scaler(rows: Array, open_ms: NDArray[np.int64], bar_ms: int, model: AnyModel) -> ScalerCheck:
    """Return the features whose scaler is not that of training rows, (T, 7), or why these rows cannot tell.

    The scaler of a fit is the mean and spread of all its bars, that of a model which learned on since of the first of
    them; whatever else it is, it knew bars that the card does not own up to. That can only be said of the very rows:
    others, of which the model keeps another hash, have another mean whoever fitted it. ``cut`` is where training ended.
    """
    used = np.isfinite(rows).all(axis=1)
    if not isinstance(model, RegimeModel):
        return ScalerCheck(lacks=NO_ONE_SCALER)
    used &= (open_ms >= model.trained_from_ms) & (open_ms < model.trained_to_ms)
    times = open_ms[used]
    spans = len(times) and (int(times[0]), int(times[-1]) + bar_ms) == (model.trained_from_ms, model.trained_to_ms)
    if not spans or len(times) != model.bars:
        return ScalerCheck(lacks=SPAN_DIFFERS)
    own = rows[used][:, model.columns]
    values = (own - model.scaler_mean) / model.scaler_scale
    bars_so_far = np.arange(1, len(values) + 1)[:, None]
    mean = values.cumsum(axis=0) / bars_so_far
    spread = np.sqrt(np.maximum((values * values).cumsum(axis=0) / bars_so_far - mean * mean, 0.0))
    away = np.abs(mean) + np.abs(spread - 1.0)
    wrong = [at for at in range(len(model.features)) if away[:, at].min() > SCALER_TOLERANCE]
    if wrong and not _was_fitted_to(own, times, model):
        return ScalerCheck(lacks=BARS_DIFFER)
    ended = int(used.nonzero()[0][-1])
    return ScalerCheck(
        leaks=tuple(
            Leak(column=f"scaler:{model.features[at]}", at=ended, cut=ended + 1, difference=float(away[-1, at]))
            for at in wrong
        )
    )


def _was_fitted_to(own: Array, times: NDArray[np.int64], model: RegimeModel) -> bool:
    """Return whether a model keeps the hash of these rows (T, D), by the scaler it has or by the one it should have."""
    scalers = ((model.scaler_mean, model.scaler_scale), (own.mean(axis=0), own.std(axis=0)))
    return any(
        hash_of((own - mean) / scale, mean, scale, times) == model.data_hash
        for mean, scale in scalers
        if (scale > 0.0).all()
    )


def cut(bars: BarTable, rows: int) -> BarTable:
    """Return the first ``rows`` bars."""
    return part(bars, 0, rows)


def part(bars: BarTable, first: int, last: int) -> BarTable:
    """Return the bars from number ``first`` to before ``last``."""
    return replace(
        bars,
        **{name: getattr(bars, name)[first:last] for name in ("open_ms", *BAR_COLUMNS)},
        stretches=tuple(
            slice(max(each.start, first) - first, min(each.stop, last) - first)
            for each in bars.stretches
            if each.start < last and each.stop > first
        ),
    )


def _columns(bars: BarTable, pipeline: Pipeline) -> dict[str, Array]:
    rows = pipeline.features(bars)
    scaled = pipeline.scale(rows)
    posteriors = pipeline.posterior(bars)
    return {
        **{f"feature:{name}": rows[:, at] for at, name in enumerate(FEATURES)},
        **{f"scaled:{at}": scaled[:, at] for at in range(scaled.shape[1])},
        **{f"posterior:{at}": posteriors[:, at] for at in range(posteriors.shape[1])},
        "signal:confidence": pipeline.confidence(posteriors),
        "signal:target": pipeline.target(posteriors),
        "size:share": pipeline.size(bars),
    }


def _scaled(model: RegimeModel, rows: Array) -> Array:
    scaled: Array = (rows[:, model.columns] - model.scaler_mean) / model.scaler_scale
    return scaled


def _sizes(bars: BarTable) -> Array:
    closes: Sequence[float] = bars.close.tolist()
    return np.array([size_share(closes[max(0, end - RISK_BARS) : end]) for end in range(1, len(closes) + 1)])
