"""Carries out matches: orders, trades, money and reports of both sides, in the order in which they happen."""

from __future__ import annotations

from msgspec.structs import replace

from engine_service.exchange_sim.enums import Market, OrderStatus, OrderType, Side, TimeInForce
from engine_service.exchange_sim.errors import ExchangeError, order_rejected
from engine_service.exchange_sim.events import ExecutionType
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.matching import (
    Fill,
    MatchPlan,
    Want,
    plan_against_accounts,
    plan_match,
)
from engine_service.exchange_sim.model import SimOrder, SimTrade
from engine_service.exchange_sim.order_lifecycle import OrderLifecycle

LIMIT_WHEN_WORKING = frozenset(
    {
        OrderType.LIMIT,
        OrderType.LIMIT_MAKER,
        OrderType.STOP_LOSS_LIMIT,
        OrderType.TAKE_PROFIT_LIMIT,
    }
)


class MatchingEngine(OrderLifecycle):
    """Matching over all listings."""

    # -- orders come in ----------------------------------------------------------------------------

    def submit(
        self,
        listing: Listing,
        order: SimOrder,
        at_ms: int,
        announce: ExecutionType = ExecutionType.NEW,
    ) -> tuple[SimOrder, tuple[SimTrade, ...]]:
        """Accept an order and match it. Raises what the venue refuses with; then nothing has changed."""
        plan = self.plan(listing, order)
        self._refuse_unfit(order, plan)
        if self._cannot_fill_at_once(listing, order, plan):
            plan = MatchPlan()
        if order.quote_quantity and order.type is OrderType.MARKET:
            order = replace(order, quantity=listing.to_quantity(plan.steps_filled))
        self._settlements[order.market].reserve(listing, order, plan)
        self._store.put(order)
        self.report(order, announce, at_ms)
        for maker in plan.expired_makers:
            self.end(listing, maker.order_id, OrderStatus.EXPIRED_IN_MATCH, ExecutionType.TRADE_PREVENTION, at_ms)
        trades = self._take(listing, order, plan.fills, at_ms)
        order = self._settle_remainder(listing, order, plan, at_ms)
        self.flush(order.market, at_ms)
        return order, tuple(trades)

    def plan(self, listing: Listing, order: SimOrder) -> MatchPlan:
        """What the order would do now."""
        by_quote = order.type is OrderType.MARKET and bool(order.quote_quantity)
        want = Want(
            side=order.side,
            account_id=order.account_id,
            stp=order.stp,
            limit_ticks=listing.to_ticks(order.price) if order.type in LIMIT_WHEN_WORKING else None,
            steps=None if by_quote else listing.to_steps(self.offerable(order)),
            budget=int(order.quote_quantity / listing.unit_value) if by_quote else None,
        )
        return plan_match(listing.quotes, listing.resting, want)

    def _refuse_unfit(self, order: SimOrder, plan: MatchPlan) -> None:
        takes = bool(plan.fills or plan.expired_makers or plan.taker_expires)
        if order.type is OrderType.LIMIT_MAKER and takes:
            raise order_rejected("Order would immediately match and take.")
        if order.time_in_force is TimeInForce.GTX and takes:
            raise ExchangeError(
                -5022,
                "Due to the order could not be executed as maker, the Post Only order will be rejected. "
                "The order will not be recorded in the order history",
            )

    def _cannot_fill_at_once(self, listing: Listing, order: SimOrder, plan: MatchPlan) -> bool:
        if order.time_in_force is not TimeInForce.FOK:
            return False
        missing = plan.steps_filled < listing.to_steps(order.remaining)
        if missing and order.market is Market.FUTURES:
            raise ExchangeError(
                -5021,
                "Due to the order could not be filled immediately, the FOK order has been rejected. "
                "The order will not be recorded in the order history",
            )
        return missing

    def _settle_remainder(self, listing: Listing, order: SimOrder, plan: MatchPlan, at_ms: int) -> SimOrder:
        order = self._current(order)
        if order.status is OrderStatus.FILLED:
            self._settlements[order.market].release(order)
            return order
        if plan.taker_expires:
            return self.end(
                listing, order.order_id, OrderStatus.EXPIRED_IN_MATCH, ExecutionType.TRADE_PREVENTION, at_ms
            )
        rests = order.type in LIMIT_WHEN_WORKING and order.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK)
        if not rests or not order.remaining:
            return self.end(listing, order.order_id, OrderStatus.EXPIRED, ExecutionType.EXPIRED, at_ms)
        self.rest(listing, order)
        self._settlements[order.market].release(order)
        return order

    # -- matches -----------------------------------------------------------------------------------

    def _take(self, listing: Listing, order: SimOrder, fills: list[Fill], at_ms: int) -> list[SimTrade]:
        """An account's order takes: its own trades."""
        ids = listing.print_trades([(f.price_ticks, f.steps) for f in fills], order.side, at_ms)
        mine = []
        for fill, trade_id in zip(fills, ids, strict=True):
            mine.append(self._trade_side(listing, order.order_id, fill, trade_id, False, at_ms))
            if fill.maker is not None:
                self._fill_maker(listing, fill, trade_id, at_ms)
                continue
            self._use_quotes(listing, order.side, fill)
            price, quantity = listing.to_price(fill.price_ticks), listing.to_quantity(fill.steps)
            self._settlements[order.market].settle_house(listing, -order.side.sign, price, quantity, at_ms)
        if fills:
            listing.touch_book()
        return mine

    def house_takes(self, listing: Listing, taker: Side, limit_ticks: int, steps: int, at_ms: int) -> int:
        """The market maker, or the crowd it stands for, trades with resting orders; returns the steps traded."""
        if listing.resting.is_empty(taker.opposite):
            return 0
        plan = plan_against_accounts(listing.resting, taker, limit_ticks, steps)
        ids = listing.print_trades([(f.price_ticks, f.steps) for f in plan.fills], taker, at_ms)
        settlement = self._settlements[listing.spec.market]
        for fill, trade_id in zip(plan.fills, ids, strict=True):
            self._fill_maker(listing, fill, trade_id, at_ms)
            price, quantity = listing.to_price(fill.price_ticks), listing.to_quantity(fill.steps)
            settlement.settle_house(listing, taker.sign, price, quantity, at_ms)
        if plan.fills:
            self.flush(listing.spec.market, at_ms)
        return plan.steps_filled

    def cross_quotes(self, listing: Listing, at_ms: int) -> None:
        """Fill the resting orders that the maker's new quotes have run into, as deep as the quotes go."""
        if not listing.resting:
            return
        for side in Side:
            if listing.resting.is_empty(side):
                continue
            best = next(listing.resting.best_first(side))
            for level in listing.quotes.levels(side):
                if (level[0] - best.price_ticks) * side.sign > 0:
                    break
                level[1] -= self.house_takes(listing, side.opposite, level[0], level[1], at_ms)

    def _fill_maker(self, listing: Listing, fill: Fill, trade_id: int, at_ms: int) -> None:
        assert fill.maker is not None  # noqa: S101 - callers hand over fills with accounts' orders only
        resting = fill.maker
        resting.steps -= fill.steps
        self._trade_side(listing, resting.order_id, fill, trade_id, True, at_ms)
        order = self._store.get(listing.spec.market, listing.spec.symbol, resting.order_id)
        if order is not None:
            self._settlements[order.market].release(order)
            if not order.status.is_open:
                listing.resting.remove(order.order_id)

    def _use_quotes(self, listing: Listing, taker: Side, fill: Fill) -> None:
        for level in listing.quotes.levels(taker):
            if level[0] == fill.price_ticks:
                level[1] -= fill.steps
                return

    def _trade_side(
        self, listing: Listing, order_id: int, fill: Fill, trade_id: int, is_maker: bool, at_ms: int
    ) -> SimTrade:
        """One account's side of a match: money, order, trade, report."""
        order = self._require(listing, order_id)
        price, quantity = listing.to_price(fill.price_ticks), listing.to_quantity(fill.steps)
        settled = self._settlements[order.market].settle(listing, order, price, quantity, trade_id, at_ms)
        executed = order.executed_quantity + quantity
        order = self._store.put(
            replace(
                order,
                executed_quantity=executed,
                executed_quote=order.executed_quote + price * quantity,
                status=OrderStatus.FILLED if executed == order.quantity else OrderStatus.PARTIALLY_FILLED,
                updated_ms=at_ms,
            )
        )
        trade = SimTrade(
            account_id=order.account_id,
            market=order.market,
            symbol=order.symbol,
            trade_id=trade_id,
            order_id=order_id,
            client_order_id=order.client_order_id,
            side=order.side,
            price=price,
            quantity=quantity,
            quote_quantity=price * quantity,
            fee=settled.fee,
            fee_asset=settled.fee_asset,
            at_ms=at_ms,
            is_maker=is_maker,
            realised_pnl=settled.realised_pnl,
            position_side=order.position_side,
            order_list_id=order.order_list_id,
        )
        self._store.add_trade(trade)
        self.report(order, ExecutionType.TRADE, at_ms, trade)
        return trade
