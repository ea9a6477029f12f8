"""Challengers on live bars beside the champion: same bars, same policy, no money, no orders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import structlog

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict, NotFound
from engine_service.domain.ids import ENGINE
from engine_service.domain.money import ZERO
from engine_service.execution.core import EngineCore
from engine_service.runtime.market_feed import MarketFeed
from engine_service.runtime.model_bundle import ModelBundle, read_bundle
from engine_service.runtime.step_watch import StepWatch
from strategies.contracts import Bar
from strategies.league import Challenger, Standing, begin_together, common
from strategies.regime_policy import PolicyOptions

_log = structlog.get_logger(__name__)

MAX_CHALLENGERS = 8
#: Under this name a challenger's bundle stands in the journal, so that it is back after a restart.
PREFIX = "shadow:"


class ShadowLeague:
    """Every version that is judged now, the champion among them; judging begins anew with each start."""

    def __init__(
        self,
        core: EngineCore,
        feed: Callable[[], MarketFeed],
        options: PolicyOptions,
        cost_bps: float,
        watch: StepWatch,
        limit_s: float,
    ) -> None:
        """``cost_bps`` is paid per unit of exposure changed; ``feed`` warms a new challenger.

        A challenger that fails, or whose steps are longer than ``limit_s`` too often by ``watch``, is put out.
        """
        self._core = core
        self._feed = feed
        self.options = options
        self.cost_bps = cost_bps
        self._watch = watch
        self._limit_s = limit_s
        self._members: dict[str, dict[str, Challenger]] = {}
        self.champion = ""

    @property
    def versions(self) -> Sequence[str]:
        """The versions in the league, in the order of their entry."""
        return tuple(self._members)

    def restore(self) -> None:
        """Let in whoever was in the league when the engine last ran, unless it learned from other bars than now close.

        Such a one stays in the journal: it is back when the engine closes its bars again, and can be withdrawn.
        """
        interval = self._feed().interval
        for name, stored in self._core.state.image.models.items():
            settings = self._core.state.strategy(name)
            if not name.startswith(PREFIX) or settings is None or not settings.enabled:
                continue
            bundle = read_bundle(stored.bundle)
            if bundle.interval == interval:
                self._join(bundle)
            else:
                _log.warning(
                    "a challenger reads other bars", version=bundle.version, model=bundle.interval, now=interval
                )

    def crown(self, bundle: ModelBundle) -> None:
        """Judge the model in force as well; the one before stays only where it was a challenger too."""
        before, self.champion = self.champion, bundle.version
        if before and before != bundle.version and not self._is_challenger(before):
            self._members.pop(before, None)
        if bundle.version not in self._members:
            self._join(bundle)

    async def enter(self, bundle: ModelBundle, *, principal: str, reason: str) -> None:
        """Journal a challenger and judge it from the next bar on; entering twice changes nothing.

        Raises:
            Conflict: the league is full.
            Unavailable: the journal failed.
        """
        if self._is_challenger(bundle.version):
            return
        if sum(map(self._is_challenger, self._members)) >= MAX_CHALLENGERS:
            raise Conflict("LEAGUE_FULL", f"the league takes {MAX_CHALLENGERS} challengers; withdraw one first")
        name, now = PREFIX + bundle.version, self._core.clock.now_ms()
        stored = e.ModelStored(
            at_ms=now, strategy=name, version=bundle.version, bundle=bundle.text, principal=principal
        )
        await self._core.commit(stored, self._switch(bundle.version, on=True, principal=principal, reason=reason))
        if bundle.version not in self._members:
            self._join(bundle)

    async def withdraw(self, version: str, *, principal: str, reason: str) -> None:
        """Journal the end of a challenger and forget its standing.

        Raises:
            NotFound: it is no challenger.
            Unavailable: the journal failed.
        """
        if not self._is_challenger(version):
            raise NotFound("MODEL_UNKNOWN", "this version is no challenger")
        await self._core.commit(self._switch(version, on=False, principal=principal, reason=reason))
        if version != self.champion:
            self._members.pop(version, None)

    def on_bar(self, bar: Bar) -> None:
        """Let every member judge and decide; one that fails or is too slow keeps no other from its bar."""
        here = [desks[bar.symbol] for desks in self._members.values() if bar.symbol in desks]
        begin_together(here, bar)
        for version, desks in list(self._members.items()):
            if bar.symbol in desks:
                self._step(version, desks[bar.symbol].on_bar, bar)

    def standings(self) -> list[Standing]:
        """Return every member's standing by symbol, over all bars that it was judged on."""
        return [desk.standing for desk in self._desks()]

    def common(self) -> list[Standing]:
        """Return every member's standing by symbol on the bars that all of them were judged on."""
        return common(self._desks())

    def _desks(self) -> Iterator[Challenger]:
        for desks in self._members.values():
            yield from desks.values()

    def _join(self, bundle: ModelBundle) -> None:
        feed = self._feed()
        desks = {
            symbol: Challenger(symbol, model, bundle.version, self.options, self.cost_bps)
            for symbol, model in bundle.models.items()
            if symbol in feed.symbols
        }
        self._members[bundle.version] = desks
        for symbol, desk in desks.items():
            for bar in feed.history(symbol):
                if bundle.version not in self._members:
                    return
                self._step(bundle.version, desk.warm_one, bar)

    def _step(self, version: str, step: Callable[[Bar], None], bar: Bar) -> None:
        name, began_s = PREFIX + version, self._watch.now_s()
        try:
            step(bar)
        except Exception as error:  # noqa: BLE001  # whatever it did wrong, the strategies and the others go on
            _log.exception("a challenger failed", version=version, symbol=bar.symbol)
            failure = f"{bar.symbol}: {type(error).__name__}: {error}"[:200]
        else:
            failure = self._watch.failure(name, bar.symbol, began_s, self._limit_s, label="league")
        if failure:
            self._put_out(version, failure)

    def _put_out(self, version: str, failure: str) -> None:
        """Judge it no more; where it came in by a person, that is journaled, and it is out after a restart too."""
        self._members.pop(version, None)
        now, name = self._core.clock.now_ms(), PREFIX + version
        self._core.record(e.Anomaly(at_ms=now, kind="challenger_failed", subject=name, detail=failure))
        if self._is_challenger(version):
            self._core.record(self._switch(version, on=False, principal=ENGINE, reason=f"it failed: {failure}"))

    def _is_challenger(self, version: str) -> bool:
        settings = self._core.state.strategy(PREFIX + version)
        return settings is not None and settings.enabled

    def _switch(self, version: str, *, on: bool, principal: str, reason: str) -> e.StrategyChanged:
        return e.StrategyChanged(
            at_ms=self._core.clock.now_ms(),
            strategy=PREFIX + version,
            enabled=on,
            dry_run=True,
            budget=ZERO,
            weight=ZERO,
            model_version=version,
            principal=principal,
            reason=reason,
        )
