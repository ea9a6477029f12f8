"""USD-M: orders need margin, matches change positions, PnL and fees go to the wallet, each as an income entry."""

from __future__ import annotations

import itertools
from collections import defaultdict
from decimal import ROUND_DOWN, Decimal

from engine_service.exchange_sim.enums import OrderType, PositionSide, Side
from engine_service.exchange_sim.errors import ExchangeError, insufficient_margin
from engine_service.exchange_sim.event_bus import EventBus
from engine_service.exchange_sim.events import FuturesAccountEvent, WalletChange
from engine_service.exchange_sim.futures_ledger import MONEY_DIGITS, FuturesLedger
from engine_service.exchange_sim.futures_margin import FuturesMargin, OpenNotional
from engine_service.exchange_sim.ledger import HOUSE
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.matching import MatchPlan
from engine_service.exchange_sim.model import ZERO, Income, Position, SimOrder
from engine_service.exchange_sim.settlement import Settled
from engine_service.exchange_sim.specs import MARGIN_ASSET


class FuturesSettlement:
    """Settlement of the USD-M market on its ledger."""

    def __init__(self, ledger: FuturesLedger, margin: FuturesMargin, fee_rate: Decimal, bus: EventBus) -> None:
        self._ledger = ledger
        self._margin = margin
        self._fee_rate = fee_rate
        self._bus = bus
        self._touched: dict[str, set[tuple[str, PositionSide]]] = defaultdict(set)
        self._incomes: dict[str, list[Income]] = defaultdict(list)
        self._income_ids = itertools.count(1)

    def reserve(self, listing: Listing, order: SimOrder, plan: MatchPlan) -> None:
        """Raises -2022 where nothing is left to close, -2019 where margin does not suffice."""
        if order.type is OrderType.LIQUIDATION:
            return
        if self._margin.is_closing(order):
            self._check_closing(order)
            return
        price = order.price or _expected_price(listing, plan)
        notional = price * order.remaining
        extra = OpenNotional(buys=notional) if order.side is Side.BUY else OpenNotional(sells=notional)
        account, symbol = order.account_id, order.symbol
        more = self._margin.initial_margin(account, symbol, extra) - self._margin.initial_margin(account, symbol)
        balance = self._margin.balance(account, MARGIN_ASSET, MARGIN_ASSET)
        if more > 0 and more > balance.available:
            raise insufficient_margin()

    def _check_closing(self, order: SimOrder) -> None:
        closable = self._margin.closable(order.account_id, order.symbol, order.position_side, order.side)
        hedge = order.position_side is not PositionSide.BOTH
        if not closable or (hedge and order.remaining > closable):
            raise ExchangeError(-2022, "ReduceOnly Order is rejected.")

    def release(self, order: SimOrder) -> None:
        """Nothing to free: open orders' margin is computed from the orders that are open."""

    def closable(self, order: SimOrder) -> Decimal | None:
        if not self._margin.is_closing(order):
            return None
        return self._margin.closable(order.account_id, order.symbol, order.position_side, order.side)

    def settle(
        self, listing: Listing, order: SimOrder, price: Decimal, quantity: Decimal, trade_id: int, at_ms: int
    ) -> Settled:
        spec, account, side = listing.spec, order.account_id, order.position_side
        asset = spec.quote_asset
        signed = order.side.sign * quantity
        realised = self._ledger.trade(account, spec.symbol, side, signed, price, asset, at_ms)
        fee = (price * quantity * self._fee_rate).quantize(MONEY_DIGITS, ROUND_DOWN)
        self._ledger.charge_fee(account, asset, fee, at_ms)
        holding = self._ledger.holding(account, spec.symbol, side)
        holding.fees = holding.fees + fee if holding.quantity else ZERO
        self._touched[account].add((spec.symbol, side))
        if realised:
            self.add_income(account, spec.symbol, "REALIZED_PNL", realised, asset, at_ms, str(trade_id))
        self.add_income(account, spec.symbol, "COMMISSION", -fee, asset, at_ms, str(trade_id))
        return Settled(fee, asset, realised)

    def settle_house(self, listing: Listing, sign: int, price: Decimal, quantity: Decimal, at_ms: int) -> None:
        spec = listing.spec
        self._ledger.trade(HOUSE, spec.symbol, PositionSide.BOTH, sign * quantity, price, spec.quote_asset, at_ms)

    def flush(self, at_ms: int) -> list[tuple[str, str]]:
        changed = []
        for account, places in self._touched.items():
            positions = tuple(self._margin.position(account, *place) for place in sorted(places))
            self.publish_account(account, "ORDER", positions, ZERO, at_ms)
            changed += [(account, symbol) for symbol, _ in places]
        self._touched.clear()
        return changed

    def publish_account(
        self,
        account_id: str,
        reason: str,
        positions: tuple[Position, ...],
        change: Decimal,
        at_ms: int,
        asset: str = MARGIN_ASSET,
    ) -> None:
        """Send an ACCOUNT_UPDATE with the wallet as it stands."""
        wallet = self._ledger.wallets.get((account_id, asset), ZERO)
        isolated = sum((p.isolated_wallet for p in self._margin.held(account_id)), ZERO)
        cross = wallet - (isolated if asset == MARGIN_ASSET else ZERO)
        balance = WalletChange(asset, wallet, cross, change)
        self._bus.publish(FuturesAccountEvent(account_id, reason, (balance,), positions, at_ms))

    def add_income(
        self,
        account_id: str,
        symbol: str,
        income_type: str,
        amount: Decimal,
        asset: str,
        at_ms: int,
        trade_id: str = "",
    ) -> None:
        self._incomes[account_id].append(
            Income(account_id, symbol, income_type, amount, asset, at_ms, next(self._income_ids), trade_id)
        )

    def incomes(self, account_id: str) -> list[Income]:
        """An account's income entries, oldest first."""
        return self._incomes.get(account_id, [])


def _expected_price(listing: Listing, plan: MatchPlan) -> Decimal:
    if not plan.steps_filled:
        return listing.last_price
    return plan.cost * listing.unit_tick / plan.steps_filled
