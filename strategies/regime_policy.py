"""From a filtered posterior to a wanted exposure: what each regime pays, net of costs, over its own dwell time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from strategies.contracts import Bar, Signal
from strategies.features import WARM_UP, FeatureSource, FeatureStream
from strategies.regimes.filtering import RegimeFilter, open_filter
from strategies.regimes.hierarchy import AnyModel, HierarchicalModel
from strategies.regimes.hierarchy_filter import HierarchyFilter
from strategies.regimes.model import RegimeModel

STRATEGY_ID = "hmm_regime"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """``round_trip_cost_bps`` is what in and out cost together, ``hysteresis`` the least change that acts.

    ``confidence_gate`` is the least confidence that acts, on the scale of the model's calibration: how often such a
    confidence was right on held-out bars; of a model without one, the largest posterior.
    """

    round_trip_cost_bps: float = 25.0
    confidence_gate: float = 0.5
    hysteresis: float = 0.25
    cooldown_s: float = 30.0
    min_t_statistic: float = 2.0


def regime_exposures(model: RegimeModel, options: PolicyOptions) -> tuple[float, ...]:
    """Return the exposure each regime deserves, -1 to 1.

    A regime's gain is its expected return per bar times its expected dwell 1 / (1 - a_kk). Exposure is that gain over
    twice the round trip's cost, clipped, and zero where the gain does not pay the round trip, or where the mean is not
    told from zero (|t| below the minimum, with the standard error of a mean over the bars spent in the regime).
    """
    exposures = []
    cost = options.round_trip_cost_bps / 10_000.0
    share = stationary(model)
    for regime in range(model.count):
        mean, spread = float(model.expected_return[regime]), float(model.volatility[regime])
        error = spread / math.sqrt(max(1.0, share[regime] * model.bars))
        certain = error > 0 and abs(mean) / error >= options.min_t_statistic
        dwell = 1.0 / max(1e-6, 1.0 - float(model.transmat[regime, regime]))
        gain = mean * dwell
        pays = certain and abs(gain) > cost > 0
        exposures.append(max(-1.0, min(1.0, gain / (2.0 * cost))) if pays else 0.0)
    return tuple(exposures)


def model_exposures(model: AnyModel, options: PolicyOptions) -> tuple[float, ...]:
    """Return the exposure of each regime of a model of any kind: of a two-level one, of its joint regimes."""
    parts = model.micro if isinstance(model, HierarchicalModel) else (model,)
    return tuple(exposure for part in parts for exposure in regime_exposures(part, options))


def stationary(model: RegimeModel, steps: int = 512) -> Sequence[float]:
    """Return the long-run share of each regime, by repeated transition from the start distribution."""
    state = model.startprob
    for _ in range(steps):
        state = state @ model.transmat
    return [float(value) for value in state]


class RegimePolicy:
    """The live regime strategy of one symbol: features, filter, exposure with hysteresis, gate and cooldown."""

    def __init__(self, model: AnyModel, version: str, options: PolicyOptions | None = None) -> None:
        self._options = options or PolicyOptions()
        self._model = model
        self._two_levels: HierarchyFilter | None = None
        self._filter: RegimeFilter
        if isinstance(model, HierarchicalModel):
            # What the confidence of two levels is worth was never measured.
            self._calibration, self._data = None, model.macro.data_hash
            self._filter = self._two_levels = HierarchyFilter(model)
        else:
            self._calibration, self._data = model.calibration, model.data_hash
            self._filter = open_filter(model)
        self._version = version
        self._features: FeatureSource = FeatureStream()
        self._exposures = model_exposures(model, self._options)
        self._target = 0.0
        self._acted_at_ms: int | None = None

    @property
    def strategy_id(self) -> str:
        return STRATEGY_ID

    @property
    def warm_up(self) -> int:
        return WARM_UP

    @property
    def version(self) -> str:
        """The model version behind every signal."""
        return self._version

    @property
    def labels(self) -> tuple[str, ...]:
        """Readable names of the regimes, in order."""
        return self._model.labels

    @property
    def posterior(self) -> tuple[float, ...] | None:
        """The newest filtered posterior, length K; ``None`` during warm-up."""
        return self._filter.posterior

    def anew(self) -> RegimePolicy:
        """Return the same strategy of the same model, to which no bar was shown yet."""
        return RegimePolicy(self._model, self._version, self._options)

    def read(self, features: FeatureSource) -> None:
        """Take the rows of the bars to come from there: those of recorded bars are worked out at once."""
        self._features = features

    def warm(self, bars: Sequence[Bar]) -> None:
        """Run past bars through features and filter, without signals: for a start and for a model swap."""
        for bar in bars:
            self.observe(bar)

    def on_bar(self, bar: Bar) -> Signal | None:
        """Take a closed bar; a signal comes where the wanted exposure moved by more than the hysteresis."""
        posterior = self.observe(bar)
        if posterior is None:
            return None
        likeliest = max(posterior)
        confidence = self._calibration.of(likeliest) if self._calibration else likeliest
        wanted = sum(share * exposure for share, exposure in zip(posterior, self._exposures, strict=True))
        if not self._may_act(bar, wanted, confidence):
            return None
        self._target = wanted
        self._acted_at_ms = bar.close_at_ms
        regime = posterior.index(likeliest)
        return Signal(
            strategy=STRATEGY_ID,
            symbol=bar.symbol,
            at_ms=bar.close_at_ms,
            target=wanted,
            confidence=confidence,
            why={
                "regime": str(regime),
                "label": self._model.labels[regime],
                "posterior": ",".join(f"{share:.6f}" for share in posterior),
                "model_version": self._version,
                "model_data": self._data[:16],
                **self._scale(),
            },
        )

    def _scale(self) -> dict[str, str]:
        """Return on which scale the confidence of a calibrated model is, or why it stayed as it was."""
        if self._calibration is None:
            return {}
        lacked = self._calibration.fallback
        return {"confidence_scale": f"raw: {lacked}" if lacked else "calibrated"}

    def observe(self, bar: Bar) -> tuple[float, ...] | None:
        """Run one bar through features and filter, without a signal; return the posterior, ``None`` in warm-up."""
        if self._two_levels is not None:
            self._two_levels.see(bar)
        row = self._features.push(bar)
        return None if row is None else self._filter.step(row.tolist())

    def _may_act(self, bar: Bar, wanted: float, confidence: float) -> bool:
        if confidence < self._options.confidence_gate or abs(wanted - self._target) < self._options.hysteresis:
            return False
        if self._acted_at_ms is None:
            return True
        # Leaving is never delayed; only new exposure waits for the cooldown.
        leaving = abs(wanted) < abs(self._target) and wanted * self._target >= 0
        return leaving or bar.close_at_ms - self._acted_at_ms >= self._options.cooldown_s * 1000
