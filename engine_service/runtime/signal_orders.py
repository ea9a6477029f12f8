"""Signals in, orders out: one at a time of a strategy in a symbol, through the same door as everyone's orders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import structlog
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.advice import AdvisedTactic
from engine_service.domain.errors import EngineError, Refused
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import plain
from engine_service.domain.order import OrderRequest
from engine_service.domain.portfolio import strategy_key
from engine_service.execution.core import EngineCore
from engine_service.runtime.advice import advised, advised_scale
from engine_service.runtime.closing import closable, has_to_wait, next_order
from engine_service.runtime.market_feed import MarketFeed
from engine_service.runtime.own_orders import bracket_task, on_its_way, signal_task
from engine_service.runtime.settings_in_force import SettingsInForce
from engine_service.runtime.sleeve import Sleeve, order_for
from strategies.contracts import Bar, Signal
from strategies.sizing import RISK_BARS, size_share

#: Sends a strategy's order: the request and the idempotency key it is sent under.
Submit = Callable[[OrderRequest, str], Awaitable[None]]

_log = structlog.get_logger(__name__)


class SignalOrders:
    """Sizes what a signal asks for and sends it."""

    def __init__(
        self,
        core: EngineCore,
        feed: Callable[[], MarketFeed],
        market: Market,
        settings: SettingsInForce,
        submit: Submit,
    ) -> None:
        """``feed`` gives the past bars that sizes follow."""
        self._core = core
        self._feed = feed
        self._market = market
        self._settings = settings
        self._submit = submit

    def act(self, signal: Signal, bar: Bar, wish: str = "") -> None:
        """Send what the signal asks for, unless this strategy's last order in the symbol is still on its way.

        A strategy speaks once of a bar. ``wish`` names one from outside, of which a bar may see many.
        """
        if self._is_unsettled(signal.strategy, bar.symbol):
            return
        wanted = self._request(signal, bar)
        if wanted is None:
            return
        request = advised(self._core, wanted, Decimal(wanted.why["mark"]))
        if isinstance(request, AdvisedTactic):
            self._core.record(e.IntentSkipped(**self._intent(wanted), reason=request.reason))
            return
        if self._settings.dry_run(signal.strategy):
            self._core.record(e.IntentDryRun(**self._intent(request)))
            return
        self._core.spawn(signal_task(signal.strategy, bar.symbol), self._send(request, bar, wish))

    async def _send(self, request: OrderRequest, bar: Bar, wish: str) -> None:
        key = f"{bar.symbol}:{bar.open_at_ms}:{request.leg}"
        try:
            await self._submit(request, f"{key}:{wish}" if wish else key)
        except Refused as refusal:
            _log.info("order refused", strategy=request.strategy, symbol=bar.symbol, code=refusal.code)
        except EngineError as error:
            _log.warning(
                "order not placed", strategy=request.strategy, symbol=bar.symbol, code=error.code, detail=error.detail
            )

    def _is_unsettled(self, strategy: str, symbol: str) -> bool:
        """Tell whether an order is on its way, or a bracket's exit about to be: what is held is not known then."""
        core = self._core
        if signal_task(strategy, symbol) in core.tasks:
            return True
        firing = any(
            bracket_task(bracket.bracket_id) in core.tasks
            for bracket in core.state.image.brackets.values()
            if bracket.strategy == strategy and bracket.symbol == symbol and not bracket.mode
        )
        return firing or bool(on_its_way(core, strategy, symbol, self._market))

    def _intent(self, request: OrderRequest) -> dict[str, Any]:
        """Return what is journaled of an order that is not sent."""
        return {
            "at_ms": self._core.clock.now_ms(),
            "strategy": request.strategy,
            "symbol": request.symbol,
            "market": request.market,
            "side": request.side,
            "quantity": request.quantity,
            "why": request.why,
        }

    def _request(self, signal: Signal, bar: Bar) -> OrderRequest | None:
        core = self._core
        mark = core.marks.price(bar.symbol, self._market)
        instrument = core.instruments.get((bar.symbol, self._market))
        if mark is None or instrument is None:
            return None
        position = core.state.portfolio.strategies.get(strategy_key(signal.strategy, self._market, bar.symbol))
        held = position.book.quantity if position else Decimal(0)
        may_short = self._market is Market.FUTURES
        sleeve = Sleeve(
            strategy=signal.strategy,
            symbol=bar.symbol,
            market=self._market,
            held=held,
            closable=closable(core, signal.strategy, bar.symbol, self._market) if may_short else held,
            free=core.state.exposure.available(core.state.portfolio, instrument.venue, self._market, instrument.base),
            full_notional=self._settings.configs[signal.strategy].order_notional * self._scale(signal.strategy, bar),
            may_short=may_short,
        )
        why = {
            **signal.why,
            "bar_open_ms": str(bar.open_at_ms),
            "target": f"{signal.target:.4f}",
            "mark": plain(mark),
        }
        order = order_for(sleeve, instrument, mark, signal.target, why)
        return order if order is None or not may_short else self._netted(order, instrument, held)

    def _netted(self, order: OrderRequest, instrument: Instrument, held: Decimal) -> OrderRequest | None:
        """Return what of a USD-M order can go now, beside what other strategies hold; a later bar sends the rest."""
        quantity, reduces = order.quantity or Decimal(0), order.reduce_only
        if reduces:
            quantity, reduces = next_order(self._core, instrument, order.side, quantity)
        closes = held * order.side.sign < 0
        if quantity <= 0 or (closes and not reduces and has_to_wait(self._core, order.symbol, order.side)):
            return None
        return replace(order, quantity=quantity, reduce_only=reduces)

    def _scale(self, strategy: str, bar: Bar) -> Decimal:
        closes = [past.close for past in self._feed().history(bar.symbol)[-RISK_BARS:]]
        return Decimal(str(round(size_share(closes), 4))) * advised_scale(self._core, strategy, bar.symbol)
