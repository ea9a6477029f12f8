"""Take-profit and stop-loss of a strategy's entries, watched by the engine on the mark.

A bracket is armed in the journal when an entry has ended with fills, so it survives a restart; it closes when its exit
has traded or when its strategy is flat for another reason. Exits pass through the same door, and only reduce but for
what other strategies hold against them on USD-M (``closing``). While the strategy has an order that closes on its way
or in doubt, no other is sent: it may have traded. What is refused is tried ever more slowly and told once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Final

import structlog

from engine_service.domain import events as e
from engine_service.domain.errors import EngineError, Refused
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.marks import Mark
from engine_service.domain.money import ZERO, plain
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.protect_end import unprotected
from engine_service.runtime.closing import closable, has_to_wait, next_order
from engine_service.runtime.own_orders import bracket_task, on_its_way, signal_task
from engine_service.runtime.stop_outs import StopOuts
from engine_service.runtime.strategy_config import StrategyConfig
from engine_service.storage.port import Recorded
from strategies.brackets import BracketLevels, BracketOptions, levels

Submit = Callable[[OrderRequest, str], Awaitable[None]]

#: An exit that a rail refuses is sent again after a second, then after twice as long each time, up to this.
LONGEST_WAIT_S: Final = 15.0

_log = structlog.get_logger(__name__)


class BracketWatcher:
    """Arms on fills, fires on marks. The open brackets are the journal's own (``state.image.brackets``)."""

    def __init__(
        self, core: EngineCore, configs: Mapping[str, StrategyConfig], submit: Submit, stop_outs: StopOuts
    ) -> None:
        self._core = core
        self._configs = configs
        self._submit = submit
        self._attempts: dict[str, int] = {}
        #: By bracket and whether its order only reduced: how long to wait after a refusal, and until when.
        self._waits: dict[tuple[str, bool], tuple[float, float]] = {}
        self._told: set[str] = set()
        self._stop_outs = stop_outs
        self._caught_up = False

    def on_event(self, recorded: Recorded) -> None:
        """Bus handler: an entry that ended with fills gets its bracket, an exit that traded ends one."""
        event = recorded.event
        if not isinstance(event, e.OrderFilled | e.OrderCanceled | e.OrderExpired):
            return
        order = self._core.state.order(event.client_order_id)
        if order is None:
            return
        bracket = self._core.state.image.brackets.get(order.why.get("bracket", ""))
        if bracket is not None and not bracket.mode and order.status is OrderStatus.FILLED:
            # One that another order's lock kept small leaves a rest, and that stays watched.
            if self._left(bracket) <= 0:
                self._close(bracket, order.leg)
        elif self._wants_bracket(order):
            self._arm(order)

    def on_mark(self, mark: Mark) -> None:
        """Mark listener: fire every bracket whose level is reached; runs in the quote's own turn."""
        price = mark.price if mark.is_valid and self._core.ready else None
        if price is None:
            return
        if not self._caught_up:
            self._caught_up = True
            self._catch_up()
        for bracket in tuple(self._core.state.image.brackets.values()):
            if not bracket.mode and bracket.symbol == mark.symbol and bracket.market is mark.market:
                self._check(bracket, price)

    def _catch_up(self) -> None:
        """Do what a kill cut off: end the brackets whose exit has traded, arm the entry that came last of a line."""
        image = self._core.state.image
        for bracket in tuple(image.brackets.values()):
            done = [order.leg for order in self._exits(bracket) if order.status is OrderStatus.FILLED]
            if done and not bracket.mode and self._left(bracket) <= 0:
                self._close(bracket, done[-1])
        newest: dict[tuple[str, str, Market], Order] = {}
        for order in image.orders.values():
            line = (order.strategy, order.symbol, order.market)
            if line not in newest or order.created_at_ms >= newest[line].created_at_ms:
                newest[line] = order
        for order in newest.values():
            if self._wants_bracket(order):
                self._arm(order)

    def _wants_bracket(self, order: Order) -> bool:
        config = self._configs.get(order.strategy)
        return (
            config is not None
            and config.brackets
            and order.leg == "entry"
            and order.bracket is None
            and not order.is_open
            and order.filled_quantity > 0
            and order.client_order_id not in self._core.state.image.brackets
            and order.client_order_id not in self._core.state.image.closed_brackets
        )

    def _arm(self, order: Order) -> None:
        price = order.average_price
        if price is None:
            return
        config = self._configs[order.strategy]
        options = BracketOptions(take_profit_bps=config.take_profit_bps, stop_loss_bps=config.stop_loss_bps)
        prices = levels(price, is_long=order.side is OrderSide.BUY, options=options)
        self._core.record(
            e.BracketArmed(
                at_ms=self._core.clock.now_ms(),
                bracket_id=order.client_order_id,
                symbol=order.symbol,
                market=order.market,
                strategy=order.strategy,
                entry_side=order.side,
                quantity=order.filled_quantity,
                take_profit=prices.take_profit,
                stop_loss=prices.stop_loss,
                entry_order_id=order.client_order_id,
            )
        )

    def _check(self, bracket: e.BracketArmed, price: Decimal) -> None:
        is_firing = bracket_task(bracket.bracket_id) in self._core.tasks
        if is_firing or bracket.take_profit is None or bracket.stop_loss is None:
            return
        held = self._held(bracket)
        prices = BracketLevels(take_profit=bracket.take_profit, stop_loss=bracket.stop_loss)
        outcome = prices.hit(price, is_long=bracket.entry_side is OrderSide.BUY)
        if (held > 0 and outcome is None) or self._is_closing(bracket):
            return
        exits = self._exits(bracket)
        quantity = _still_open(bracket, held, exits)
        if quantity <= 0 or outcome is None:
            traded = [order.leg for order in exits if order.filled_quantity > 0]
            self._close(bracket, traded[-1] if traded else "flat")
            return
        instrument = self._core.instruments.get((bracket.symbol, bracket.market))
        if instrument is None:
            return
        quantity = instrument.round_quantity(quantity, market_order=True)
        if quantity <= 0:
            self._close(bracket, outcome)
            return
        free = instrument.round_quantity(self._free(bracket, instrument, quantity), market_order=True)
        part, reduces = next_order(self._core, instrument, bracket.entry_side.opposite, free)
        if part > 0:
            self._send(bracket, outcome, part, reduces=reduces, attempt=len(exits) + 1)
        elif free > 0:
            self._leave(bracket, instrument, quantity, exits)

    def _send(self, bracket: e.BracketArmed, outcome: str, quantity: Decimal, *, reduces: bool, attempt: int) -> None:
        _, until_s = self._waits.get((bracket.bracket_id, reduces), (0.0, 0.0))
        if self._core.clock.monotonic_s() < until_s:
            return
        if not reduces and has_to_wait(self._core, bracket.symbol, bracket.entry_side.opposite):
            return
        attempt = max(self._attempts.get(bracket.bracket_id, 0) + 1, attempt)
        self._attempts[bracket.bracket_id] = attempt
        request = OrderRequest(
            symbol=bracket.symbol,
            market=bracket.market,
            side=bracket.entry_side.opposite,
            type=OrderType.MARKET,
            quantity=quantity,
            reduce_only=reduces,
            strategy=bracket.strategy,
            leg=outcome,
            why={"bracket": bracket.bracket_id, "outcome": outcome},
        )
        self._core.spawn(bracket_task(bracket.bracket_id), self._fire(bracket, request, attempt))

    async def _fire(self, bracket: e.BracketArmed, request: OrderRequest, attempt: int) -> None:
        waits = (bracket.bracket_id, request.reduce_only)
        try:
            # Its trades close the bracket; what they leave, or all if there are none, is for the next mark.
            await self._submit(request, f"{bracket.bracket_id}:{request.leg}:{attempt}")
            self._waits.pop(waits, None)
        except EngineError as error:
            # The level still stands: a later mark tries again.
            _log.warning("bracket exit refused", symbol=bracket.symbol, code=error.code, detail=error.detail)
            if isinstance(error, Refused):
                wait_s = min(LONGEST_WAIT_S, 2 * self._waits.get(waits, (0.5, 0.0))[0])
                self._waits[waits] = (wait_s, self._core.clock.monotonic_s() + wait_s)
                self._tell(bracket, f"{request.leg}: {error.code}: {error.detail}")
            await self._core.sleep(1.0)

    def _leave(self, bracket: e.BracketArmed, instrument: Instrument, quantity: Decimal, exits: list[Order]) -> None:
        """Send nothing that the venue is sure to refuse; end the bracket where it never will be more."""
        self._tell(bracket, f"{plain(quantity)} of {bracket.symbol} are less than the venue takes, and were not closed")
        traded = [order.leg for order in exits if order.filled_quantity > 0]
        if quantity < instrument.min_quantity or (traded and bracket.market is Market.SPOT):
            self._close(bracket, traded[-1] if traded else "flat")

    def _tell(self, bracket: e.BracketArmed, why: str) -> None:
        if bracket.bracket_id in self._told:
            return
        self._told.add(bracket.bracket_id)
        self._core.record(unprotected(self._core, bracket, why))

    def _is_closing(self, bracket: e.BracketArmed) -> bool:
        if signal_task(bracket.strategy, bracket.symbol) in self._core.tasks:
            return True
        under_way = on_its_way(self._core, bracket.strategy, bracket.symbol, bracket.market)
        return any(order.side is bracket.entry_side.opposite for order in under_way)

    def _exits(self, bracket: e.BracketArmed) -> list[Order]:
        """Return the exits of a bracket so far, oldest first."""
        orders = self._core.state.image.orders.values()
        return [order for order in orders if order.why.get("bracket") == bracket.bracket_id]

    def _held(self, bracket: e.BracketArmed) -> Decimal:
        """Return what the strategy still holds in the bracket's direction, and the account has."""
        held = closable(self._core, bracket.strategy, bracket.symbol, bracket.market) * bracket.entry_side.sign
        instrument = self._core.instruments.get((bracket.symbol, bracket.market))
        step = instrument.step if instrument is not None else ZERO
        return held if held >= step else ZERO

    def _left(self, bracket: e.BracketArmed) -> Decimal:
        """Return what is still to be closed, rounded down to what can be."""
        left = _still_open(bracket, self._held(bracket), self._exits(bracket))
        instrument = self._core.instruments.get((bracket.symbol, bracket.market))
        return left if instrument is None else instrument.round_quantity(left, market_order=True)

    def _free(self, bracket: e.BracketArmed, instrument: Instrument, quantity: Decimal) -> Decimal:
        """Return how much of a quantity no other order locks."""
        core = self._core
        if bracket.market is not Market.SPOT:
            return quantity
        free = core.state.exposure.available(core.state.portfolio, instrument.venue, bracket.market, instrument.base)
        if free >= quantity:
            return quantity
        return free if free >= instrument.step else ZERO

    def _close(self, bracket: e.BracketArmed, outcome: str) -> None:
        if bracket.bracket_id not in self._core.state.image.brackets:
            return
        self._attempts.pop(bracket.bracket_id, None)
        self._told.discard(bracket.bracket_id)
        for reduces in (True, False):
            self._waits.pop((bracket.bracket_id, reduces), None)
        self._core.record(
            e.BracketClosed(
                at_ms=self._core.clock.now_ms(),
                bracket_id=bracket.bracket_id,
                symbol=bracket.symbol,
                market=bracket.market,
                outcome=outcome,
                exit_order_id="",
            )
        )
        if outcome == "stop_loss":
            self._stop_outs.note(bracket.symbol, bracket.market)


def _still_open(bracket: e.BracketArmed, held: Decimal, exits: list[Order]) -> Decimal:
    """Return what a bracket's exits have not closed yet of what its strategy holds."""
    return min(held, bracket.quantity - sum((order.filled_quantity for order in exits), ZERO))
