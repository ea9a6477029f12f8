"""Closed bars in, signals out: every strategy of every symbol, its model, and what becomes of a failing one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from engine_service.domain import events as e
from engine_service.domain.ids import ENGINE, Market
from engine_service.execution.core import EngineCore
from engine_service.runtime.market_feed import MarketFeed
from engine_service.runtime.model_bundle import ModelBundle
from engine_service.runtime.regime_tape import RegimeObservation, RegimeTape
from engine_service.runtime.settings_in_force import SettingsInForce
from engine_service.runtime.shadow_league import ShadowLeague
from engine_service.runtime.signal_check import SignalCheck
from engine_service.runtime.signal_orders import SignalOrders, Submit
from engine_service.runtime.step_watch import StepWatch
from engine_service.runtime.strategy_config import StrategyConfig
from strategies import ensemble as ensembles
from strategies import ma_cross, regime_policy
from strategies.contracts import Bar, Signal, Strategy

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SymbolDesk:
    """The strategies of one symbol, with their state."""

    cross: ma_cross.MovingAverageCross
    combined: ensembles.Ensemble
    policy: regime_policy.RegimePolicy | None = None


class StrategyLoop:
    """Runs the strategies of one market. ``on_bar`` is the feed's callback; ``swap_model`` acts between two bars."""

    def __init__(
        self,
        core: EngineCore,
        feed_history: Callable[[], MarketFeed],
        market: Market,
        configs: Mapping[str, StrategyConfig],
        submit: Submit,
        tape: RegimeTape,
        watch: StepWatch,
    ) -> None:
        """``feed_history`` gives the feed (built after this loop), whose past bars warm a new model."""
        self._core = core
        self._feed = feed_history
        self._market = market
        self._configs = configs
        self._settings = SettingsInForce(core, configs)
        self._orders = SignalOrders(core, feed_history, market, self._settings, submit)
        self._tape = tape
        self._desks: dict[str, SymbolDesk] = {}
        self._bundle: ModelBundle | None = None
        self._check = SignalCheck(core)
        self._watch = watch
        #: Too slow: they are not even shown bars, until a person switches them on and they begin anew.
        self._stood_down: set[str] = set()
        one_way_bps = configs[regime_policy.STRATEGY_ID].round_trip_cost_bps / 2.0
        limit_s = self._limit_s(regime_policy.STRATEGY_ID)
        self.league = ShadowLeague(core, feed_history, self._policy_options(), one_way_bps, watch, limit_s)
        self.running = False

    @property
    def model_version(self) -> str:
        """The version in force, empty where there is none."""
        return self._bundle.version if self._bundle else ""

    def warm_up(self) -> None:
        """Run the feed's past bars through every strategy, without acting on them."""
        feed = self._feed()
        for symbol in feed.symbols:
            self._warmed(ma_cross.STRATEGY_ID, self._desk(symbol).cross.on_bar, feed.history(symbol))
        if self._bundle is not None:
            self.swap_model(self._bundle)
        self.league.restore()

    def swap_model(self, bundle: ModelBundle) -> None:
        """Put a new model in force from the next bar on; its filters first run through the past bars.

        A symbol that it does not know is left alone from now on, as after a restart: what is held of it stays.

        Raises:
            Unavailable: the journal failed.
        """
        options = self._policy_options()
        feed = self._feed()
        for symbol, model in bundle.models.items():
            if symbol not in feed.symbols:
                continue
            policy = regime_policy.RegimePolicy(model, bundle.version, options)
            self._warmed(regime_policy.STRATEGY_ID, policy.observe, feed.history(symbol))
            self._desk(symbol).policy = policy
        for symbol, desk in self._desks.items():
            if desk.policy is not None and symbol not in bundle.models:
                self._leave_alone(symbol, desk, bundle.version)
        self._bundle = bundle
        self.league.crown(bundle)
        _log.info("model in force", version=bundle.version, symbols=len(bundle.models))

    def _leave_alone(self, symbol: str, desk: SymbolDesk, version: str) -> None:
        desk.policy = None
        desk.combined.forget(regime_policy.STRATEGY_ID)
        detail = f"{version} does not know it: {regime_policy.STRATEGY_ID} decides nothing there, what it holds stays"
        self._core.record(
            e.Anomaly(at_ms=self._core.clock.now_ms(), kind="symbol_without_model", subject=symbol, detail=detail)
        )

    async def on_bar(self, bar: Bar) -> None:
        """Take one closed live bar: observe, signal, act."""
        self.league.on_bar(bar)
        desk = self._desk(bar.symbol)
        for signal in self._signals(desk, bar):
            self._core.record(self._signal_event(signal, bar))
            self._act(signal, bar)

    async def take_external(self, signal: Signal) -> None:
        """Act on a wish from outside as on the strategy's own; its evidence is the caller's.

        Raises:
            Unavailable: the journal failed.
        """
        history = self._feed().history(signal.symbol)
        if not history:
            return
        bar = history[-1]
        seq = await self._core.commit(self._signal_event(signal, bar))
        self._act(signal, bar, wish=str(seq))

    def _signals(self, desk: SymbolDesk, bar: Bar) -> list[Signal]:
        self._begin_anew()
        members = [self._asked(ma_cross.STRATEGY_ID, desk.cross, bar)]
        if desk.policy is not None:
            members.append(self._asked(regime_policy.STRATEGY_ID, desk.policy, bar))
            if regime_policy.STRATEGY_ID not in self._stood_down:
                self._observe(desk.policy, bar)
        spoken = [signal for signal in members if signal is not None and self._settings.enabled(signal.strategy)]
        # What is off has no voice either: its last word would count for ever.
        desk.combined.weights = {
            name: float(self._settings.weight(name)) for name in self._configs if self._settings.enabled(name)
        }
        combined = [desk.combined.on_signal(signal) for signal in spoken]
        if self._settings.enabled(ensembles.STRATEGY_ID):
            spoken += [signal for signal in combined if signal is not None]
        return spoken

    def _asked(self, name: str, strategy: Strategy, bar: Bar) -> Signal | None:
        """Show a strategy its bar. One that fails is switched off until a person switches it on; all others go on."""
        if name in self._stood_down:
            return None
        began_s = self._watch.now_s()
        try:
            signal = strategy.on_bar(bar)
        except Exception as error:  # noqa: BLE001  # whatever it did wrong, market data and the others go on
            _log.exception("a strategy failed", strategy=name, symbol=bar.symbol)
            if self._settings.enabled(name):
                self._switch_off(name, f"{bar.symbol}: {type(error).__name__}: {error}"[:200])
            return None
        if self._is_too_slow(name, bar.symbol, began_s):
            return None
        dropped, failure = (False, "") if signal is None else self._check.failure(name, signal, bar)
        if failure and self._settings.enabled(name):
            self._switch_off(name, failure)
        return None if dropped else signal

    def _is_too_slow(self, name: str, symbol: str, began_s: float) -> bool:
        """Take in how long a step took; one too many that was slow stands the strategy down."""
        failure = self._watch.failure(name, symbol, began_s, self._limit_s(name))
        if failure:
            self._stood_down.add(name)
            if self._settings.enabled(name):
                self._switch_off(name, failure)
        return bool(failure)

    def _warmed(self, name: str, step: Callable[[Bar], object], bars: Sequence[Bar]) -> None:
        """Run past bars through a strategy, unless it is too slow for that."""
        for bar in bars:
            if name in self._stood_down:
                return
            began_s = self._watch.now_s()
            step(bar)
            self._is_too_slow(name, bar.symbol, began_s)

    def _begin_anew(self) -> None:
        """What a person switched on again after it was too slow begins anew: it missed bars, and warms on live ones."""
        for name in [name for name in self._stood_down if self._settings.enabled(name)]:
            self._stood_down.discard(name)
            for desk in self._desks.values():
                if name == ma_cross.STRATEGY_ID:
                    desk.cross = self._new_cross()
                elif desk.policy is not None:
                    desk.policy = desk.policy.anew()

    def _switch_off(self, strategy: str, failure: str) -> None:
        now, config = self._core.clock.now_ms(), self._configs[strategy]
        settings = self._core.state.strategy(strategy)
        self._core.record(e.Anomaly(at_ms=now, kind="strategy_failed", subject=strategy, detail=failure))
        self._core.record(
            e.StrategyChanged(
                at_ms=now,
                strategy=strategy,
                enabled=False,
                dry_run=self._settings.dry_run(strategy),
                budget=settings.budget if settings else config.budget,
                weight=self._settings.weight(strategy),
                model_version=settings.model_version if settings else self.model_version,
                principal=ENGINE,
                reason=f"it failed: {failure}",
            )
        )

    def _observe(self, policy: regime_policy.RegimePolicy, bar: Bar) -> None:
        posterior = policy.posterior
        if posterior is None:
            return
        regime = posterior.index(max(posterior))
        self._tape.add(
            RegimeObservation(
                symbol=bar.symbol,
                open_at_ms=bar.open_at_ms,
                close_at_ms=bar.close_at_ms,
                price=bar.close,
                regime=regime,
                label=policy.labels[regime],
                posterior=posterior,
                model_version=policy.version,
            )
        )

    def _act(self, signal: Signal, bar: Bar, wish: str = "") -> None:
        if self.running:
            self._orders.act(signal, bar, wish)

    def _signal_event(self, signal: Signal, bar: Bar) -> e.SignalEmitted:
        return e.SignalEmitted(
            at_ms=self._core.clock.now_ms(),
            strategy=signal.strategy,
            symbol=bar.symbol,
            market=self._market,
            bar_open_ms=bar.open_at_ms,
            confidence=signal.confidence if signal.target >= 0 else -signal.confidence,
            target=signal.target,
            model_version=signal.why.get("model_version", ""),
            evidence=signal.why,
        )

    def _policy_options(self) -> regime_policy.PolicyOptions:
        config = self._configs[regime_policy.STRATEGY_ID]
        return regime_policy.PolicyOptions(
            round_trip_cost_bps=config.round_trip_cost_bps,
            confidence_gate=config.confidence_gate,
            cooldown_s=config.cooldown_s,
        )

    def _desk(self, symbol: str) -> SymbolDesk:
        desk = self._desks.get(symbol)
        if desk is None:
            gate = self._configs[ensembles.STRATEGY_ID].gate
            desk = self._desks[symbol] = SymbolDesk(
                cross=self._new_cross(),
                combined=ensembles.Ensemble({}, ensembles.EnsembleOptions(gate=gate)),
            )
        return desk

    def _new_cross(self) -> ma_cross.MovingAverageCross:
        config = self._configs[ma_cross.STRATEGY_ID]
        return ma_cross.MovingAverageCross(config.fast, config.slow)

    def _limit_s(self, strategy: str) -> float:
        return self._configs[strategy].step_limit_ms / 1000.0
