"""The exchange: one object that the wire layers talk to.

    exchange.accounts      keys and accounts                       accounts.AccountBook
    exchange.market_data   everything public                        market_data.MarketData
    exchange.orders        orders of both markets                   order_desk.OrderDesk
    exchange.algo          conditional USD-M orders                 algo_desk.AlgoDesk
    exchange.spot          spot balances                            ledger.SpotLedger
    exchange.futures       USD-M wallets, positions, settings       futures_desk.FuturesDesk
    exchange.faults        faults in force                          faults.Faults

Every refusal is an `ExchangeError`. All calls are synchronous, on the event loop's thread. Time comes from a clock
given at construction; `advance_to` moves the market.

THE METHODS BELOW THE CLASS `Exchange` MOVE TO THE MODULES NAMED ABOVE; their signatures are final.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from engine_service.exchange_sim.events import AccountEvent, MarketEvent, StreamKey
from engine_service.exchange_sim.faults import Faults
from engine_service.exchange_sim.model import (
    AccountSpec,
    AggTrade,
    AlgoOrder,
    ApiKey,
    Balance,
    Bar,
    BookTop,
    Depth,
    FundingRate,
    FuturesBalance,
    Income,
    MarginType,
    Market,
    MarkPrice,
    NewOrder,
    OrderType,
    Position,
    PositionSide,
    PublicTrade,
    RegimePoint,
    Side,
    SimOrder,
    SimTrade,
    SymbolSpec,
    Ticker24h,
    TimeInForce,
    WorkingType,
)


class Exchange:
    accounts: AccountBook
    market_data: MarketData
    orders: OrderDesk
    algo: AlgoDesk
    spot: SpotLedger
    futures: FuturesDesk
    faults: Faults

    def server_time_ms(self) -> int:
        """The exchange's clock: epoch ms, with any skew fault in it."""

    def subscribe(self, callback: Callable[[MarketEvent | AccountEvent], None]) -> None:
        """Have every event delivered; the callback must only queue. Market events only for watched keys."""

    def watch(self, key: StreamKey) -> None:
        """Ask for a market stream (counted: each watch needs its `unwatch`). ExchangeError(-1121) for an unknown symbol."""

    def unwatch(self, key: StreamKey) -> None: ...

    def advance_to(self, now_ms: int) -> None:
        """Let the market run up to a time: ticks, bars, fills of resting orders, triggers, funding."""

    def regimes(self, start_ms: int | None = None, end_ms: int | None = None) -> list[RegimePoint]: ...

    def deposit(self, account_id: str, market: Market, asset: str, amount: Decimal) -> None:
        """Move money in (negative: out)."""


class AccountBook:
    def by_key(self, api_key: str) -> tuple[AccountSpec, ApiKey] | None: ...

    def get(self, account_id: str) -> AccountSpec: ...

    def all(self) -> tuple[AccountSpec, ...]: ...

    def set_fees_in_bnb(self, account_id: str, on: bool) -> None: ...

    def pays_fees_in_bnb(self, account_id: str) -> bool: ...


