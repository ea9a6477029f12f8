"""Who would trade with whom: price-time matching as a pure plan, before anything changes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine_service.exchange_sim.book import MakerQuotes, Resting, RestingOrders
from engine_service.exchange_sim.enums import SelfTradePrevention, Side


class Fill(msgspec.Struct, frozen=True):
    """A match to come. `maker` None: the market maker's level."""

    price_ticks: int
    steps: int
    maker: Resting | None


class MatchPlan(msgspec.Struct):
    """What an incoming order would do.

    Attributes:
        fills: matches in order.
        expired_makers: the account's own orders that self-trade prevention takes out.
        taker_expires: self-trade prevention ends the incoming order after `fills`.
        steps_filled: sum over fills.
        cost: sum of price_ticks x steps.
    """

    fills: list[Fill] = msgspec.field(default_factory=list)
    expired_makers: list[Resting] = msgspec.field(default_factory=list)
    taker_expires: bool = False
    steps_filled: int = 0
    cost: int = 0


class Want(msgspec.Struct, frozen=True, gc=False):
    """An incoming order's wish, bounded by `steps` or `budget` (ticks x steps); `limit_ticks` None: any price."""

    side: Side
    account_id: str
    stp: SelfTradePrevention
    limit_ticks: int | None = None
    steps: int | None = None
    budget: int | None = None

    def accepts(self, price_ticks: int) -> bool:
        if self.limit_ticks is None:
            return True
        return (price_ticks - self.limit_ticks) * self.side.sign <= 0

    def still_wanted(self, plan: MatchPlan, price_ticks: int) -> int:
        """Steps it would still take at a price."""
        if self.steps is not None:
            return self.steps - plan.steps_filled
        return ((self.budget or 0) - plan.cost) // price_ticks


def plan_match(quotes: MakerQuotes, resting: RestingOrders, want: Want) -> MatchPlan:
    """Walk both books, best price first, accounts before the market maker at one price."""
    plan = MatchPlan()
    for price_ticks, offered, maker in _offers(quotes, resting, want.side):
        wanted = want.still_wanted(plan, price_ticks)
        if wanted <= 0 or not want.accepts(price_ticks):
            break
        if _prevents(want, maker):
            if want.stp is not SelfTradePrevention.EXPIRE_TAKER and maker is not None:
                plan.expired_makers.append(maker)
            if want.stp is not SelfTradePrevention.EXPIRE_MAKER:
                plan.taker_expires = True
                break
            continue
        steps = min(wanted, offered)
        plan.fills.append(Fill(price_ticks, steps, maker))
        plan.steps_filled += steps
        plan.cost += steps * price_ticks
    return plan


def plan_against_accounts(resting: RestingOrders, taker: Side, limit_ticks: int, steps: int) -> MatchPlan:
    """The market maker or the crowd takes: only accounts' orders at `limit_ticks` or better, at their prices."""
    plan = MatchPlan()
    for order in resting.best_first(taker.opposite):
        beyond = (order.price_ticks - limit_ticks) * taker.sign > 0
        if beyond or plan.steps_filled >= steps:
            break
        if not order.steps:
            continue
        part = min(order.steps, steps - plan.steps_filled)
        plan.fills.append(Fill(order.price_ticks, part, order))
        plan.steps_filled += part
        plan.cost += part * order.price_ticks
    return plan


def _prevents(want: Want, maker: Resting | None) -> bool:
    return maker is not None and maker.account_id == want.account_id and want.stp is not SelfTradePrevention.NONE


def _offers(quotes: MakerQuotes, resting: RestingOrders, taker: Side) -> Iterator[tuple[int, int, Resting | None]]:
    """(price, steps, order or None) that a taker meets, in the order in which it meets them."""
    orders = (o for o in resting.best_first(taker.opposite) if o.steps)
    order = next(orders, None)
    for price, steps in quotes.levels(taker):
        while order is not None and (order.price_ticks - price) * taker.sign <= 0:
            yield order.price_ticks, order.steps, order
            order = next(orders, None)
        if steps:
            yield price, steps, None
    while order is not None:
        yield order.price_ticks, order.steps, order
        order = next(orders, None)
