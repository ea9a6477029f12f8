"""Spot: orders lock what they may need; matches move base against quote; fees come out of what is received."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

from engine_service.exchange_sim.accounts import AccountBook
from engine_service.exchange_sim.enums import OrderType, Side
from engine_service.exchange_sim.event_bus import EventBus
from engine_service.exchange_sim.events import SpotPositionEvent
from engine_service.exchange_sim.ledger import HOUSE, SpotLedger
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.matching import MatchPlan
from engine_service.exchange_sim.model import ZERO, SimOrder
from engine_service.exchange_sim.settlement import Settled

ASSET_DIGITS = Decimal("1E-8")
BNB_FACTOR = Decimal("0.75")
_MARKET_WHEN_TRIGGERED = (OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)


class SpotSettlement:
    """Settlement of the spot market on its ledger."""

    def __init__(
        self,
        ledger: SpotLedger,
        accounts: AccountBook,
        fee_rate: Decimal,
        price_of: Callable[[str], Decimal | None],
        bus: EventBus,
    ) -> None:
        """`price_of`: last spot price of a symbol, None where it is not listed."""
        self._ledger = ledger
        self._accounts = accounts
        self._fee_rate = fee_rate
        self._price_of = price_of
        self._bus = bus

    def reserve(self, listing: Listing, order: SimOrder, plan: MatchPlan) -> None:
        spec = listing.spec
        if order.side is Side.SELL:
            asset, amount = spec.base_asset, order.remaining
        elif order.type is OrderType.MARKET or (order.is_working and order.type in _MARKET_WHEN_TRIGGERED):
            asset, amount = spec.quote_asset, plan.cost * listing.unit_value
        else:
            asset, amount = spec.quote_asset, _resting_cost(order)
        self._ledger.lock(order.account_id, order.symbol, order.order_id, asset, amount)

    def release(self, order: SimOrder) -> None:
        keep = ZERO
        if order.status.is_open:
            keep = order.remaining if order.side is Side.SELL else _resting_cost(order)
        self._ledger.shrink_lock(order.symbol, order.order_id, keep)

    def closable(self, order: SimOrder) -> Decimal | None:
        return None

    def settle(
        self,
        listing: Listing,
        order: SimOrder,
        price: Decimal,
        quantity: Decimal,
        trade_id: int,
        at_ms: int,
    ) -> Settled:
        spec, account, quote = listing.spec, order.account_id, price * quantity
        if order.side is Side.BUY:
            self._ledger.pay(account, order.symbol, order.order_id, spec.quote_asset, quote)
            received, amount = spec.base_asset, quantity
        else:
            self._ledger.pay(account, order.symbol, order.order_id, spec.base_asset, quantity)
            received, amount = spec.quote_asset, quote
        self._ledger.receive(account, received, amount)
        return self._charge(account, received, amount, spec.quote_asset, quote)

    def settle_house(
        self,
        listing: Listing,
        sign: int,
        price: Decimal,
        quantity: Decimal,
        at_ms: int,
    ) -> None:
        spec, quote = listing.spec, price * quantity
        paid, received = (spec.quote_asset, quote), (spec.base_asset, quantity)
        if sign < 0:
            paid, received = received, paid
        self._ledger.pay_from_house(*paid)
        self._ledger.receive(HOUSE, *received)

    def flush(self, at_ms: int) -> list[tuple[str, str]]:
        for account, balances in self._ledger.drain_touched().items():
            self._bus.publish(SpotPositionEvent(account, balances, at_ms))
        return []

    def _charge(self, account: str, received: str, amount: Decimal, quote_asset: str, quote: Decimal) -> Settled:
        if self._accounts.pays_fees_in_bnb(account):
            fee = self._fee_in_bnb(received, amount, quote_asset, quote)
            if fee is not None and self._ledger.take_fee(account, "BNB", fee):
                return Settled(fee, "BNB")
        fee = (amount * self._fee_rate).quantize(ASSET_DIGITS, ROUND_DOWN)
        self._ledger.take_fee(account, received, fee)
        return Settled(fee, received)

    def _fee_in_bnb(self, received: str, amount: Decimal, quote_asset: str, quote: Decimal) -> Decimal | None:
        rate = self._fee_rate * BNB_FACTOR
        if received == "BNB":
            return (amount * rate).quantize(ASSET_DIGITS, ROUND_DOWN)
        worth = self._worth_in_bnb(quote_asset, quote)
        return None if worth is None else (worth * rate).quantize(ASSET_DIGITS, ROUND_DOWN)

    def _worth_in_bnb(self, asset: str, amount: Decimal) -> Decimal | None:
        """An amount in BNB at last prices, directly or by way of USDT."""
        direct = self._price_of(f"BNB{asset}")
        if direct:
            return amount / direct
        to_usdt, bnb_usdt = self._price_of(f"{asset}USDT"), self._price_of("BNBUSDT")
        return amount * to_usdt / bnb_usdt if to_usdt and bnb_usdt else None


def _resting_cost(order: SimOrder) -> Decimal:
    """Quote that a buy order may still cost: at its limit, or at its trigger where it has none."""
    return (order.price or order.stop_price) * order.remaining
