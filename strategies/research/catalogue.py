"""The strategies that a backtest can run, by name, with their settings from text. Each symbol gets its own state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from strategies.contracts import Bar, Signal, Strategy
from strategies.ensemble import Ensemble
from strategies.features import FeatureSource
from strategies.ma_cross import MovingAverageCross
from strategies.regime_policy import PolicyOptions, RegimePolicy
from strategies.regimes.hierarchy import AnyModel
from strategies.research.baseline import BuyAndHold, VolatilityTarget


class UnknownSetting(ValueError):
    """A strategy name or setting that does not exist, or a value that it does not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyChoice:
    """A strategy by name with its settings as written, e.g. ``ma_cross`` with ``{"fast": "10", "slow": "30"}``.

    ``models`` holds the regime model of each symbol under ``version``, for the strategies that need one.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, AnyModel] = field(default_factory=dict)
    version: str = ""

    def make(self, symbol: str) -> Strategy:
        """Return a new strategy for a symbol.

        Raises:
            UnknownSetting: no such strategy or setting, a value out of range, or no model for the symbol.
        """
        known = CATALOGUE.get(self.name)
        if known is None:
            raise UnknownSetting(f"there is no strategy {self.name}; there are {', '.join(CATALOGUE)}")
        values = {name: self._value(name, text, known.settings) for name, text in self.settings.items()}
        try:
            return known.make(self, symbol, values)
        except ValueError as error:
            raise UnknownSetting(f"{self.name}: {error}") from error
        except OverflowError as error:
            raise UnknownSetting(f"{self.name}: a setting is larger than any count of bars") from error

    def _value(self, name: str, text: str, known: Mapping[str, type]) -> Any:
        if name not in known:
            raise UnknownSetting(f"{self.name} has no setting {name}; it has {', '.join(known) or 'none'}")
        try:
            return known[name](text)
        except ValueError:
            raise UnknownSetting(f"{self.name}: {name}={text} is not {_ARTICLE[known[name]]}") from None

    def policy(self) -> PolicyOptions:
        """Return how regimes are traded by these settings, which ``make`` has checked."""
        return _policy({name: float(text) for name, text in self.settings.items() if name in POLICY})

    def model(self, symbol: str) -> AnyModel:
        """Return the symbol's model.

        Raises:
            UnknownSetting: there is none.
        """
        found = self.models.get(symbol)
        if found is None:
            raise UnknownSetting(f"{self.name} needs a model of {symbol}")
        return found


@dataclass(frozen=True, slots=True)
class _Known:
    settings: Mapping[str, type]
    make: Callable[[StrategyChoice, str, Mapping[str, Any]], Strategy]


class EnsembleStrategy:
    """Moving average crossover and regimes, weighed as the live ensemble weighs them."""

    strategy_id = "ensemble"

    def __init__(self, cross: MovingAverageCross, regimes: RegimePolicy, weights: Mapping[str, float]) -> None:
        self._members: tuple[Strategy, ...] = (cross, regimes)
        self._regimes = regimes
        self._combined = Ensemble(weights)

    @property
    def warm_up(self) -> int:
        return max(member.warm_up for member in self._members)

    def read(self, features: FeatureSource) -> None:
        """See ``RegimePolicy.read``."""
        self._regimes.read(features)

    def on_bar(self, bar: Bar) -> Signal | None:
        """Show the bar to every member; the last change of the combined target is the signal."""
        said: Signal | None = None
        for member in self._members:
            signal = member.on_bar(bar)
            if signal is not None:
                said = self._combined.on_signal(signal) or said
        return said


def _ma_cross(choice: StrategyChoice, symbol: str, values: Mapping[str, Any]) -> Strategy:
    return MovingAverageCross(**values)


def _regime(choice: StrategyChoice, symbol: str, values: Mapping[str, Any]) -> Strategy:
    return RegimePolicy(choice.model(symbol), choice.version, _policy(values))


def _policy(values: Mapping[str, Any]) -> PolicyOptions:
    chosen = {name: values[name] for name in POLICY if name in values}
    if wrong := [name for name, value in chosen.items() if not (math.isfinite(value) and value >= 0.0)]:
        raise ValueError(f"{', '.join(wrong)}: a number, 0 or more")
    return PolicyOptions(**chosen)


def _ensemble(choice: StrategyChoice, symbol: str, values: Mapping[str, Any]) -> Strategy:
    windows = {name: values[name] for name in ("fast", "slow") if name in values}
    regimes = RegimePolicy(choice.model(symbol), choice.version, _policy(values))
    share = values.get("ma_weight", 0.5)
    if not 0.0 <= share <= 1.0:
        raise ValueError("ma_weight is a share, 0 to 1")
    return EnsembleStrategy(MovingAverageCross(**windows), regimes, {"ma_cross": share, "hmm_regime": 1.0 - share})


#: What a person may choose about trading regimes.
POLICY: Mapping[str, type] = {each.name: float for each in fields(PolicyOptions)}
#: The strategies that trade a model's regimes.
WITH_MODEL = frozenset({"hmm_regime", "ensemble"})
_ARTICLE: Mapping[type, str] = {int: "a whole number", float: "a number"}
CATALOGUE: Mapping[str, _Known] = {
    "ma_cross": _Known({"fast": int, "slow": int}, _ma_cross),
    "hmm_regime": _Known(POLICY, _regime),
    "ensemble": _Known({"fast": int, "slow": int, "ma_weight": float, **POLICY}, _ensemble),
    "buy_and_hold": _Known({}, lambda choice, symbol, values: BuyAndHold()),
    "vol_target": _Known(
        {"window": int, "target": float, "band": float}, lambda choice, symbol, values: VolatilityTarget(**values)
    ),
}
