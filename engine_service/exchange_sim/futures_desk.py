"""USD-M accounts as their owners see and set them, and what befalls them: funding, liquidation, transfers."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from decimal import Decimal

from engine_service.exchange_sim.enums import MarginType, Market, OrderType, PositionSide, Side
from engine_service.exchange_sim.errors import ExchangeError, insufficient_margin
from engine_service.exchange_sim.event_bus import EventBus
from engine_service.exchange_sim.events import LeverageEvent
from engine_service.exchange_sim.futures_ledger import MONEY_DIGITS, FuturesLedger
from engine_service.exchange_sim.futures_margin import FuturesMargin, max_notional
from engine_service.exchange_sim.futures_settings import FuturesSettings
from engine_service.exchange_sim.futures_settlement import FuturesSettlement
from engine_service.exchange_sim.ledger import HOUSE
from engine_service.exchange_sim.listings import Listings
from engine_service.exchange_sim.model import ZERO, FuturesBalance, Income, NewOrder, Position
from engine_service.exchange_sim.order_desk import OrderDesk
from engine_service.exchange_sim.public_data import FundingRate
from engine_service.exchange_sim.specs import MARGIN_ASSET


class FuturesDesk:
    """Wallets, positions and settings of USD-M accounts."""

    def __init__(
        self,
        ledger: FuturesLedger,
        margin: FuturesMargin,
        settings: FuturesSettings,
        settlement: FuturesSettlement,
        orders: OrderDesk,
        listings: Listings,
        fee_rate: Decimal,
        bus: EventBus,
        now_ms: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._margin = margin
        self._settings = settings
        self._settlement = settlement
        self._orders = orders
        self._listings = listings
        self._fee_rate = fee_rate
        self._bus = bus
        self._now_ms = now_ms

    # -- what an account has -----------------------------------------------------------------------

    def balances(self, account_id: str) -> list[FuturesBalance]:
        """Every asset of the futures wallet, by name; the margin asset always."""
        assets = {asset for account, asset in self._ledger.wallets if account == account_id}
        return [self._margin.balance(account_id, asset, MARGIN_ASSET) for asset in sorted(assets | {MARGIN_ASSET})]

    def positions(self, account_id: str, symbol: str | None = None) -> list[Position]:
        """Every symbol: BOTH in one-way mode, LONG and SHORT in hedge mode, flat ones too."""
        if symbol is not None:
            self._listings[Market.FUTURES, symbol]
        return self._margin.positions(account_id, symbol)

    def income(
        self,
        account_id: str,
        symbol: str | None = None,
        income_type: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 100,
    ) -> list[Income]:
        """Wallet changes, oldest first; without a start the last `limit`."""
        found = [
            entry
            for entry in self._settlement.incomes(account_id)
            if symbol in (None, entry.symbol)
            and income_type in (None, entry.income_type)
            and (start_ms is None or entry.at_ms >= start_ms)
            and (end_ms is None or entry.at_ms <= end_ms)
        ]
        return found[:limit] if start_ms is not None else found[-limit:]

    def fee_rates(self, account_id: str, symbol: str) -> tuple[Decimal, Decimal]:
        """(maker, taker) as fractions of the notional."""
        self._listings[Market.FUTURES, symbol]
        return self._fee_rate, self._fee_rate

    # -- what an account sets ----------------------------------------------------------------------

    def is_hedge_mode(self, account_id: str) -> bool:
        return self._settings.is_hedge_mode(account_id)

    def set_hedge_mode(self, account_id: str, on: bool) -> None:
        """Raises -4059 unchanged, -4067 open orders, -4068 positions."""
        if on is self._settings.is_hedge_mode(account_id):
            raise ExchangeError(-4059, "No need to change position side.")
        if self._orders.open_orders(account_id, Market.FUTURES):
            raise ExchangeError(-4067, "Position side cannot be changed if there exists open orders.")
        if self._margin.held(account_id):
            raise ExchangeError(-4068, "Position side cannot be changed if there exists position.")
        self._settings.set_hedge_mode(account_id, on)

    def leverage(self, account_id: str, symbol: str) -> int:
        return self._settings.leverage(account_id, symbol)

    def set_leverage(self, account_id: str, symbol: str, leverage: int) -> Decimal:
        """Returns the largest position in quote at that leverage. Raises -4028, -2019 (margin too short)."""
        spec = self._listings[Market.FUTURES, symbol].spec
        if not 1 <= leverage <= spec.max_leverage:
            raise ExchangeError(-4028, f"Leverage {leverage} is not valid")
        before = self._settings.leverage(account_id, symbol)
        margin_before = self._margin.initial_margin(account_id, symbol)
        available = self._margin.balance(account_id, MARGIN_ASSET, MARGIN_ASSET).available
        self._settings.set_leverage(account_id, symbol, leverage)
        if self._margin.initial_margin(account_id, symbol) - margin_before > available:
            self._settings.set_leverage(account_id, symbol, before)
            raise insufficient_margin()
        self._bus.publish(LeverageEvent(account_id, symbol, leverage, self._now_ms()))
        return max_notional(spec, leverage)

    def margin_type(self, account_id: str, symbol: str) -> MarginType:
        return self._settings.margin_type(account_id, symbol)

    def set_margin_type(self, account_id: str, symbol: str, margin_type: MarginType) -> None:
        """Raises -4046 unchanged, -4047 open orders, -4048 position."""
        self._listings[Market.FUTURES, symbol]
        if margin_type is self._settings.margin_type(account_id, symbol):
            raise ExchangeError(-4046, "No need to change margin type.")
        if self._orders.open_orders(account_id, Market.FUTURES, symbol):
            raise ExchangeError(-4047, "Margin type cannot be changed if there exists open orders.")
        held = tuple(p for p in self._margin.held(account_id) if p.symbol == symbol)
        if held:
            raise ExchangeError(-4048, "Margin type cannot be changed if there exists position.")
        self._settings.set_margin_type(account_id, symbol, margin_type)

    # -- what befalls it ---------------------------------------------------------------------------

    def transfer(self, account_id: str, asset: str, amount: Decimal) -> None:
        """Money comes in (negative: goes out). Raises -2019 when more would go out than is available."""
        if amount < 0:
            has = self._margin.balance(account_id, asset, MARGIN_ASSET).available
            if has + amount < 0:
                raise insufficient_margin()
        now = self._now_ms()
        self._ledger.deposit(account_id, asset, amount, now)
        self._settlement.add_income(account_id, "", "TRANSFER", amount, asset, now)
        reason = "DEPOSIT" if amount > 0 else "WITHDRAW"
        self._settlement.publish_account(account_id, reason, (), amount, now, asset)

    def pay_funding(self, rates: list[FundingRate]) -> None:
        """Longs pay shorts (or the other way for a negative rate); the market maker is the rest of the sum."""
        by_symbol = {rate.symbol: rate for rate in rates}
        for (account, symbol, side), holding in list(self._ledger.holdings.items()):
            rate = by_symbol.get(symbol)
            if account == HOUSE or rate is None or not holding.quantity:
                continue
            amount = (holding.quantity * rate.mark * rate.rate).quantize(MONEY_DIGITS)
            self._ledger.transfer(account, HOUSE, MARGIN_ASSET, amount, rate.at_ms)
            self._settlement.add_income(account, symbol, "FUNDING_FEE", -amount, MARGIN_ASSET, rate.at_ms)
            position = self._margin.position(account, symbol, side)
            isolated = position.margin_type is MarginType.ISOLATED
            shown = (position,) if isolated else ()
            self._settlement.publish_account(account, "FUNDING_FEE", shown, -amount, rate.at_ms)

    def liquidate(self, at_ms: int) -> None:
        """Close what the margin no longer carries: isolated positions alone, crossed ones together."""
        owners = {account for (account, _, _), h in self._ledger.holdings.items() if h.quantity and account != HOUSE}
        for account in sorted(owners):
            held = self._margin.held(account)
            for position in held:
                isolated = position.margin_type is MarginType.ISOLATED
                if isolated and position.isolated_margin <= position.maintenance_margin:
                    self._close_out(account, position, at_ms)
            crossed = [p for p in held if p.margin_type is MarginType.CROSSED]
            balance = self._margin.balance(account, MARGIN_ASSET, MARGIN_ASSET)
            equity = balance.cross_wallet + balance.cross_unrealised_pnl
            if crossed and equity <= sum((p.maintenance_margin for p in crossed), ZERO):
                for position in crossed:
                    self._close_out(account, position, at_ms)
            self._cover_loss(account, at_ms)

    def _close_out(self, account_id: str, position: Position, at_ms: int) -> None:
        self._orders.cancel_all(account_id, Market.FUTURES, position.symbol)
        listing = self._listings[Market.FUTURES, position.symbol]
        one_way = position.side is PositionSide.BOTH
        ticket = NewOrder(
            market=Market.FUTURES,
            symbol=position.symbol,
            side=Side.SELL if position.quantity > 0 else Side.BUY,
            type=OrderType.MARKET,
            quantity=abs(position.quantity),
            client_order_id=f"autoclose-{at_ms}{secrets.token_hex(3)}",
            position_side=position.side,
            reduce_only=one_way,
        )
        self._orders.place_checked(account_id, ticket, listing, original_type=OrderType.LIQUIDATION)

    def _cover_loss(self, account_id: str, at_ms: int) -> None:
        """The market maker, as the insurance fund, makes good a wallet below zero that has no position left."""
        wallet = self._ledger.wallets.get((account_id, MARGIN_ASSET), ZERO)
        if wallet >= 0 or self._margin.held(account_id):
            return
        self._ledger.transfer(HOUSE, account_id, MARGIN_ASSET, -wallet, at_ms)
        self._settlement.add_income(account_id, "", "INSURANCE_CLEAR", -wallet, MARGIN_ASSET, at_ms)
        self._settlement.publish_account(account_id, "INSURANCE_CLEAR", (), -wallet, at_ms)
