"""Gathers a day: the journal's decisions, the bars, the models in force, and the backtest of all that. No Dagster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from assets.bar_history import BarHistory
from assets.comparing_days import ComparedSymbol, decisions_of
from assets.intervals import Span, day_span
from assets.live_day import JournalEvents, LiveDay, read_day
from assets.parity_backtest import WARM_BARS, Costs, Rules, StrategyView, ideal_day
from assets.parity_settings import ParitySettings
from assets.settings import ResearchSettings
from engine_service.backtest.series import BadBars
from governance.registry import ModelRegistry, ModelUnknown, ModelUntrusted
from strategies.regimes.model import RegimeModel
from strategies.research.parity import Decision, Difference, differences


class LiveEngine(JournalEvents, Protocol):
    """The engine, as far as a comparison with its backtest asks it."""

    def get_strategies(self) -> list[dict[str, Any]]:
        """Return every strategy with its switches and ``parameters``."""

    def get_universe(self) -> dict[str, list[str]]:
        """Return the symbols ``watched`` by the strategies."""

    def get_instrument(self, symbol: str) -> dict[str, Any]:
        """Return an instrument's trading rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedDay:
    """One day, compared up to ``span.end_ms``; ``ends`` are the prices there. ``left_out`` says why a symbol was."""

    day: str
    span: Span
    strategies: Sequence[str]
    decisions: Sequence[Decision]
    found: Sequence[Difference]
    ends: Mapping[str, Decimal]
    left_out: Mapping[str, str]


class Comparison:
    """Compares days of one engine with their backtest."""

    def __init__(
        self,
        settings: ResearchSettings,
        rules: ParitySettings,
        bars: BarHistory,
        registry: ModelRegistry,
        engine: LiveEngine,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._bars = bars
        self._registry = registry
        self._engine = engine
        self._models: dict[str, Mapping[str, Any]] = {}

    def of(self, day: str, now_ms: int) -> ComparedDay:
        """Return a UTC day, compared as far as its bars have closed and its orders are done.

        Raises:
            Whatever the engine's client and the source of bars raise where they stay away.
        """
        whole, settle_ms = day_span(day), self._rules.settle_s * 1000
        live = read_day(self._engine, Span(whole.start_ms, min(now_ms, whole.end_ms + settle_ms)))
        step = self._settings.bar_ms
        first_ms = -(-live.since_ms // step) * step
        span = Span(first_ms, max(first_ms, min(now_ms - settle_ms, whole.end_ms) // step * step))
        # Before the engine was first started there was nothing to be equal to.
        strategies = self._strategies(live) if span.end_ms > span.start_ms else []
        compared: dict[str, ComparedSymbol] = {}
        left_out: dict[str, str] = {}
        for symbol in self._engine.get_universe()["watched"] if strategies else ():
            try:
                compared[symbol] = self._symbol(symbol, span, strategies, self._versions(live))
            except _LeftOut as reason:
                left_out[symbol] = str(reason)
        decisions = decisions_of(live, compared, self._rules.pause_s * 1000)
        return ComparedDay(
            day=day,
            span=span,
            strategies=[strategy.name for strategy in strategies],
            decisions=decisions,
            found=[part for one in decisions for part in differences(one, compared[one.symbol].end)],
            ends={symbol: one.end for symbol, one in compared.items()},
            left_out=left_out,
        )

    def _symbol(
        self, symbol: str, span: Span, strategies: Sequence[StrategyView], versions: Sequence[tuple[int, str]]
    ) -> ComparedSymbol:
        step = self._settings.bar_ms
        bars = self._bars.between(symbol, span.start_ms - WARM_BARS * step, span.end_ms - step)
        first = next((at for at, bar in enumerate(bars) if bar.open_at_ms >= span.start_ms), len(bars))
        if first == len(bars):
            raise _LeftOut("no bar of it has closed in this time")
        rule = self._engine.get_instrument(symbol)
        rules = Rules(
            quote=rule["quote"],
            tick=Decimal(rule["tick"]),
            step=Decimal(rule["step"]),
            min_notional=Decimal(rule["min_notional"]),
        )
        costs = Costs(fee_bps=self._rules.fee_bps, half_spread_bps=self._rules.half_spread_bps)
        models = [(since, version, self._model(version, symbol)) for since, version in versions]
        known = [(since, version, model) for since, version, model in models if model is not None]
        try:
            ideals = ideal_day(bars, first, strategies, known, rules, costs, self._settings.market)
        except BadBars as wrong:
            raise _LeftOut(str(wrong)) from wrong
        return ComparedSymbol(bars=bars[first:], ideals=ideals)

    def _strategies(self, live: LiveDay) -> list[StrategyView]:
        """Return the strategies that run, and those that did on the day."""
        spoke = {name for name, _, _ in live.signals}
        return [
            StrategyView(name=row["strategy"], weight=float(row["weight"]), parameters=row["parameters"])
            for row in self._engine.get_strategies()
            if row["enabled"] or row["strategy"] in spoke
        ]

    def _versions(self, live: LiveDay) -> list[tuple[int, str]]:
        """Return the models in force: the champion when the day began, then what the journal says."""
        before = [move for move in self._registry.history() if move.at_ms <= live.since_ms]
        return [(move.at_ms, move.version) for move in before[-1:]] + live.versions

    def _model(self, version: str, symbol: str) -> RegimeModel | None:
        """Return a version's model of a symbol, ``None`` where it has none.

        Raises:
            _LeftOut: the version is not in the registry.
        """
        if version not in self._models:
            try:
                self._models[version] = self._registry.bundle(version)["symbols"]
            except (ModelUnknown, ModelUntrusted) as missing:
                raise _LeftOut(f"its model: {missing}") from missing
        values = self._models[version].get(symbol)
        return None if values is None else RegimeModel.from_dict(values)


class _LeftOut(Exception):
    """This symbol cannot be compared; the message says why."""
