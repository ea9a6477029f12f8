"""What the exchange keeps of its accounts: keys, orders, trades, balances, positions; and the listed symbols.

Prices, quantities and money are `Decimal`; times are epoch milliseconds (UTC). Every object is an immutable
snapshot: the exchange replaces it, so that an event or an answer never changes after it was handed out.
Symbols are the venue's own (`BTCUSDT`); the market stands beside them.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine_service.exchange_sim.enums import (
    AlgoStatus,
    KeyKind,
    MarginType,
    Market,
    OrderStatus,
    OrderType,
    Permission,
    PositionSide,
    SelfTradePrevention,
    Side,
    TimeInForce,
    WorkingType,
)

ZERO = Decimal(0)


class ApiKey(msgspec.Struct, frozen=True, gc=False):
    """One key of an account. `secret` is the HMAC secret, or the Ed25519 public key as PEM text."""

    key: str
    kind: KeyKind
    secret: str
    permissions: frozenset[Permission]


class AccountSpec(msgspec.Struct, frozen=True, gc=False):
    """An account as configured. `balances` are deposited in the spot and in the futures wallet alike.

    Futures takes only margin assets (USDT) from `balances`.
    """

    account_id: str
    keys: tuple[ApiKey, ...]
    balances: tuple[tuple[str, Decimal], ...] = ()
    pays_fees_in_bnb: bool = False


class SymbolSpec(msgspec.Struct, frozen=True, gc=False):
    """An instrument and its filters, with the values the venue publishes for it."""

    market: Market
    symbol: str
    base_asset: str
    quote_asset: str
    tick_size: Decimal
    min_price: Decimal
    max_price: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    market_max_quantity: Decimal
    min_notional: Decimal
    max_notional: Decimal
    reference_price: Decimal  # where the seeded market starts
    bid_multiplier_up: Decimal = Decimal(5)
    bid_multiplier_down: Decimal = Decimal("0.2")
    ask_multiplier_up: Decimal = Decimal(5)
    ask_multiplier_down: Decimal = Decimal("0.2")
    max_num_orders: int = 200
    max_num_algo_orders: int = 5
    max_leverage: int = 125
    maintenance_margin_frac: Decimal = Decimal("0.004")
    order_types: tuple[OrderType, ...] = ()
    stp_modes: tuple[SelfTradePrevention, ...] = tuple(SelfTradePrevention)
    default_stp: SelfTradePrevention = SelfTradePrevention.EXPIRE_MAKER

    @property
    def price_precision(self) -> int:
        """Decimals of the tick size."""
        return max(0, -int(self.tick_size.normalize().as_tuple().exponent))

    @property
    def quantity_precision(self) -> int:
        """Decimals of the step size."""
        return max(0, -int(self.step_size.normalize().as_tuple().exponent))


class NewOrder(msgspec.Struct, frozen=True, gc=False):
    """An order ticket after the wire layer has parsed it. Exactly one of the two quantities is set.

    `client_order_id` empty: the exchange makes one. `stp` None: the symbol's default.
    """

    market: Market
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    client_order_id: str = ""
    stp: SelfTradePrevention | None = None
    position_side: PositionSide = PositionSide.BOTH
    reduce_only: bool = False
    close_position: bool = False
    good_till_ms: int = 0
    working_type: WorkingType = WorkingType.CONTRACT_PRICE
    price_protect: bool = False
    strategy_id: int | None = None
    strategy_type: int | None = None


class SimOrder(msgspec.Struct, frozen=True, gc=False):
    """An order as it stands. Unused prices and quantities are zero."""

    account_id: str
    market: Market
    symbol: str
    order_id: int
    client_order_id: str
    side: Side
    type: OrderType
    original_type: OrderType  # USD-M `origType`: the conditional type it was born from
    time_in_force: TimeInForce
    quantity: Decimal
    quote_quantity: Decimal
    price: Decimal
    stop_price: Decimal
    status: OrderStatus
    executed_quantity: Decimal
    executed_quote: Decimal  # cumulative quote traded
    created_ms: int
    updated_ms: int
    is_working: bool  # on the book (a stop is not until it triggers)
    working_ms: int  # when it came on the book, -1 before
    stp: SelfTradePrevention
    position_side: PositionSide = PositionSide.BOTH
    reduce_only: bool = False
    close_position: bool = False
    good_till_ms: int = 0
    working_type: WorkingType = WorkingType.CONTRACT_PRICE
    price_protect: bool = False
    strategy_id: int | None = None
    strategy_type: int | None = None
    prevented_quantity: Decimal = ZERO
    algo_id: int = 0  # conditional order that made it, 0 for none
    order_list_id: int = -1  # spot order list it is a leg of, -1 for none

    @property
    def remaining(self) -> Decimal:
        """Base quantity still to trade."""
        return self.quantity - self.executed_quantity

    @property
    def average_price(self) -> Decimal:
        """Quote per base over the fills so far, zero before the first."""
        return self.executed_quote / self.executed_quantity if self.executed_quantity else ZERO


class OrderList(msgspec.Struct, frozen=True, gc=False):
    """A spot order list (one-cancels-other) as it stands; `order_ids` are its legs, below and above the market."""

    account_id: str
    symbol: str
    list_id: int
    client_id: str
    order_ids: tuple[int, int]
    at_ms: int
    is_done: bool


class SimTrade(msgspec.Struct, frozen=True, gc=False):
    """One side of a match, as its account sees it. `trade_id` counts per market and symbol."""

    account_id: str
    market: Market
    symbol: str
    trade_id: int
    order_id: int
    client_order_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    fee: Decimal
    fee_asset: str
    at_ms: int
    is_maker: bool
    realised_pnl: Decimal = ZERO
    position_side: PositionSide = PositionSide.BOTH
    order_list_id: int = -1

    @property
    def is_buyer(self) -> bool:
        return self.side is Side.BUY


class AlgoOrder(msgspec.Struct, frozen=True, gc=False):
    """A USD-M conditional order."""

    account_id: str
    symbol: str
    algo_id: int
    client_algo_id: str
    side: Side
    type: OrderType
    position_side: PositionSide
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal
    trigger_price: Decimal
    working_type: WorkingType
    reduce_only: bool
    close_position: bool
    price_protect: bool
    stp: SelfTradePrevention
    status: AlgoStatus
    created_ms: int
    updated_ms: int
    triggered_ms: int = 0
    activation_price: Decimal = ZERO
    callback_rate_pct: Decimal = ZERO
    good_till_ms: int = 0
    order_id: int = 0  # the order it became
    actual_price: Decimal = ZERO  # average price of that order
    failure: str = ""


class Balance(msgspec.Struct, frozen=True, gc=False):
    """A spot asset of an account."""

    asset: str
    free: Decimal
    locked: Decimal


class FuturesBalance(msgspec.Struct, frozen=True, gc=False):
    """A margin asset of a USD-M account (Binance's definitions; cross = not isolated)."""

    asset: str
    wallet: Decimal
    cross_wallet: Decimal
    unrealised_pnl: Decimal
    cross_unrealised_pnl: Decimal
    margin_balance: Decimal
    initial_margin: Decimal
    position_initial_margin: Decimal
    open_order_initial_margin: Decimal
    maintenance_margin: Decimal
    available: Decimal
    updated_ms: int


class Position(msgspec.Struct, frozen=True, gc=False):
    """A USD-M position; `quantity` is signed (negative = short), zero for FLAT."""

    symbol: str
    side: PositionSide
    quantity: Decimal
    entry_price: Decimal
    break_even_price: Decimal
    mark_price: Decimal
    unrealised_pnl: Decimal
    realised_pnl: Decimal  # accumulated over the symbol's life, before fees (`cr`)
    liquidation_price: Decimal
    leverage: int
    margin_type: MarginType
    isolated_margin: Decimal
    isolated_wallet: Decimal
    initial_margin: Decimal
    position_initial_margin: Decimal
    open_order_initial_margin: Decimal
    maintenance_margin: Decimal
    max_notional: Decimal
    updated_ms: int

    @property
    def notional(self) -> Decimal:
        return self.quantity * self.mark_price


class Income(msgspec.Struct, frozen=True, gc=False):
    """A change of a futures wallet. Types: TRANSFER, REALIZED_PNL, FUNDING_FEE, COMMISSION, INSURANCE_CLEAR."""

    account_id: str
    symbol: str
    income_type: str
    amount: Decimal
    asset: str
    at_ms: int
    transaction_id: int
    trade_id: str = ""
    info: str = ""