class MarketData:
    def specs(self, market: Market) -> tuple[SymbolSpec, ...]: ...

    def spec(self, market: Market, symbol: str) -> SymbolSpec:
        """Raises ExchangeError(-1121)."""

    def klines(
        self,
        market: Market,
        symbol: str,
        interval: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[Bar]:
        """Bars whose open time is in [start, end], oldest first; the last may still run. With start: the first
        `limit` from it; without: the last `limit`. ExchangeError(-1120) for an unknown interval."""

    def depth(self, market: Market, symbol: str, limit: int = 100) -> Depth: ...

    def recent_trades(self, market: Market, symbol: str, limit: int = 500) -> list[PublicTrade]: ...

    def historical_trades(
        self, market: Market, symbol: str, from_id: int | None = None, limit: int = 500
    ) -> list[PublicTrade]: ...

    def agg_trades(
        self,
        market: Market,
        symbol: str,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[AggTrade]: ...

    def ticker_24h(self, market: Market, symbol: str) -> Ticker24h: ...

    def book_top(self, market: Market, symbol: str) -> BookTop: ...

    def last_price(self, market: Market, symbol: str) -> Decimal: ...

    def average_price(self, symbol: str) -> Decimal:
        """Spot volume-weighted average over 5 minutes (avgPrice)."""

    def mark_price(self, symbol: str) -> MarkPrice: ...

    def funding_history(
        self,
        symbol: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 100,
    ) -> list[FundingRate]: ...


class OrderDesk:
    def place(self, account_id: str, ticket: NewOrder) -> tuple[SimOrder, tuple[SimTrade, ...]]:
        """Accept an order, match it, and return it as it stands after matching with its own fills."""

    def test(self, account_id: str, ticket: NewOrder) -> None:
        """All checks of `place`, nothing placed."""

    def cancel(
        self,
        account_id: str,
        market: Market,
        symbol: str,
        order_id: int | None = None,
        client_order_id: str | None = None,
        request_client_id: str = "",
    ) -> SimOrder:
        """Raises -2011 when it is not open. `request_client_id`: the cancel request's newClientOrderId."""

    def cancel_all(self, account_id: str, market: Market, symbol: str) -> list[SimOrder]:
        """All open orders of the symbol; spot raises -2011 when there is none, USD-M does not."""

    def cancel_replace(
        self,
        account_id: str,
        ticket: NewOrder,
        order_id: int | None,
        client_order_id: str | None,
        stop_on_failure: bool,
        request_client_id: str = "",
    ) -> tuple[SimOrder, SimOrder, tuple[SimTrade, ...]]:
        """Spot. Returns (cancelled, new, fills). Raises -2021 (one of the two failed) or -2022 (both), HTTP 409 / 400,
        with `data` = {cancelResult, newOrderResult, cancelResponse, newOrderResponse}, whose responses are SimOrder,
        (SimOrder, fills), ExchangeError or None."""

    def amend_keep_priority(
        self,
        account_id: str,
        symbol: str,
        new_quantity: Decimal,
        order_id: int | None = None,
        client_order_id: str | None = None,
        new_client_order_id: str = "",
    ) -> SimOrder:
        """Spot: lower the quantity of a resting order. Raises -2038 / -2013."""

    def modify(
        self,
        account_id: str,
        symbol: str,
        side: Side,
        quantity: Decimal,
        price: Decimal,
        order_id: int | None = None,
        client_order_id: str | None = None,
    ) -> SimOrder:
        """USD-M PUT order: new price and quantity of a LIMIT order. Raises -2013, -5027 (nothing changed)."""

    def get(
        self,
        account_id: str,
        market: Market,
        symbol: str,
        order_id: int | None = None,
        client_order_id: str | None = None,
    ) -> SimOrder:
        """The order by id, or the newest under the client id. Raises -2013."""

    def open_orders(self, account_id: str, market: Market, symbol: str | None = None) -> list[SimOrder]: ...

    def all_orders(
        self,
        account_id: str,
        market: Market,
        symbol: str,
        from_order_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[SimOrder]:
        """Oldest first: from an id, or the last `limit` in the span."""

    def trades(
        self,
        account_id: str,
        market: Market,
        symbol: str,
        order_id: int | None = None,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[SimTrade]: ...


class AlgoDesk:
    """`OrderDesk.place` raises -4120 for these types on USD-M."""

    def place(
        self,
        account_id: str,
        symbol: str,
        side: Side,
        type: OrderType,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        trigger_price: Decimal | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        client_algo_id: str = "",
        position_side: PositionSide = PositionSide.BOTH,
        working_type: WorkingType = WorkingType.CONTRACT_PRICE,
        reduce_only: bool = False,
        close_position: bool = False,
        price_protect: bool = False,
        activation_price: Decimal | None = None,
        callback_rate_pct: Decimal | None = None,
        good_till_ms: int = 0,
    ) -> AlgoOrder: ...

    def cancel(
        self, account_id: str, algo_id: int | None = None, client_algo_id: str | None = None
    ) -> AlgoOrder: ...

    def cancel_all(self, account_id: str, symbol: str) -> list[AlgoOrder]: ...

    def get(self, account_id: str, algo_id: int | None = None, client_algo_id: str | None = None) -> AlgoOrder: ...

    def open_orders(self, account_id: str, symbol: str | None = None) -> list[AlgoOrder]: ...

    def all_orders(
        self,
        account_id: str,
        symbol: str,
        from_algo_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[AlgoOrder]: ...


class SpotLedger:
    def balances(self, account_id: str) -> list[Balance]:
        """Every asset the account ever had, zero ones too, by name."""

    def balance(self, account_id: str, asset: str) -> Balance: ...


class FuturesDesk:
    def balances(self, account_id: str) -> list[FuturesBalance]: ...

    def positions(self, account_id: str, symbol: str | None = None) -> list[Position]:
        """Every symbol: BOTH in one-way mode, LONG and SHORT in hedge mode, flat ones too."""

    def is_hedge_mode(self, account_id: str) -> bool: ...

    def set_hedge_mode(self, account_id: str, on: bool) -> None:
        """Raises -4059 unchanged, -4067 open orders, -4068 positions."""

    def leverage(self, account_id: str, symbol: str) -> int: ...

    def set_leverage(self, account_id: str, symbol: str, leverage: int) -> Decimal:
        """Returns maxNotionalValue. Raises -4028."""

    def margin_type(self, account_id: str, symbol: str) -> MarginType: ...

    def set_margin_type(self, account_id: str, symbol: str, margin_type: MarginType) -> None:
        """Raises -4046 unchanged, -4047 open orders, -4048 position."""

    def income(
        self,
        account_id: str,
        symbol: str | None = None,
        income_type: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 100,
    ) -> list[Income]: ...

    def fee_rates(self, account_id: str, symbol: str) -> tuple[Decimal, Decimal]:
        """(maker, taker) as fractions."""
